"""What every test stands on: a real PostgreSQL, a fresh workspace, and the real command line."""

import atexit
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, Any

import psycopg
import pytest
import sqlalchemy as sa
from application_environment import make_environment
from command_server import COMMAND, CommandServer, Forked
from postgres_keeper import shared_postgres

from resumectl.database import open_engine
from resumectl.errors import ExitCode
from resumectl.settings import CONFIG_VARIABLE, OWN_URL_VARIABLE, URL_VARIABLES, Settings

POSTGRES_VARIABLE = "RESUMECTL_TEST_POSTGRES_URL"
CHECKOUT = Path(__file__).parents[1]
# Only a hang reaches it, also on a machine that is twenty times slower than a quiet one.
DEADLINE_S = 1800.0

# A shell lets what it begins in the background ignore Ctrl-C, and every child inherits that: the
# commands under test are to hear it, however the tests were begun.
signal.signal(signal.SIGINT, signal.default_int_handler)


@dataclass(frozen=True)
class Ran:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Its one JSON document."""
        return json.loads(self.out)


@dataclass(frozen=True)
class Workspace:
    """A fresh directory and a fresh database, and the commands run in them."""

    directory: Path
    settings: Settings
    environ: Mapping[str, str]

    @property
    def url(self) -> str:
        return self.settings.secret_url

    def start(self, *arguments: str, **streams: int | IO[Any]) -> Forked:
        """Start resumectl as a fork of one server.

        Args:
            arguments: What follows `resumectl`.
            streams: As `CommandServer.start` takes them.
        """
        assert command_server().can_run(self.environ)
        return command_server().start(
            arguments, module=COMMAND, directory=self.directory, environ=self.environ, **streams
        )

    def start_interpreter(self, *arguments: str, **options: Any) -> subprocess.Popen[str]:
        """Start resumectl in an interpreter of its own, as a shell does.

        Args:
            arguments: What follows `resumectl`.
            options: As `subprocess.Popen` takes them.
        """
        return subprocess.Popen(
            [sys.executable, "-m", "resumectl", *arguments],
            cwd=self.directory,
            env=self.environ,
            stdout=options.pop("stdout", subprocess.PIPE),
            stderr=options.pop("stderr", subprocess.PIPE),
            text=True,
            **options,
        )

    def run(self, *arguments: str, stdin: str | None = None, timeout_s: float = DEADLINE_S) -> Ran:
        """Run resumectl to its end, where the environment allows it as a fork of one server."""
        is_forked = command_server().can_run(self.environ)
        start = self.start if is_forked else self.start_interpreter
        given = subprocess.PIPE if stdin is not None else subprocess.DEVNULL
        process = start(*arguments, stdin=given)
        try:
            out, err = process.communicate(stdin, timeout=timeout_s)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            raise AssertionError(f"{arguments} did not end:\n{out}\n{err}") from None
        return Ran(process.returncode, out, err)

    def ok(self, *arguments: str, stdin: str | None = None) -> Ran:
        """Run resumectl to an end that must be a good one."""
        ran = self.run(*arguments, stdin=stdin)
        assert ran.code == 0, f"{arguments}: {ran}"
        return ran

    def document(self, *arguments: str) -> Any:
        """The JSON document of a command."""
        return self.ok(*arguments, "--json").document

    def rows(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask the database by hand; on PostgreSQL, `deliveries` is resumectl's."""
        engine = open_engine(self.settings)
        try:
            with engine.begin() as connection:
                if not self.settings.is_sqlite:
                    connection.execute(sa.text("SET LOCAL search_path TO resumectl, dbos"))
                return [tuple(row) for row in connection.execute(sa.text(sql))]
        finally:
            engine.dispose()

    def execute(self, sql: str) -> None:
        """Change the database by hand."""
        engine = open_engine(self.settings)
        with engine.begin() as connection:
            if not self.settings.is_sqlite:
                connection.execute(sa.text("SET LOCAL search_path TO resumectl, dbos"))
            connection.execute(sa.text(sql))
        engine.dispose()


@cache
def command_server() -> CommandServer:
    """Return the server of this process's tests; it ends with the process."""
    server = CommandServer()
    atexit.register(server.close)
    return server


def wait_for(what: str, condition: Callable[[], bool]) -> None:
    """Until it holds, looking at what is durable; a failure if it never does."""
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.05)  # between two looks: other processes' writes tell nobody


