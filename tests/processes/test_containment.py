"""No program under test harms what is outside its sandbox: real files, real servers, real sockets."""

import http.server
import os
import socket
import sqlite3
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import Workspace, swept

from resumectl.errors import ExitCode
from resumectl.storage.postgres import conninfo

SHOP = """
import os
import sqlalchemy as sa
from dbos import DBOS
from resumectl import Scenario

URL = {url!r}
engine = sa.create_engine(URL)

@DBOS.step()
def record(order):
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO orders (id) VALUES (:id)"), {{"id": order}})

@DBOS.workflow()
def checkout(order):
    record(order)
    return order

def rows():
    with engine.begin() as connection:
        return [list(row) for row in connection.execute(sa.text("SELECT * FROM orders"))]

from dbos import SetWorkflowID

def ask():
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(checkout, "order-1").get_result()

scenario = Scenario(ask, observe=rows)
"""


def write_shop(workspace: Workspace, url: str) -> None:
    (workspace.directory / "shop.py").write_text(SHOP.format(url=url))


@pytest.fixture
def real_file(tmp_path: Path) -> Path:
    """A SQLite file of the user's, with a row, and with what a copy of its tables must have."""
    file = tmp_path / "real shop.db"
    with sqlite3.connect(file) as connection:
        connection.executescript(
            "PRAGMA user_version = 7;"
            "CREATE TABLE orders (id TEXT, made INTEGER DEFAULT 1);"
            "CREATE INDEX by_id ON orders (id);"
            "CREATE TABLE log (id TEXT);"
            "CREATE TRIGGER logged AFTER INSERT ON orders BEGIN INSERT INTO log VALUES (new.id); END;"
            "CREATE VIEW last_orders AS SELECT * FROM orders;"
            "CREATE VIRTUAL TABLE texts USING fts5(body);"
            "CREATE TABLE alembic_version (version_num TEXT);"
            "INSERT INTO alembic_version VALUES ('abc');"
            "INSERT INTO orders (id) VALUES ('real');"
        )
    connection.close()
    return file


def refused(workspace: Workspace, *arguments: str, command: str = "sweep") -> Any:
    """The document of a command that must be refused before anything is proved."""
    ran = workspace.run(command, *arguments, "--json")
    assert ran.code == ExitCode.NOTHING_PROVED, ran
    assert "Traceback" not in ran.err
    return ran.document


# --- SQLite


@pytest.mark.slow
def test_a_real_file_is_not_written_and_the_ways_out_are_told(
    sqlite_workspace: Workspace, real_file: Path
) -> None:
    before = real_file.read_bytes()
    write_shop(sqlite_workspace, f"sqlite:///{real_file}")
    for command, more in (("sweep", ()), ("points", ()), ("replay", ("after:*/step-1",))):
        found = refused(sqlite_workspace, *more, "shop.py:scenario", command=command)
        assert (
            f"sqlite:///{real_file}, which is outside the sandbox (shop.py, line 12)"
            in (found["error"])
        )
        assert f"--redirect 'sqlite:///{real_file}'" in found["next"]
        assert f"--allow-database 'sqlite:///{real_file}'" in found["next"]
    assert sqlite_workspace.document("sweeps")["sweeps"] == []
    assert real_file.read_bytes() == before
    assert [*real_file.parent.glob(f"{real_file.name}-*")] == []


@pytest.mark.slow
def test_a_redirected_file_keeps_its_rows_and_shows_its_crash_points(
    sqlite_workspace: Workspace, real_file: Path
) -> None:
    before = real_file.read_bytes()
    url = f"sqlite:///{real_file}"
    write_shop(sqlite_workspace, url)
    arguments = ("shop.py:scenario", "--redirect", url)
    found = swept(sqlite_workspace, *arguments, code=ExitCode.PROMISE_BROKEN)
    # The row is there twice where the step's record is missing; else nothing is wrong.
    assert {(f["kind"], f["subject"]) for f in found["findings"]} == {("diverged", "observed")}
    assert {f["plan"] for f in found["findings"]} == {"after:orders/inserted"}
    assert found["outside"]["redirected"] == [url]
    listed = sqlite_workspace.document("points", *arguments)["crash_points"]
    assert {"before:orders/inserted", "after:orders/inserted"} < set(listed)
    assert real_file.read_bytes() == before
    # The header says it, and the line to type again repeats it.
    out = sqlite_workspace.run("check", str(found["sweep"])).out
    assert f"redirected: {url}" in " ".join(out.split())
    assert f"--redirect '{url}'" in out


