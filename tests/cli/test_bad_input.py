"""Bad input: each is refused in two parts, with the documented exit code, and never half done.

Real processes throughout: what a user sees is what is held against the promise.
"""

import ctypes
import os
import resource
import signal
import socket
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
import sqlalchemy as sa
from conftest import DEADLINE_S, Ran, Workspace, wait_for
from in_process import look, seen
from postgres_keeper import shared_postgres

from resumectl.errors import ExitCode
from resumectl.settings import URL_VARIABLES

pytestmark = pytest.mark.long

SECRET = "s3cr3t:w/rd"  # as it may be in a URL only in other letters
MESSAGES_MAX = 100_000

BEYOND = "99999999999999999999"  # what no column of numbers can hold


def refused(ran: Ran, code: ExitCode = ExitCode.REFUSED) -> str:
    """What was said of a refusal in two parts; it must be one, with this exit code."""
    assert ran.code == code, ran
    lines = ran.err.splitlines()
    assert sum(line.startswith("error: ") for line in lines) == 1, ran
    assert sum(line.startswith("next:  ") for line in lines) == 1, ran
    assert "Traceback" not in ran.out + ran.err
    assert "unexpected:" not in ran.err, ran  # as a defect would be called
    return ran.err


def shows_no_password(ran: Ran) -> None:
    """Neither as it is, nor as a URL spells it."""
    for spelling in (SECRET, quote(SECRET, safe="")):
        assert spelling not in ran.out + ran.err, ran


def batches(workspace: Workspace) -> dict[str, int]:
    """The batches that are there, each with its number of messages, and none of them half."""
    if workspace.settings.is_sqlite and not workspace.settings.sqlite_path.exists():
        return {}
    engine = sa.create_engine(workspace.settings.url, poolclass=sa.NullPool)
    schema = None if workspace.settings.is_sqlite else "resumectl"
    if not sa.inspect(engine).has_table("batches", schema=schema):
        return {}
    expected = dict(workspace.rows("SELECT id, expected FROM batches"))
    written = workspace.rows("SELECT batch_id, number FROM messages ORDER BY batch_id, number")
    for batch_id, count in expected.items():
        assert [n for owner, n in written if owner == batch_id] == list(range(1, count + 1))
    assert {owner for owner, _ in written} <= set(expected)
    return expected


def run_as(workspace: Workspace, before: Callable[[], None], *arguments: str) -> Ran:
    """Run resumectl in a process that is first made to be in some state."""
    process = workspace.start_interpreter(*arguments, stdin=subprocess.DEVNULL, preexec_fn=before)
    try:
        out, err = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"{arguments} did not end:\n{out[-2000:]}\n{err[-2000:]}") from None
    return Ran(process.returncode, out, err)


# ------------------------------------------------------------- mistyped

NAMES = {
    "with a capital": "Alpha",
    "empty": "",
    "of two lines": "a\nb",
    "with a newline at its end": "alpha\n",
    "with a letter beyond ASCII": "älpha",
    "that climbs": "../alpha",
}

MISTYPED: dict[str, tuple[str, ...]] = {
    "no such publisher": ("state", "--name", "nobody"),
    "no such workflow": ("steps", "nobody-1"),
    **{f"a count of {c}": ("publish", "--count", c) for c in ("0", "-1", "1000000000", BEYOND)},
    **{f"a count of {c}": ("publish", "--count", c) for c in ("twenty", "1.5")},
    **{f"a delay of {d}": ("publish", "--delay", d) for d in ("nan", "-1", "1e9", "long")},
    **{f"a concurrency of {c}": ("publish", "--concurrency", c) for c in ("0", "17", "all")},
    **{f"a name {what}": ("publish", "--name", name) for what, name in NAMES.items()},
    "a name too long": ("publish", "--name", "a" * 65),
    **{f"an id {what}": ("crash-after", "1", "--id", each) for what, each in NAMES.items()},
    "an id too long": ("publish", "--id", "a" * 81),
    "an unknown guarantee": ("publish", "--guarantee", "maybe"),
    "an unknown instant": ("crash-after", "3", "--when", "never"),
    "a signal that kills nobody": ("crash-after", "3", "--signal", "STOP"),
    "two ways to be killed": ("crash-after", "3", "--signal", "TERM", "--exit"),
    "a delivery that is not there": ("crash-after", "0"),
    "a delivery before the first": ("crash-after", "--", "-1"),
    "a delivery that is no number": ("crash-after", "third"),
    "a delivery beyond the batch": ("crash-after", "21"),
    "a delivery beyond all batches": ("crash-after", BEYOND),
    "an unknown log format": ("state", "--log-format", "xml"),
    "an unknown status": ("list-workflows", "--status", "LOST"),
    "an unknown time": ("list-workflows", "--since", "yesterday"),
    "a time that no clock has shown": ("list-workflows", "--since", "0001-01-01"),
    "a page of nothing": ("list-workflows", "--limit", "0"),
    "a page before the first": ("list-workflows", "--offset", "-1"),
    "looking too often": ("worker", "--adopt-every", "0"),
    "looking at no time": ("worker", "--adopt-every", "nan"),
    "no time to wait": ("resume", "--timeout", "0"),
    "no number of seconds": ("resume", "--timeout", "nan"),
    "no such command": ("frobnicate",),
    "no such option": ("publish", "--nope"),
    "an argument left out": ("steps",),
    "an argument too many": ("publish", "alpha"),
}  # fmt: skip