@cache
def slowness() -> float:
    """How many times longer everything takes now than on a quiet machine; measured once."""
    line = "import resumectl.probe.fork_server as z; z.pace.measure(); print(z.pace.slowness())"
    ran = subprocess.run([sys.executable, "-c", line], capture_output=True, text=True, check=True)
    return float(ran.stdout)


def seconds(on_a_quiet_machine: float) -> str:
    """The value of an option that is given in seconds, stretched where the machine is slow."""
    return f"{on_a_quiet_machine * slowness():.1f}"


def swept(workspace: Workspace, *arguments: str, code: int = ExitCode.DONE) -> Any:
    """The document of a sweep that must end so, with no trial that proves nothing."""
    ran = workspace.run("sweep", *arguments, "--json")
    assert ran.code == code, ran
    found = ran.document
    if code != ExitCode.REFUSED:
        assert found["verdicts"]["VOID"] == 0, found["void"]
    return found


def pytest_xdist_auto_num_workers() -> int:
    """One more than cores: a third of its time a crash test waits for other processes."""
    return (os.cpu_count() or 1) + 1


def pytest_addoption(parser: pytest.Parser) -> None:
    """Options for those who want more of it than the gate does."""
    parser.addoption("--kills", type=int, help="random kills on each database and seed pair")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[str]:
    """Yield the URL of the server that is named, or of one that this test run shares."""
    named = os.environ.get(POSTGRES_VARIABLE)
    if named:
        yield named
        return
    with shared_postgres(os.environ.get("PYTEST_XDIST_TESTRUNUID", str(os.getpid()))) as url:
        yield url


@pytest.fixture
def postgres_url(postgres_server: str) -> Iterator[str]:
    """The URL of a fresh, empty database."""
    name = f"test_{uuid.uuid4().hex[:12]}"
    admin = sa.make_url(postgres_server)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    yield admin.set(database=name).render_as_string(hide_password=False)
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def clean_environ() -> dict[str, str]:
    """The environment without any variable that resumectl reads, and a fixed width."""
    read = {*URL_VARIABLES, OWN_URL_VARIABLE, CONFIG_VARIABLE}
    read |= {"DBOS__VMID", "DBOS__APPVERSION", "DBOS__CLOUD"}
    read |= {"LINES"}  # of the terminal in which the tests run; it would hide that of a test
    return {k: v for k, v in os.environ.items() if k not in read} | {"COLUMNS": "160"}


@pytest.fixture
def make_workspace(
    tmp_path: Path, clean_environ: dict[str, str]
) -> Callable[[str | None], Workspace]:
    """Return a function that makes a workspace for a URL; None: as a newcomer has it."""

    def make(url: str | None) -> Workspace:
        directory = tmp_path / "workspace"
        directory.mkdir(exist_ok=True)
        environ = clean_environ | ({URL_VARIABLES[0]: url} if url else {})
        path = directory / "resumectl.sqlite"
        settings = Settings.resolve(db_url=url or f"sqlite:///{path}", environ={})
        return Workspace(directory, settings, environ)

    return make


@pytest.fixture
def sqlite_workspace(make_workspace: Callable[[str | None], Workspace]) -> Workspace:
    """Return a workspace on SQLite."""
    return make_workspace(None)


@pytest.fixture
def postgres_workspace(
    make_workspace: Callable[[str | None], Workspace], postgres_url: str
) -> Workspace:
    """Return a workspace on PostgreSQL."""
    return make_workspace(postgres_url)


# For a test whose databases differ in little: one of them is for the long run.
MOSTLY_SQLITE = pytest.mark.parametrize(
    "workspace", ["sqlite", pytest.param("postgres", marks=pytest.mark.long)], indirect=True
)
MOSTLY_POSTGRES = pytest.mark.parametrize(
    "workspace", [pytest.param("sqlite", marks=pytest.mark.long), "postgres"], indirect=True
)


@pytest.fixture(params=["sqlite", "postgres"])
def workspace(request: pytest.FixtureRequest) -> Workspace:
    """Return a workspace, once on each database."""
    found: Workspace = request.getfixturevalue(f"{request.param}_workspace")
    return found


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that holds dbos alone."""
    return make_environment(tmp_path_factory.mktemp("application") / ".venv")