def test_a_relative_path_out_of_the_sandbox_is_that_of_the_program_in_production(
    sqlite_workspace: Workspace, real_file: Path
) -> None:
    before = real_file.read_bytes()
    relative = os.path.relpath(real_file, sqlite_workspace.directory)
    assert relative.startswith("../")
    write_shop(sqlite_workspace, f"sqlite:///{relative}")
    found = refused(sqlite_workspace, "shop.py:scenario", command="points")
    assert f"sqlite:///{real_file}, which is outside the sandbox" in found["error"]
    way = ("--redirect", f"sqlite:///{real_file}")
    assert " ".join(way) in found["next"].replace("'", "")
    sqlite_workspace.ok("points", "shop.py:scenario", *way)
    assert real_file.read_bytes() == before


def test_a_redirected_file_has_the_same_schema(
    sqlite_workspace: Workspace, real_file: Path
) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(
        "import sqlite3\n"
        "from dbos import DBOS\n"
        "@DBOS.workflow()\n"
        "def checkout():\n"
        f"    connection = sqlite3.connect({str(real_file)!r})\n"
        "    return [\n"
        "        connection.execute('PRAGMA user_version').fetchall(),\n"
        "        sorted(connection.execute('SELECT type, name, sql FROM sqlite_master')),\n"
        "        connection.execute('SELECT * FROM orders').fetchall(),\n"
        "        connection.execute('SELECT * FROM alembic_version').fetchall(),\n"
        "    ]\n"
    )
    with sqlite3.connect(real_file) as connection:
        schema = sorted(connection.execute("SELECT type, name, sql FROM sqlite_master"))
    connection.close()
    ran = sqlite_workspace.run(
        "replay", "after:checkout-1/accepted", "shop.py:checkout", "--json",
        "--redirect", f"sqlite:///{real_file}",
    )  # fmt: skip
    assert ran.code == ExitCode.DONE, ran
    (answer,) = [
        event["value"]
        for event in ran.document["observation"]["processes"][-1]["events"]
        if event["kind"] == "request-ended"
    ]
    assert answer == [[[7]], [list(each) for each in schema], [], [["abc"]]]


def test_a_file_that_somebody_is_writing_is_copied_with_its_log(
    sqlite_workspace: Workspace, tmp_path: Path
) -> None:
    file = tmp_path / "live.db"
    writer = sqlite3.connect(file, isolation_level=None)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("PRAGMA wal_autocheckpoint = 0")
    writer.execute("CREATE TABLE orders (id TEXT)")
    writer.execute("INSERT INTO orders VALUES ('real')")
    log = file.with_name("live.db-wal")
    before = file.read_bytes(), log.read_bytes()
    assert b"orders" not in before[0]
    url = f"sqlite:///{file}"
    write_shop(sqlite_workspace, url)
    sqlite_workspace.ok("points", "shop.py:scenario", "--redirect", url)
    assert (file.read_bytes(), log.read_bytes()) == before
    writer.close()


def test_an_allowed_file_is_written_and_that_is_told(
    sqlite_workspace: Workspace, real_file: Path
) -> None:
    url = f"sqlite:///{real_file}"
    write_shop(sqlite_workspace, url)
    arguments = ("shop.py:checkout", "--args", '["a"]', "--allow-database", url)
    found = swept(sqlite_workspace, *arguments, "--only", "checkout-1/succeeded")
    assert found["outside"]["allowed_databases"] == [url]
    with sqlite3.connect(real_file) as connection:
        ((rows,),) = connection.execute("SELECT count(*) FROM orders WHERE id = 'a'")
    connection.close()
    assert rows >= found["trials"]