@pytest.mark.parametrize("arguments", MISTYPED.values(), ids=MISTYPED.keys())
def test_what_was_mistyped_is_refused_and_nothing_is_published(
    sqlite_workspace: Workspace, arguments: tuple[str, ...]
) -> None:
    refused(sqlite_workspace.run(*arguments))
    assert batches(sqlite_workspace) == {}


@pytest.mark.parametrize(
    "command", [("publish",), ("crash-after", "3"), ("resume",)], ids=lambda each: each[0]
)
def test_an_executor_id_that_may_not_be_one_is_refused_before_anything_is_done(
    sqlite_workspace: Workspace, command: tuple[str, ...]
) -> None:
    refused(sqlite_workspace.run(*command, "--executor", "../mine"))
    assert batches(sqlite_workspace) == {}


def test_what_is_unknown_is_refused_among_what_is_known(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("publish", "--count", "2")
    for arguments in (
        ("state", "--name", "alph"),
        ("steps", f"alpha-1-{BEYOND}"),
        ("cancel", "alpha-2"),
        ("cancel", "alpha-1"),  # it has ended
        ("fork", "alpha-2", "--from-step", "1"),
        ("fork", "alpha-1", "--from-step", "0"),
        ("fork", "alpha-1", "--from-step", BEYOND),
        ("resume", "alpha-1", "alpha-2"),
        ("list-workflows", "--since", "12:61"),
    ):
        refused(look(sqlite_workspace, *arguments))
    # As large as numbers come: no page is there, or no page can be asked for.
    for option in ("--limit", "--offset"):
        ran = look(sqlite_workspace, "list-workflows", option, BEYOND)
        if ran.code != ExitCode.DONE:
            refused(ran)
    assert batches(sqlite_workspace) == {"alpha-1": 2}


def test_a_usage_error_is_a_document_too(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.run("publish", "--count", "twenty", "--json")
    refused(ran)
    assert set(ran.document) == {"error", "next"}


def test_a_reset_that_nobody_confirms_deletes_nothing(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("publish", "--count", "2")
    for answer in ("", "what?\nn\n"):
        ran = sqlite_workspace.run("reset", stdin=answer)
        assert ran.code == ExitCode.REFUSED, ran
        assert "error: nothing was deleted" in ran.err
        assert "next:  resumectl reset --yes" in ran.err
    assert batches(sqlite_workspace) == {"alpha-1": 2}


# ------------------------------------------------------------- files of messages

CONTENTS = {
    "empty": b"",
    "of blank lines": b"\n  \n\t\r\n",
    "with a NUL": b"one\ntw\0o\n",
    "that is not UTF-8": "one\ncafé\n".encode("latin-1"),
    "of UTF-16": "one\ntwo\n".encode("utf-16"),
    "cut off in a letter": "one\ntwo €".encode()[:-1],
}


@pytest.mark.parametrize("content", CONTENTS.values(), ids=CONTENTS.keys())
def test_a_file_that_holds_no_messages_is_refused(
    sqlite_workspace: Workspace, content: bytes
) -> None:
    (sqlite_workspace.directory / "messages.txt").write_bytes(content)
    assert "messages.txt" in refused(sqlite_workspace.run("publish", "--from", "messages.txt"))
    assert batches(sqlite_workspace) == {}


def test_a_file_that_cannot_be_read_is_refused(sqlite_workspace: Workspace) -> None:
    closed = sqlite_workspace.directory / "closed.txt"
    closed.write_text("one\n")
    closed.chmod(0)
    for name, reason in (
        (".", "directory"),
        ("missing.txt", "No such file"),
        ("/proc/self/mem", "Input/output error"),  # opens, and cannot be read
    ):
        assert reason in refused(sqlite_workspace.run("publish", "--from", name)), name
    ran = run_as(sqlite_workspace, without_privileges, "publish", "--from", "closed.txt")
    assert "Permission denied" in refused(ran)
    assert batches(sqlite_workspace) == {}


def test_a_file_and_a_count_exclude_each_other(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "messages.txt").write_text("one\n")
    refused(sqlite_workspace.run("publish", "--from", "messages.txt", "--count", "1"))
    assert batches(sqlite_workspace) == {}


def test_a_file_of_too_many_messages_is_refused(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "messages.txt").write_text("m\n" * (MESSAGES_MAX + 1))
    assert "split" in refused(sqlite_workspace.run("publish", "--from", "messages.txt"))
    assert batches(sqlite_workspace) == {}


def test_standard_input_is_read_and_refused_as_a_file_is(sqlite_workspace: Workspace) -> None:
    refused(sqlite_workspace.run("publish", "--from", "-", stdin=""))
    refused(sqlite_workspace.run("publish", "--from", "-", stdin="one\0\n"))
    assert batches(sqlite_workspace) == {}
    sqlite_workspace.ok("publish", "--from", "-", stdin="one\n\ntwo")
    assert batches(sqlite_workspace) == {"alpha-1": 2}
    assert sqlite_workspace.rows("SELECT body FROM deliveries ORDER BY message_number") == [
        ('"one"',),
        ('"two"',),
    ]


# ------------------------------------------------------------- the configuration file

CONFIGURATIONS = {
    "not YAML": f"name: resumectl\nsystem_database_url: 'postgresql://u:{SECRET}@h/d\n".encode(),
    "a list": b"- name: resumectl\n",
    "a word": b"resumectl\n",
    "not UTF-8": "name: résumectl\n".encode("latin-1"),
    "of two documents": b"name: resumectl\n---\nname: resumectl\n",
    "of a URL that is none": f"name: resumectl\nsystem_database_url: [{SECRET}]\n".encode(),
    "of a database that is not supported": b"name: resumectl\nsystem_database_url: mysql://h/d\n",
}


@pytest.mark.parametrize("content", CONFIGURATIONS.values(), ids=CONFIGURATIONS.keys())
def test_a_configuration_that_cannot_be_read_is_refused(
    sqlite_workspace: Workspace, content: bytes
) -> None:
    (sqlite_workspace.directory / "dbos-config.yaml").write_bytes(content)
    ran = sqlite_workspace.run("publish", "--json")
    refused(ran)
    shows_no_password(ran)
    assert batches(sqlite_workspace) == {}


def test_a_configuration_that_is_not_there_is_refused(sqlite_workspace: Workspace) -> None:
    refused(sqlite_workspace.run("state", "--config", "missing.yaml"))
    refused(sqlite_workspace.run("publish", "--config", "."))
    assert batches(sqlite_workspace) == {}


# ------------------------------------------------------------- URLs

URLS = {
    "of an unsupported database": f"mysql://root:{quote(SECRET, safe='')}@127.0.0.1/test",
    "of no database": f"postgresql://postgres:{quote(SECRET, safe='')}@127.0.0.1",
    "of a port that is no number": f"postgresql://postgres:{SECRET}@127.0.0.1:port/test",
    "that is none": f"postgres {SECRET}",
    "that is empty": "",
    "in memory": "sqlite://",
}


@pytest.mark.parametrize("url", URLS.values(), ids=URLS.keys())
def test_a_url_that_names_no_supported_database_is_refused(
    sqlite_workspace: Workspace, url: str
) -> None:
    ran = sqlite_workspace.run("publish", "-v", "--json", "--db-url", url)
    refused(ran)
    shows_no_password(ran)
    assert sorted(sqlite_workspace.directory.iterdir()) == []


def test_debug_adds_a_traceback_and_changes_neither_exit_code_nor_what_is_secret(
    sqlite_workspace: Workspace,
) -> None:
    (sqlite_workspace.directory / "secret.yaml").write_bytes(CONFIGURATIONS["not YAML"])
    for arguments, code in (
        (("publish", "--count", "0"), ExitCode.REFUSED),
        (("state", "--config", "secret.yaml"), ExitCode.REFUSED),
        (("state", "--db-url", URLS["of a port that is no number"]), ExitCode.REFUSED),
        (("crash-after", "21"), ExitCode.REFUSED),
        (("publish", "--db-url", "sqlite:///missing/x.sqlite"), ExitCode.MACHINE_FAILED),
    ):
        ran = sqlite_workspace.run(*arguments, "--debug")
        assert ran.code == code, ran
        assert "Traceback" in ran.err
        assert "next:  " in ran.err
        shows_no_password(ran)


# ------------------------------------------------------------- servers


@pytest.fixture
def unanswered(sqlite_workspace: Workspace) -> Iterator[tuple[Workspace, int, socket.socket]]:
    """A port of this machine that is taken, and at which nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield sqlite_workspace, taken.getsockname()[1], taken


def url_at(port: int) -> str:
    return f"postgresql://postgres:{quote(SECRET, safe='')}@127.0.0.1:{port}/test"


@pytest.mark.parametrize(
    "arguments",
    [("state",), ("publish", "-v"), ("worker", "--json")],
    ids=" ".join,
)
def test_an_unreachable_server_is_told(
    unanswered: tuple[Workspace, int, socket.socket], arguments: tuple[str, ...]
) -> None:
    workspace, port, _ = unanswered
    ran = workspace.run(*arguments, "--db-url", url_at(port))
    assert "Connection refused" in refused(ran, ExitCode.MACHINE_FAILED)
    shows_no_password(ran)


def test_a_server_that_never_answers_is_given_up(
    unanswered: tuple[Workspace, int, socket.socket],
) -> None:
    workspace, port, taken = unanswered
    taken.listen()  # the kernel takes connections, and nobody speaks
    ran = workspace.run("publish", "--db-url", url_at(port))
    assert "timeout" in refused(ran, ExitCode.MACHINE_FAILED)
    shows_no_password(ran)


def test_a_password_among_the_options_of_a_url_is_shown_nowhere(
    unanswered: tuple[Workspace, int, socket.socket],
) -> None:
    """libpq takes `?password=` as well, and so does every program beside."""
    workspace, port, _ = unanswered
    url = f"postgresql://postgres@127.0.0.1:{port}/test?password={quote(SECRET, safe='')}"
    for arguments in (("doctor",), ("publish", "--json", "-v"), ("state", "--debug")):
        ran = workspace.run(*arguments, "--db-url", url)
        assert ran.code == ExitCode.MACHINE_FAILED, ran
        shows_no_password(ran)


@dataclass(frozen=True)
class StrictServer:
    """A server that asks for passwords: `owner` has a database `theirs`, `guest` has no right."""

    admin: str  # the URL of whom it asks for none

    def url(self, role: str, password: str | None, database: str) -> str:
        url = sa.make_url(self.admin).set(username=role, password=password, database=database)
        return url.render_as_string(hide_password=False)

    def schemas(self, database: str) -> set[str]:
        admin = sa.make_url(self.admin).set(database=database)
        with psycopg.connect(admin.render_as_string(hide_password=False)) as connection:
            rows = connection.execute("SELECT nspname FROM pg_namespace").fetchall()
        return {name for (name,) in rows}


@pytest.fixture(scope="module")
def strict_server() -> Iterator[StrictServer]:
    """A server of this file's own, for its rules are not those of the others."""
    with shared_postgres(f"strict-{os.getpid()}") as admin:
        with psycopg.connect(admin, autocommit=True) as connection:
            for role in ("owner", "guest"):
                connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD '{SECRET}'".encode())
            connection.execute("CREATE DATABASE theirs OWNER owner")
            rules = connection.execute("SHOW hba_file").fetchone()
            assert rules is not None
            user = sa.make_url(admin).username
            Path(rules[0]).write_text(f"local all {user} trust\nlocal all all scram-sha-256\n")
            connection.execute("SELECT pg_reload_conf()")
        yield StrictServer(admin)


@pytest.mark.parametrize(
    "arguments",
    [
        ("state",),
        ("state", "--debug"),
        ("publish", "-v", "--log-format", "json"),
        ("doctor", "--json"),
    ],
    ids=" ".join,
)
def test_a_wrong_password_is_told_and_shown_nowhere(
    sqlite_workspace: Workspace, strict_server: StrictServer, arguments: tuple[str, ...]
) -> None:
    url = strict_server.url("owner", f"not-{SECRET}", "theirs")
    ran = sqlite_workspace.run(*arguments, "--db-url", url)
    assert ran.code == ExitCode.MACHINE_FAILED, ran
    assert "password authentication failed" in ran.out + ran.err
    assert "correct the user or the password" in ran.out + ran.err
    assert "--debug" in arguments or "Traceback" not in ran.err
    shows_no_password(ran)


def test_no_password_at_all_is_told(
    sqlite_workspace: Workspace, strict_server: StrictServer
) -> None:
    ran = sqlite_workspace.run("publish", "--db-url", strict_server.url("owner", None, "theirs"))
    assert "no password supplied" in refused(ran, ExitCode.MACHINE_FAILED)


def test_a_database_that_does_not_exist_is_told(
    sqlite_workspace: Workspace, strict_server: StrictServer
) -> None:
    ran = sqlite_workspace.run("publish", "--db-url", strict_server.url("owner", SECRET, "nowhere"))
    assert "createdb" in refused(ran, ExitCode.MACHINE_FAILED)
    shows_no_password(ran)


def test_the_right_password_is_shown_nowhere_either(
    make_workspace: Callable[[str | None], Workspace], strict_server: StrictServer
) -> None:
    workspace = make_workspace(strict_server.url("owner", SECRET, "theirs"))
    loudly = ("-v", "--debug")
    for arguments in (
        ("publish", "--count", "3", *loudly),
        ("crash-after", "2", "--count", "3", *loudly, "--log-format", "json"),
        ("resume", *loudly, "--log-format", "json"),
        ("doctor", *loudly),
        ("reset", "--yes", *loudly),
    ):
        shows_no_password(workspace.ok(*arguments))


def test_a_role_without_rights_is_told_which_command_a_role_with_them_types(
    make_workspace: Callable[[str | None], Workspace], strict_server: StrictServer
) -> None:
    with psycopg.connect(strict_server.admin, autocommit=True) as connection:
        connection.execute("CREATE DATABASE closed")
    workspace = make_workspace(strict_server.url("guest", SECRET, "closed"))
    for arguments in (
        ("publish",),
        ("publish", "--detach"),
        ("migrate",),
    ):
        ran = workspace.run(*arguments)
        assert "resumectl migrate" in refused(ran, ExitCode.MACHINE_FAILED), arguments
        shows_no_password(ran)
    assert strict_server.schemas("closed").isdisjoint({"resumectl", "dbos"})


def test_a_role_that_may_only_read_can_look_and_nothing_else(
    make_workspace: Callable[[str | None], Workspace], strict_server: StrictServer
) -> None:
    with psycopg.connect(strict_server.admin, autocommit=True) as connection:
        connection.execute("CREATE DATABASE shown OWNER owner")
    owners = strict_server.url("owner", SECRET, "shown")
    make_workspace(owners).ok("publish", "--count", "2")
    with psycopg.connect(owners, autocommit=True) as connection:
        for schema in ("resumectl", "dbos"):
            connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO guest".encode())
            connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO guest".encode())
    workspace = make_workspace(strict_server.url("guest", SECRET, "shown"))
    assert workspace.document("state")["totals"]["delivered"] == 2
    assert len(seen(workspace, "list-workflows")["workflows"]) == 3
    assert look(workspace, "doctor").code == ExitCode.DONE
    for arguments in (
        ("publish",),
        ("publish", "--detach"),
        ("fork", "alpha-1", "--from-step", "1"),
        ("reset", "--yes"),
    ):
        refused(workspace.run(*arguments), ExitCode.MACHINE_FAILED)
    assert batches(workspace) == {"alpha-1": 2}


def test_a_server_that_falls_over_in_the_middle_loses_nothing(
    make_workspace: Callable[[str | None], Workspace], strict_server: StrictServer
) -> None:
    with psycopg.connect(strict_server.admin, autocommit=True) as connection:
        connection.execute("CREATE DATABASE fallen OWNER owner")
    workspace = make_workspace(strict_server.url("owner", SECRET, "fallen"))
    workspace.ok("migrate")
    process = workspace.start("publish", "--count", "300", "--guarantee", "at-least-once")
    wait_for(
        "deliveries", lambda: workspace.rows("SELECT count(*) >= 20 FROM deliveries") == [(True,)]
    )
    with psycopg.connect(strict_server.admin) as connection:
        # One backend that is killed takes all others with it, and the server recovers.
        os.kill(connection.info.backend_pid, signal.SIGKILL)
    out, err = process.communicate(timeout=DEADLINE_S)
    ran = Ran(process.returncode, out, err)
    refused(ran, ExitCode.MACHINE_FAILED)
    shows_no_password(ran)
    wait_for("the server is back", lambda: look(workspace, "state").code == ExitCode.DONE)
    assert batches(workspace) == {"alpha-1": 300}
    workspace.ok("resume")
    assert seen(workspace, "state", "--check")["totals"]["delivered"] == 300


# ------------------------------------------------------------- files and disks

PRIVILEGES_OF_ROOT = (1, 2)  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
PR_CAPBSET_DROP = 24


def without_privileges() -> None:
    """Files that are closed to their owner are so to root, too; in a process about to begin."""
    if os.geteuid() != 0:
        return
    libc = ctypes.CDLL(None, use_errno=True)
    for privilege in PRIVILEGES_OF_ROOT:
        if libc.prctl(PR_CAPBSET_DROP, privilege, 0, 0, 0):
            raise OSError(ctypes.get_errno(), "prctl")


WRITING: tuple[tuple[str, ...], ...] = (("publish",), ("crash-after", "3"), ("worker",))


def test_a_directory_that_cannot_be_written_is_told(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.directory.chmod(0o555)
    for arguments in WRITING:
        ran = run_as(sqlite_workspace, without_privileges, *arguments)
        assert "writable" in refused(ran, ExitCode.MACHINE_FAILED)
    sqlite_workspace.directory.chmod(0o755)
    assert sorted(sqlite_workspace.directory.iterdir()) == []


def test_a_database_that_cannot_be_written_is_told_and_stays_as_it_is(
    sqlite_workspace: Workspace,
) -> None:
    sqlite_workspace.ok("publish", "--count", "2")
    database = sqlite_workspace.settings.sqlite_path
    before = database.read_bytes()
    database.chmod(0o444)
    database.parent.chmod(0o555)
    for arguments in (*WRITING, ("reset", "--yes")):
        ran = run_as(sqlite_workspace, without_privileges, *arguments)
        assert "writable" in refused(ran, ExitCode.MACHINE_FAILED)
    database.parent.chmod(0o755)
    database.chmod(0o644)
    assert database.read_bytes() == before
    assert batches(sqlite_workspace) == {"alpha-1": 2}


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("sqlite:////proc/x.sqlite", "unable to open database file"),
        ("sqlite:///missing/x.sqlite", "unable to open database file"),
        ("sqlite:///.", "is not a file"),
    ],
)
def test_a_path_that_can_be_no_database_is_told(
    sqlite_workspace: Workspace, url: str, what: str
) -> None:
    ran = sqlite_workspace.run("publish", "--db-url", url)
    refused(ran, ExitCode.MACHINE_FAILED)
    assert what in ran.err
    assert sorted(sqlite_workspace.directory.iterdir()) == []


@pytest.mark.parametrize("size", [None, 30_000])
def test_a_corrupt_database_is_told_and_left_alone(
    sqlite_workspace: Workspace, size: int | None
) -> None:
    """Bytes at random, or a real database of which only the beginning is left."""
    database = sqlite_workspace.settings.sqlite_path
    if size is None:
        database.write_bytes(os.urandom(50_000))
    else:
        sqlite_workspace.ok("publish", "--count", "2")
        database.write_bytes(database.read_bytes()[:size])
    before = database.read_bytes()
    commands: tuple[tuple[str, ...], ...] = (("state",), ("publish",), ("resume",))
    if size is None:
        commands += (("crash-after", "3"), ("reset", "--yes"))
    for arguments in commands:
        refused(sqlite_workspace.run(*arguments), ExitCode.MACHINE_FAILED)
    doctor = sqlite_workspace.run("doctor", "--json")
    assert doctor.code == ExitCode.MACHINE_FAILED
    assert doctor.document["healthy"] is False
    assert database.read_bytes() == before


class Disk:
    """The place's disk, that can be made small and large again: a file system of its own.

    Where none may be mounted, or if a limit is asked for, the limit is one on the size of the
    files that a process may write: the kernel refuses the write all the same.
    """

    def __init__(self, directory: Path, *, mount: bool) -> None:
        self._directory = directory
        self._mounted = mount and self._mount("size=20m")
        self._bytes_max = resource.RLIM_INFINITY

    def _mount(self, options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "none", str(self._directory)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    def leave(self, room: int) -> None:
        """Leave room for so many bytes more."""
        if self._mounted:
            seen = os.statvfs(self._directory)
            used = (seen.f_blocks - seen.f_bfree) * seen.f_frsize
            assert self._mount(f"remount,size={max(used + room, 4096)}")  # 0 is no limit
        else:
            sizes = [each.stat().st_size for each in self._directory.iterdir()]
            self._bytes_max = max(sizes, default=0) + room

    def enlarge(self) -> None:
        """As large as it was."""
        if self._mounted:
            assert self._mount("remount,size=20m")
        self._bytes_max = resource.RLIM_INFINITY

    def limit(self) -> None:
        """In a process about to begin: what it may write."""
        if self._bytes_max != resource.RLIM_INFINITY:
            resource.setrlimit(resource.RLIMIT_FSIZE, (self._bytes_max, self._bytes_max))

    def unmount(self) -> None:
        if self._mounted:
            subprocess.run(["umount", str(self._directory)], check=True)


@pytest.fixture(params=["a file system", "a limit"])
def disk(sqlite_workspace: Workspace, request: pytest.FixtureRequest) -> Iterator[Disk]:
    """The disk of the place on SQLite."""
    found = Disk(sqlite_workspace.directory, mount=request.param == "a file system")
    yield found
    found.unmount()


SIGNS_OF_A_FULL_DISK = ("disk is full", "disk I/O error", "No space left", "File too large")


def full(ran: Ran) -> None:
    err = refused(ran, ExitCode.MACHINE_FAILED)
    assert any(sign in err for sign in SIGNS_OF_A_FULL_DISK), ran


@pytest.mark.parametrize("room", [0, 300_000])
def test_a_disk_that_is_full_at_the_first_use_is_told(
    sqlite_workspace: Workspace, disk: Disk, room: int
) -> None:
    disk.leave(room)
    full(run_as(sqlite_workspace, disk.limit, "publish", "--count", "200"))
    assert batches(sqlite_workspace) in ({}, {"alpha-1": 200})
    disk.enlarge()
    sqlite_workspace.ok("publish", "--count", "2", "--id", "after")
    totals = seen(sqlite_workspace, "state", "--check")["totals"]
    assert totals["delivered"] == totals["expected"] == sum(batches(sqlite_workspace).values())


# Room for the batch and the first of its messages, and for more of them.
@pytest.mark.parametrize("room", [200_000, 400_000])
def test_a_disk_that_fills_up_in_the_middle_is_told_and_nothing_is_lost(
    sqlite_workspace: Workspace, disk: Disk, room: int
) -> None:
    sqlite_workspace.ok("migrate")
    disk.leave(room)
    ran = run_as(sqlite_workspace, disk.limit, "publish", "--count", "300")
    full(ran)
    assert len(ran.err) < 10_000  # a failure that is told once, not once a message
    disk.enlarge()
    assert batches(sqlite_workspace) == {"alpha-1": 300}
    sqlite_workspace.ok("resume")
    assert_delivered_once(sqlite_workspace, 300)


def test_a_worker_ends_with_its_disk_and_nothing_is_lost(
    sqlite_workspace: Workspace, disk: Disk
) -> None:
    sqlite_workspace.ok("publish", "--count", "200", "--detach")
    disk.leave(300_000)
    full(run_as(sqlite_workspace, disk.limit, "worker"))
    disk.enlarge()
    sqlite_workspace.ok("resume")
    assert_delivered_once(sqlite_workspace, 200)


def assert_delivered_once(workspace: Workspace, count: int) -> None:
    """And no more: a delivery and its checkpoint are one, also on a failing disk."""
    totals = seen(workspace, "state", "--check")["totals"]
    assert (totals["delivered"], totals["failed"], totals["repeated"]) == (count, 0, 0)


def test_no_url_of_the_tests_is_read_from_outside(sqlite_workspace: Workspace) -> None:
    """Were a variable of the user's left, every test above would have run elsewhere."""
    assert not set(URL_VARIABLES) & set(sqlite_workspace.environ)
