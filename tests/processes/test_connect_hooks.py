"""What stands before drivers and lookups, in a process of its own: a hook stays as long as that."""

import json
import os
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import quote

import alembic.config
import psycopg
import pytest
from conftest import CHECKOUT

from resumectl.errors import MachineFailure, Refusal
from resumectl.model.target import Access, Target
from resumectl.runner.postgres_sandbox import PostgresDatabases
from resumectl.runner.redirects import make_seed
from resumectl.storage.postgres import conninfo

CONTAINED = """
import json, os, socket, sys
from pathlib import Path
from resumectl.probe.containment import Containment
from resumectl.storage.outside_access import AccessRules
from resumectl.probe.event_log import open_event_log
from resumectl.model.target import Access

here = os.getcwd()
event_log = open_event_log("record")
sys.path.insert(0, here)
{before}
url = {url!r} or f"sqlite:///{{here}}/trial.sqlite"
sandbox = AccessRules.of_trial(Access(**json.loads({access!r})), here, url)
Containment(sandbox, event_log, started_in=Path(here), sandbox_url=url).install()
{program}
"""


def contained(
    directory: Path, program: str, *, before: str = "", url: str = "", **access: Any
) -> tuple[str, list[dict[str, Any]]]:
    """What a program prints that runs contained, and what is recorded of it."""
    script = directory / "program.py"
    script.write_text(
        CONTAINED.format(program=program, before=before, url=url, access=json.dumps(access))
    )
    done = subprocess.run(
        [sys.executable, script],
        cwd=directory,
        env={"PYTHONPATH": str(CHECKOUT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "Traceback" not in done.stderr, done.stderr
    record = (directory / "record").read_text().splitlines()
    return done.stdout, [json.loads(line) for line in record]


@pytest.fixture
def real_file(tmp_path: Path) -> Path:
    """A SQLite file outside of the sandbox, with a row."""
    file = tmp_path / "real" / "shop.db"
    file.parent.mkdir()
    with closing(sqlite3.connect(file)) as connection:
        connection.execute("CREATE TABLE orders (id TEXT)")
        connection.execute("INSERT INTO orders VALUES ('real')")
        connection.commit()
    return file


OWN_CURSOR = (
    "class Cursor(sqlite3.Cursor): pass\n"
    "sqlite3.connect(':memory:').cursor(Cursor).execute(f\"ATTACH '{real}' AS real\")"
)


@pytest.mark.parametrize(
    "opening",
    [
        "sqlite3.connect('trial.sqlite').execute(f\"ATTACH '{real}' AS real\")",
        "sqlite3.Connection(':memory:').execute(f\"ATTACH '{real}' AS real\")",
        "c = sqlite3.connect('x.db'); c.set_authorizer(None); c.execute(f\"ATTACH '{real}' AS real\")",
        pytest.param(
            "c = sqlite3.connect('x.db'); c.set_authorizer(lambda *_: 0)\n"
            "c.executescript(f\"SELECT 1; ATTACH '{real}' AS real\")",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "sqlite3.connect('trial.sqlite').execute(f\"VACUUM INTO '{real}-copy'\")",
            marks=pytest.mark.long,
        ),
        pytest.param(OWN_CURSOR, marks=pytest.mark.long),
    ],
)
def test_no_connection_of_sqlite_attaches_a_file_outside(
    tmp_path: Path, real_file: Path, opening: str
) -> None:
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    program = f"import sqlite3\nreal = {str(real_file)!r}\n{opening}\nprint('went on')"
    out, events = contained(sandbox, program)
    assert out == ""
    assert f"sqlite:///{real_file}" in events[-1]["error"]
    assert [*real_file.parent.iterdir()] == [real_file]


def test_a_redirected_file_is_replaced_in_each_way_to_open_it(
    tmp_path: Path, real_file: Path
) -> None:
    before = real_file.read_bytes()
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    out, _ = contained(
        sandbox,
        f"import sqlite3\nreal = {str(real_file)!r}\n"
        "class Conn(sqlite3.Connection): pass\n"
        "with Conn(real) as c: c.execute('CREATE TABLE orders (id)')\n"
        "with sqlite3.connect(real, factory=Conn) as c: c.execute('INSERT INTO orders VALUES (1)')\n"
        "with Conn(':memory:', isolation_level=None) as c:\n"
        "    c.execute(f\"ATTACH DATABASE '{real}' AS r\").execute('INSERT INTO r.orders VALUES (2)')\n"
        "with sqlite3.connect('trial.sqlite') as c:\n"
        "    c.cursor().executescript(f'SELECT 1; attach \"{real}\" AS r; INSERT INTO r.orders VALUES (3)')\n"
        "    print(c.execute(\"SELECT id, ';ATTACH nothing' FROM r.orders\").fetchall())\n",
        redirects=[f"sqlite:///{real_file}"],
    )
    assert out == f"{[(number, ';ATTACH nothing') for number in (1, 2, 3)]}\n"
    assert real_file.read_bytes() == before


def test_a_redirected_file_that_cannot_be_replaced_is_refused(
    tmp_path: Path, real_file: Path
) -> None:
    sandbox = tmp_path / "sandbox"
    sandbox.mkdir()
    out, events = contained(
        sandbox,
        f"import sqlite3\nreal = {str(real_file)!r}\n{OWN_CURSOR}\nprint('went on')",
        redirects=[f"sqlite:///{real_file}"],
    )
    assert out == ""
    assert "in a way that cannot be redirected (program.py, line" in events[-1]["error"]
    assert "`sqlite3.connect`" in events[-1]["next_step"]


# psycopg2 as it is built, but for what it connects to.
PSYCOPG2 = {
    "__init__": """
from psycopg2 import extensions
from psycopg2._psycopg import _connect
from psycopg.conninfo import make_conninfo

def connect(dsn=None, connection_factory=None, **named):
    return _connect(make_conninfo(dsn or "", **named), connection_factory=connection_factory)
""",
    "_psycopg": """
class connection:
    def __init__(self, dsn):
        print(dsn, flush=True)

def _connect(dsn, connection_factory=None):
    return (connection_factory or connection)(dsn)
""",
    "extensions": "from psycopg2._psycopg import connection",
}
ASYNCPG = {
    "__init__": "from asyncpg.connection import connect",
    "connection": "def connect(dsn=None, **named):\n    print(dsn, named, flush=True)",
}


def write_package(directory: Path, name: str, modules: Mapping[str, str]) -> None:
    (directory / name).mkdir()
    for module, text in modules.items():
        (directory / name / f"{module}.py").write_text(text)


@pytest.mark.parametrize(
    ("opening", "before"),
    [
        ("psycopg2.connect(host='db', dbname='shop')", ""),
        pytest.param(
            "psycopg2.connect(host='db', dbname='shop')", "import psycopg2", marks=pytest.mark.long
        ),
        ("psycopg2._psycopg._connect('host=db dbname=shop')", ""),
        ("psycopg2.extensions.connection('host=db dbname=shop')", ""),
        ("psycopg.pq.PGconn.connect(b'host=db dbname=shop')", ""),
        pytest.param(
            "psycopg.pq.PGconn.connect_start(b'host=db dbname=shop')", "", marks=pytest.mark.long
        ),
        ("asyncpg.connection.connect('postgresql://db/shop')", ""),
    ],
)
def test_a_driver_is_contained_however_it_connects(
    tmp_path: Path, opening: str, before: str
) -> None:
    write_package(tmp_path, "psycopg2", PSYCOPG2)
    write_package(tmp_path, "asyncpg", ASYNCPG)
    module = opening.partition(".")[0]
    out, events = contained(
        tmp_path, f"import {module}\n{opening}\nprint('went on')", before=before
    )
    assert out == ""
    assert "postgresql://db:5432/shop" in events[-1]["error"]


def test_a_driver_is_redirected_however_it_connects(tmp_path: Path) -> None:
    write_package(tmp_path, "psycopg2", PSYCOPG2)
    write_package(tmp_path, "asyncpg", ASYNCPG)
    own = f"postgresql://u:secret@/trial?host={tmp_path}"  # where no server is
    out, events = contained(
        tmp_path,
        "import asyncpg, psycopg, psycopg2.extensions\n"
        "class Conn(psycopg2.extensions.connection): pass\n"
        "psycopg2.connect('host=db dbname=shop sslmode=require', password='x', application_name='a')\n"
        "psycopg2.connect('host=db dbname=shop', connection_factory=Conn)\n"
        "Conn('host=db dbname=shop')\n"
        f"own = psycopg2.connect('host={tmp_path} dbname=trial')\n"
        "assert isinstance(own, psycopg2.extensions.connection)\n"
        "asyncpg.connect('postgresql://db/shop', timeout=1)\n"
        "libpq = psycopg.pq.PGconn.connect(b'host=db dbname=shop')\n"
        "print(libpq.host.decode(), libpq.db.decode(), isinstance(libpq, psycopg.pq.PGconn))",
        url=own,
        redirects=["postgresql://db:5432/shop"],
    )
    keywords = f"user=u password=secret dbname=trial host={tmp_path}"
    shown = f"postgresql://u:secret@/trial?host={quote(str(tmp_path), safe='')}"
    assert out.splitlines() == [
        f"{keywords} application_name=a",
        shown,
        shown,
        f"host={tmp_path} dbname=trial",
        f"{shown} {{'timeout': 1}}",
        f"{tmp_path} trial True",
    ]
    assert events == []


CREATOR = """
import socket, sqlite3
import sqlalchemy as sa

class Native:
    def __init__(self):
        socket.create_connection(("127.0.0.1", {port}))

    def __getattr__(self, name):
        print(name, flush=True)
        return lambda *_, **__: None

sa.create_engine("sqlite://", creator=lambda: sqlite3.connect(":memory:")).connect().close()
print("watched", flush=True)
sa.QueuePool(Native).connect().cursor()
"""


def test_a_creator_of_an_engine_is_refused_unless_its_address_is_allowed(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        out, events = contained(tmp_path, CREATOR.format(port=port))
        assert out == "watched\n"
        assert "by `creator=` and __main__" in events[-1]["error"]
        assert "(program.py, line" in events[-1]["error"]
        allowed = f"--allow-host 127.0.0.1:{port}"
        assert allowed in events[-1]["next_step"]
        out, _ = contained(tmp_path, CREATOR.format(port=port), hosts=[f"127.0.0.1:{port}"])
        assert out.startswith("watched\ncursor\n")


def test_a_driver_that_is_not_there_is_missing_as_it_was(tmp_path: Path) -> None:
    program = "try:\n    import psycopg2\nexcept ModuleNotFoundError as error:\n    print(error)"
    out, _ = contained(tmp_path, program)
    assert out == "No module named 'psycopg2'\n"


FOUND_AT = """
def found(host, port, *more, **named):
    return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("203.0.113.7", port or 0))]

socket.getaddrinfo = found
socket.gethostbyname = lambda host: "203.0.113.7"
"""
KNOCK = """
def knock(address):
    sock = socket.socket()
    sock.setblocking(False)
    try:
        sock.connect(address)
    except OSError:
        pass
    print(*address, flush=True)
"""


def test_a_host_that_is_allowed_by_its_name_is_reached_at_its_address(tmp_path: Path) -> None:
    for look_up in ("socket.getaddrinfo('api.example.com', 443)", "socket.gethostbyname('API.example.com')"):  # fmt: skip
        out, events = contained(
            tmp_path,
            f"{KNOCK}\n{look_up}\nknock(('203.0.113.7', 443))\nknock(('203.0.113.7', 80))",
            before=FOUND_AT,
            hosts=["api.example.com:443"],
        )
        assert out == "203.0.113.7 443\n"
        assert "connects to 203.0.113.7:80" in events[-1]["error"]


def test_a_database_that_is_allowed_by_its_host_is_open_at_its_address(tmp_path: Path) -> None:
    """Psycopg looks the host up, and gives libpq both."""
    connect = (
        "psycopg.pq.PGconn.connect_start(b'host=db.example.com hostaddr=203.0.113.7 dbname={}')"
    )
    out, events = contained(
        tmp_path,
        "import psycopg\nsocket.getaddrinfo('db.example.com', 5432)\n"
        f"{connect.format('shop')}\nprint('went on', flush=True)\n{connect.format('other')}",
        before=FOUND_AT,
        databases=["postgresql://db.example.com/shop"],
    )
    assert out == "went on\n"
    assert "postgresql://203.0.113.7:5432/other" in events[-1]["error"]


def test_an_address_that_nobody_looked_up_is_refused(tmp_path: Path) -> None:
    out, events = contained(
        tmp_path, f"{KNOCK}\nknock(('203.0.113.7', 443))", hosts=["api.example.com:443"]
    )
    assert out == ""
    assert "(program.py, line" in events[-1]["error"]


def test_the_line_of_the_one_task_that_waits_is_told(tmp_path: Path) -> None:
    """A library looks up in a task of its own, as aiohttp does."""
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "library.py").write_text(
        "import asyncio\n"
        "async def look_up():\n"
        "    await asyncio.get_running_loop().getaddrinfo('api.example.com', 443)\n"
        "async def post():\n"
        "    await asyncio.create_task(look_up())\n"
    )
    _, events = contained(
        tmp_path,
        "sys.path.insert(0, here + '/site-packages')\n"
        "import asyncio, library\n"
        "async def pay():\n"
        "    await library.post()  # here\n"
        "asyncio.run(pay())",
    )
    lines = (tmp_path / "program.py").read_text().splitlines()
    (number,) = (n for n, line in enumerate(lines, start=1) if line.endswith("# here"))
    assert events[-1]["error"].endswith(f"(program.py, line {number})")


def test_rows_that_a_template_has_are_in_each_copy(postgres_url: str, tmp_path: Path) -> None:
    server = PostgresDatabases(postgres_url)
    try:
        with psycopg.connect(conninfo(server.template_url), autocommit=True) as template:
            template.execute("CREATE TABLE plans (id TEXT)")
            template.execute("INSERT INTO plans VALUES ('basic')")
        for _ in range(2):
            copy = server.copy(tmp_path)
            with psycopg.connect(conninfo(copy), autocommit=True) as connection:
                assert connection.execute("SELECT id FROM plans").fetchall() == [("basic",)]
                connection.execute("INSERT INTO plans VALUES ('other')")
            server.drop(copy)
    finally:
        server.close()


def test_the_line_is_told_that_began_the_thread_of_a_library(tmp_path: Path) -> None:
    """A pool connects in threads of its own, which begin others, as psycopg_pool does."""
    library = tmp_path / "site-packages"
    library.mkdir()
    (library / "library.py").write_text(
        "import socket, threading\n"
        "def begin(do):\n"
        "    thread = threading.Thread(target=do)\n"
        "    thread.start()\n"
        "    thread.join()\n"
        "def connect():\n"
        "    socket.create_connection(('203.0.113.7', 80))\n"
        "def make_pool():\n"
        "    begin(lambda: begin(connect))\n"
    )
    _, events = contained(
        tmp_path,
        "sys.path.insert(0, here + '/site-packages')\nimport library\nlibrary.make_pool()  # here",
    )
    lines = (tmp_path / "program.py").read_text().splitlines()
    (number,) = (n for n, line in enumerate(lines, start=1) if line.endswith("# here"))
    assert events[-1]["error"].endswith(f"(in a thread begun at program.py, line {number})")


def test_the_url_of_a_sandbox_can_be_written_into_alembic_ini(postgres_url: str) -> None:
    """`env.py` does so, and `%` begins an interpolation there."""
    server = PostgresDatabases(postgres_url)
    try:
        told = Target(environ={"SHOP": "{database_url}"}).environ_in("", server.template_url, {})
        config = alembic.config.Config()
        config.set_main_option("sqlalchemy.url", told["SHOP"])
        url = config.get_main_option("sqlalchemy.url")
        with psycopg.connect(conninfo(str(url))) as connection:
            assert connection.info.dbname.endswith("_template")
    finally:
        server.close()


@pytest.mark.parametrize("end", ["sleep 1717", "sleep 1717 & exit 0"])
def test_what_a_command_has_begun_ends_with_it(tmp_path: Path, end: str) -> None:
    os.mkfifo(tmp_path / "alive")
    alive = os.open(tmp_path / "alive", os.O_RDONLY | os.O_NONBLOCK)
    access = Access(
        prepare=f"exec 3> alive; echo began >&3; {end}",
        prepare_in=str(tmp_path),
        prepare_max_s=1.0,
    )
    told = Target(access=access)
    if "exit" in end:
        make_seed(told, tmp_path, "sqlite:///template")
    else:
        with pytest.raises(MachineFailure) as failure:
            make_seed(told, tmp_path, "sqlite:///template")
        assert "has not ended within 1 s" in failure.value.what
        assert "--timeout 10" in str(failure.value.next_step)
    with os.fdopen(alive, "rb") as reader:
        os.set_blocking(alive, True)
        assert reader.read() == b"began\n"  # until nobody is left who could write


def test_what_a_command_says_that_fails_has_no_password(tmp_path: Path) -> None:
    command = "echo $DATABASE_URL; exit 1"
    target = Target(access=Access(prepare=command, prepare_in=str(tmp_path)))
    with pytest.raises(Refusal) as refusal:
        make_seed(target, tmp_path, "postgresql://user:s3%40cret@localhost/template")
    assert "ended with status 1: postgresql://user:***@localhost/template" in refusal.value.what