# How a program may open a file, and where that stands in it.
OPENINGS = {
    "at_import": ("", "connection = sqlite3.connect(PATH)", ""),
    "raw": ("sqlite3.connect(PATH)", "", ""),
    "as_uri": ("sqlite3.connect('file:' + PATH.replace(' ', '%20'), uri=True)", "", ""),
    "class_of_connection": ("sqlite3.Connection(PATH)", "", ""),
    "attached": ("sqlite3.connect('own.db').execute(f\"ATTACH '{PATH}' AS real\")", "", ""),
    "attached_by_parameter": (
        "sqlite3.connect('own.db').execute('ATTACH ? AS real', [PATH])", "", ""
    ),
    "in_a_thread": ("with ThreadPoolExecutor() as pool: pool.submit(open_file).result()", "", ""),
    "in_a_child": ("if os.fork() == 0: open_file()", "", "os.wait()"),
    "by_aiosqlite": ("asyncio.run(open_later())", "", ""),
    "by_an_async_engine": ("asyncio.run(select_later())", "", ""),
}  # fmt: skip
OPENING = """
import asyncio, os, sqlite3
from concurrent.futures import ThreadPoolExecutor
import aiosqlite
import sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.ext.asyncio import create_async_engine

PATH = {path!r}

def open_file():
    sqlite3.connect(PATH).execute("DELETE FROM orders")

async def open_later():
    async with aiosqlite.connect(PATH) as connection:
        await connection.execute("DELETE FROM orders")

async def select_later():
    async with create_async_engine("sqlite+aiosqlite:///" + PATH).begin() as connection:
        await connection.execute(sa.text("DELETE FROM orders"))

{at_import}

@DBOS.step()
def save():
    try:
        {in_step}
        {after}
    except BaseException:
        pass

@DBOS.workflow()
def checkout():
    save()
"""


@pytest.mark.parametrize(
    "how",
    [
        pytest.param(
            how,
            marks=[]
            if how in ("at_import", "in_a_child", "by_an_async_engine", "attached")
            else pytest.mark.long,
        )
        for how in OPENINGS
    ],
)
def test_a_file_is_refused_however_it_is_opened(
    sqlite_workspace: Workspace, real_file: Path, how: str
) -> None:
    before = real_file.read_bytes()
    in_step, at_import, after = OPENINGS[how]
    program = OPENING.format(
        path=str(real_file), in_step=in_step or "pass", at_import=at_import, after=after
    )
    (sqlite_workspace.directory / "shop.py").write_text(program)
    found = refused(sqlite_workspace, "shop.py:checkout")
    if how != "attached_by_parameter":
        assert f"sqlite:///{real_file}, which is outside the sandbox" in found["error"]
    # The thread of aiosqlite runs no line of the user's.
    begun = "in a thread begun at " if how == "by_aiosqlite" else ""
    assert f"({begun}shop.py, line" in found["error"]
    assert real_file.read_bytes() == before


def test_a_file_that_sqlite_cannot_write_and_temporary_ones_are_fine(
    sqlite_workspace: Workspace, real_file: Path
) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(
        "import sqlite3, tempfile\n"
        "from pathlib import Path\n"
        "from dbos import DBOS\n"
        "@DBOS.step()\n"
        "def count():\n"
        f"    file = Path({str(real_file)!r}).as_uri()\n"
        "    connection = sqlite3.connect(f'{file}?mode=ro', uri=True)\n"
        "    sqlite3.connect(Path(tempfile.mkdtemp(), 'x.db')).execute('CREATE TABLE x (y)')\n"
        "    sqlite3.connect(':memory:').execute(\"ATTACH 'other.db' AS other\")\n"
        "    sqlite3.connect('').execute('VACUUM')\n"
        "    return connection.execute('SELECT count(*) FROM orders').fetchone()[0]\n"
        "@DBOS.workflow()\n"
        "def checkout():\n"
        "    return count()\n"
    )
    found = swept(sqlite_workspace, "shop.py:checkout")
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 6
    assert found["outside"]["services"] == []


@pytest.mark.long
def test_a_fresh_interpreter_for_each_process_is_contained_as_well(
    sqlite_workspace: Workspace, real_file: Path
) -> None:
    before = real_file.read_bytes()
    write_shop(sqlite_workspace, f"sqlite:///{real_file}")
    arguments = ("shop.py:scenario", "--isolation", "spawn")
    found = refused(sqlite_workspace, *arguments)
    assert "which is outside the sandbox (shop.py, line 12)" in found["error"]
    more = ("--redirect", f"sqlite:///{real_file}", "--only", "*/succeeded")
    assert swept(sqlite_workspace, *arguments, *more)["verdicts"]["KEPT"] == 2
    assert real_file.read_bytes() == before


def test_what_only_a_recovery_opens_proves_nothing(
    sqlite_workspace: Workspace, real_file: Path
) -> None:
    before = real_file.read_bytes()
    (sqlite_workspace.directory / "shop.py").write_text(
        "import os, sqlite3\n"
        "from dbos import DBOS\n"
        "@DBOS.step()\n"
        "def save():\n"
        "    if os.path.exists('.process-2'):\n"
        f"        sqlite3.connect({str(real_file)!r}).execute('DELETE FROM orders')\n"
        "@DBOS.workflow()\n"
        "def checkout():\n"
        "    save()\n"
    )
    ran = sqlite_workspace.run("sweep", "shop.py:checkout", "--json")
    assert ran.code == ExitCode.NOTHING_PROVED
    found = ran.document
    assert found["verdicts"] | {"KEPT": 3, "BROKEN": 0, "VOID": 3} == found["verdicts"]
    assert all("was stopped: the program opens sqlite" in each["why"] for each in found["void"])
    assert all("--redirect" in each["why"] for each in found["void"])
    assert real_file.read_bytes() == before


MIGRATION = """
import os, sqlalchemy as sa
from pathlib import Path

engine = sa.create_engine({url!r})
with engine.begin() as connection:
    connection.execute(sa.text("CREATE TABLE orders (id TEXT)"))
with (Path(__file__).parent / "runs").open("a") as runs:
    print(os.environ["DATABASE_URL"], file=runs)
"""


@pytest.mark.slow
def test_a_command_makes_the_tables_once_in_the_template(
    sqlite_workspace: Workspace, tmp_path: Path
) -> None:
    """It names the real file as the program does, and writes it no more than that."""
    workspace, file = sqlite_workspace, tmp_path / "not yet there.db"
    write_shop(workspace, f"sqlite:///{file}")
    (workspace.directory / "migrate.py").write_text(MIGRATION.format(url=f"sqlite:///{file}"))
    command = f"{sys.executable} migrate.py"
    arguments = ("shop.py:scenario", "--redirect", f"sqlite:///{file}", "--only", "*/succeeded")
    found = swept(workspace, *arguments, "--prepare", command)
    assert found["verdicts"]["KEPT"] == found["trials"] == 2
    assert found["outside"]["prepared_by"] == command
    assert not file.exists()
    (run,) = (workspace.directory / "runs").read_text().splitlines()
    assert "seed" in run
    # Without the redirection, it is refused as the program is.
    ran = workspace.run("points", "shop.py:scenario", "--prepare", command, "--json")
    assert ran.code == ExitCode.REFUSED
    assert f"opens sqlite:///{file}" in ran.document["error"]
    assert not file.exists()
    # And one that fails says why.
    ran = workspace.run(
        "points", *arguments[:3], "--prepare", "echo no such revision; exit 3", "--json"
    )
    assert ran.code == ExitCode.REFUSED
    assert "ended with status 3: no such revision" in ran.document["error"]


@pytest.mark.slow
def test_a_relative_path_of_a_command_leads_into_the_sandbox(sqlite_workspace: Workspace) -> None:
    workspace = sqlite_workspace
    write_shop(workspace, "sqlite:///shop.db")
    (workspace.directory / "migrate.py").write_text(MIGRATION.format(url="sqlite:///shop.db"))
    command = f"{sys.executable} migrate.py"
    workspace.ok("points", "shop.py:scenario", "--prepare", command)
    assert not (workspace.directory / "shop.db").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--redirect", "shop.db"), "is not the URL of a database"),
        (("--redirect", "postgresql://db/shop"), "the trials are on SQLite"),
        (("--redirect", "mysql://db/shop"), "cannot be redirected"),
        (("--redirect", "sqlite:////nowhere/shop.db"), "there is no file /nowhere/shop.db"),
        (("--allow-database", "sqlite://"), "is not the URL of a database"),
        (("--allow-host", "https://api.example.com"), "is not HOST or HOST:PORT"),
    ],
)
def test_an_option_that_cannot_be_carried_out_is_refused(
    sqlite_workspace: Workspace, arguments: tuple[str, ...], said: str
) -> None:
    write_shop(sqlite_workspace, "sqlite:////nowhere/shop.db")
    ran = sqlite_workspace.run("points", "shop.py:scenario", *arguments, "--json")
    assert ran.code == ExitCode.REFUSED, ran
    assert said in ran.document["error"]


# --- PostgreSQL


@pytest.fixture
def real_database(postgres_url: str) -> Iterator[str]:
    """A database of the user's on the server where the trials are, with a row."""
    name = postgres_url.rpartition("/")[2].partition("?")[0]
    real = postgres_url.replace(name, f"{name}_real")
    with psycopg.connect(conninfo(postgres_url), autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}_real".encode())
    with psycopg.connect(conninfo(real), autocommit=True) as connection:
        connection.execute("CREATE TABLE orders (id TEXT, made INT DEFAULT 1)")
        connection.execute("INSERT INTO orders (id) VALUES ('real')")
    yield real
    with psycopg.connect(conninfo(postgres_url), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE {name}_real WITH (FORCE)".encode())


def orders_in(url: str) -> list[Any]:
    with psycopg.connect(conninfo(url)) as connection:
        return connection.execute("SELECT id FROM orders").fetchall()


def for_sqlalchemy(url: str, driver: str = "psycopg") -> str:
    return url.replace("postgresql:", f"postgresql+{driver}:")


@pytest.mark.slow
def test_another_database_of_the_server_is_not_written(
    postgres_workspace: Workspace, real_database: str
) -> None:
    workspace = postgres_workspace
    write_shop(workspace, for_sqlalchemy(real_database))
    found = refused(workspace, "shop.py:scenario", "--on", "postgres")
    assert "which is outside the sandbox (shop.py, line 12)" in found["error"]
    assert "--redirect" in found["next"]
    assert orders_in(real_database) == [("real",)]
    # A command makes its tables in the template, and their crash points are reached.
    (workspace.directory / "migrate.py").write_text(
        MIGRATION.format(url=for_sqlalchemy(real_database))
    )
    found = swept(
        workspace, "shop.py:scenario", "--on", "postgres", "--only", "orders/*",
        "--redirect", real_database, "--prepare", f"{sys.executable} migrate.py",
        code=ExitCode.PROMISE_BROKEN,
    )  # fmt: skip
    assert found["reached"] == found["trials"] == 2
    assert {f["plan"] for f in found["findings"]} == {"after:orders/inserted"}
    assert orders_in(real_database) == [("real",)]
    assert len((workspace.directory / "runs").read_text().splitlines()) == 1


POSTGRES_OPENING = """
import asyncio, os, psycopg, sqlalchemy as sa
from dbos import DBOS
from sqlalchemy.ext.asyncio import create_async_engine

URL = os.environ["REAL"].replace("+psycopg:", ":")

async def open_later():
    async with await psycopg.AsyncConnection.connect(URL) as connection:
        await connection.execute("DELETE FROM orders")

async def select_later():
    url = URL.replace("postgresql:", "postgresql+psycopg:")
    async with create_async_engine(url).begin() as connection:
        await connection.execute(sa.text("DELETE FROM orders"))

def by_keywords():
    psycopg.connect(**psycopg.conninfo.conninfo_to_dict(URL)).execute("DELETE FROM orders")

@DBOS.workflow()
def checkout():
    try:
        {opening}
    except BaseException:
        pass
"""


@pytest.mark.parametrize(
    "opening",
    [
        "psycopg.connect(URL)",
        "asyncio.run(select_later())",
        pytest.param("by_keywords()", marks=pytest.mark.long),
        pytest.param("psycopg.Connection.connect(URL)", marks=pytest.mark.long),
        pytest.param("asyncio.run(open_later())", marks=pytest.mark.long),
    ],
)
def test_a_real_server_is_refused_however_it_is_opened(
    sqlite_workspace: Workspace, real_database: str, opening: str
) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(POSTGRES_OPENING.format(opening=opening))
    arguments = ("shop.py:checkout", "--env", f"REAL={real_database}")
    found = refused(sqlite_workspace, *arguments, command="points")
    assert "outside the sandbox (shop.py, line" in found["error"]
    assert "--env 'REAL={database_url}' --on postgres" in found["next"]
    assert orders_in(real_database) == [("real",)]


@pytest.mark.slow
def test_the_database_of_a_trial_is_open_to_its_program_by_every_way(
    postgres_workspace: Workspace,
) -> None:
    (postgres_workspace.directory / "shop.py").write_text(
        POSTGRES_OPENING.replace("DELETE FROM orders", "SELECT 1")
        .replace("pass", "raise")
        .format(
            opening="psycopg.connect(URL).close(); by_keywords(); asyncio.run(open_later()); "
            "asyncio.run(select_later()); DBOS.set_event('done', True)"
        )
    )
    found = postgres_workspace.document(
        "points", "shop.py:checkout", "--on", "postgres", "--env", "REAL={database_url}"
    )
    assert "checkout-1/step-1" in {each["name"] for each in found["transitions"]}


# --- the network


NETWORK = """
import asyncio, os, socket, threading, urllib.request
from dbos import DBOS

def by_urllib():
    urllib.request.urlopen("http://203.0.113.7/pay", data=b"1", timeout=1)

def by_name():
    socket.create_connection(("api.example.com", 443), 1)

def by_asyncio():
    asyncio.run(asyncio.open_connection("203.0.113.7", 443))

async def open_by_name():
    await asyncio.open_connection("api.example.com", 443)

def by_asyncio_and_name():
    asyncio.run(open_by_name())

def by_datagram():
    socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b"1", ("203.0.113.7", 53))

def by_thread():
    thread = threading.Thread(target=by_urllib)
    thread.start()
    thread.join()

@DBOS.step()
def pay():
    try:
        globals()[os.environ["HOW"]]()
    except BaseException:
        pass

@DBOS.workflow()
def checkout():
    pay()
"""


@pytest.mark.parametrize(
    ("how", "host"),
    [
        ("by_urllib", "203.0.113.7:80"),
        ("by_asyncio", "203.0.113.7:443"),
        ("by_thread", "203.0.113.7:80"),
        ("by_asyncio_and_name", "api.example.com:443"),
        pytest.param("by_name", "api.example.com:443", marks=pytest.mark.long),
        pytest.param("by_datagram", "203.0.113.7:53", marks=pytest.mark.long),
    ],
)
def test_another_machine_is_not_reached(sqlite_workspace: Workspace, how: str, host: str) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(NETWORK)
    # A proxy on this machine could be reached, and through it any other.
    workspace = replace(
        sqlite_workspace, environ={**sqlite_workspace.environ, "http_proxy": "http://127.0.0.1:9"}
    )
    found = refused(workspace, "shop.py:checkout", "--env", f"HOW={how}")
    assert f"connects to {host}, which is outside the sandbox (shop.py, line" in found["error"]
    assert f"--allow-host {host}" in found["next"]


def test_an_allowed_host_is_reached_and_that_is_told(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(NETWORK)
    found = swept(
        sqlite_workspace, "shop.py:checkout", "--env", "HOW=by_datagram", "--allow-host", "203.0.113.7:53",
        "--only", "*/succeeded",
    )  # fmt: skip
    assert found["outside"]["allowed_hosts"] == ["203.0.113.7:53"]


PAYING = """
import asyncio, os, socket, urllib.request
from dbos import DBOS

PORT = int(os.environ["PORT"])

@DBOS.step()
def pay():
    urllib.request.urlopen(f"http://127.0.0.1:{PORT}/pay", data=b"1").read()

@DBOS.step()
async def ship():
    reader, writer = await asyncio.open_connection("localhost", PORT)
    writer.write(b"POST /ship HTTP/1.0\\r\\nContent-Length: 0\\r\\n\\r\\n")
    await reader.read()
    writer.close()

@DBOS.workflow()
async def checkout():
    await ship()

@DBOS.workflow()
def paid():
    pay()
"""


@pytest.fixture
def service() -> Iterator[tuple[int, list[str]]]:
    """A payment service on this machine: its port, and what has reached it."""
    reached: list[str] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            reached.append(self.path)
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server.server_port, reached
        server.shutdown()
        thread.join()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["paid", "checkout"])
def test_a_service_on_this_machine_is_counted_as_it_counts_itself(
    sqlite_workspace: Workspace, service: tuple[int, list[str]], name: str
) -> None:
    port, reached = service
    (sqlite_workspace.directory / "shop.py").write_text(PAYING)
    ran = sqlite_workspace.run("sweep", f"shop.py:{name}", "--env", f"PORT={port}")
    assert ran.code == ExitCode.DONE, ran
    times = len(reached)
    assert times > 6  # also those of the uninterrupted runs
    assert f"talks to 127.0.0.1:{port}: {times} connections" in ran.out
    found = sqlite_workspace.document("check", "1")["outside"]["services"]
    assert found == [{"service": f"127.0.0.1:{port}", "times": times, "what": "connections"}]
    if name == "paid":
        out = sqlite_workspace.ok("points", f"shop.py:{name}", "--env", f"PORT={port}").out
        assert f"talks to 127.0.0.1:{port}: {len(reached) - times} connections" in out


@pytest.mark.long
def test_runs_that_are_not_kept_are_counted_as_well(
    sqlite_workspace: Workspace, service: tuple[int, list[str]]
) -> None:
    """Trials that are run again, since their crash point was not reached or they vary."""
    port, reached = service
    (sqlite_workspace.directory / "shop.py").write_text(
        PAYING.replace(
            "    pay()\n", "    pay()\n    return chance()\n\n"
            "@DBOS.step()\ndef chance():\n    import random\n    return random.random() < 0.1\n"
        ).replace("@DBOS.workflow()\ndef paid", "@DBOS.workflow()\ndef paid", 1)
    )  # fmt: skip
    ran = sqlite_workspace.run("sweep", "shop.py:paid", "--env", f"PORT={port}", "--json")
    (found,) = ran.document["outside"]["services"]
    assert found["times"] == len(reached)


@pytest.mark.slow
def test_a_unix_socket_is_counted_and_datagrams_are_told_apart(
    sqlite_workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "s"
    with (
        socket.socket(socket.AF_UNIX) as unix,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp,
    ):
        monkeypatch.chdir(tmp_path)  # the path of a socket is short
        unix.bind("s")
        unix.listen(64)
        udp.bind(("127.0.0.1", 0))
        port = udp.getsockname()[1]
        (sqlite_workspace.directory / "shop.py").write_text(
            "import socket\n"
            "from dbos import DBOS\n"
            "@DBOS.step()\n"
            "def tell():\n"
            f"    socket.socket(socket.AF_UNIX).connect({str(path)!r})\n"
            f"    socket.socket(type=socket.SOCK_DGRAM).sendto(b'1', ('127.0.0.1', {port}))\n"
            "    socket.getaddrinfo(socket.gethostname(), None)\n"
            "@DBOS.workflow()\n"
            "def checkout():\n"
            "    tell()\n"
        )
        found = swept(sqlite_workspace, "shop.py:checkout", "--only", "*/succeeded")
    services = {
        (each["service"], each["what"]): each["times"] for each in found["outside"]["services"]
    }
    assert services == {
        (str(path), "connections"): 2 + 1 + 1, (f"127.0.0.1:{port}", "datagrams"): 2 + 1 + 1,
    }  # fmt: skip
