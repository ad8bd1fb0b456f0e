"""What stands before drivers and lookups, in a process of its own: a hook stays as long as that."""

import json
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from conftest import CHECKOUT

from resumectl.errors import Refusal
from resumectl.lab.databases import conninfo
from resumectl.lab.redirects import make_seed
from resumectl.lab.server import Server
from resumectl.lab.subject import Access, Subject

CONTAINED = """
import json, os, socket, sys
from pathlib import Path
from resumectl.lab.containment import Containment
from resumectl.lab.outside_access import Sandbox
from resumectl.lab.recorder import Recorder
from resumectl.lab.subject import Access

here = os.getcwd()
recorder = Recorder(os.open("record", os.O_WRONLY | os.O_APPEND | os.O_CREAT))
sys.path.insert(0, here)
{before}
url = {url!r} or f"sqlite:///{{here}}/trial.sqlite"
sandbox = Sandbox.of_trial(Access(**json.loads({access!r})), here, url)
Containment(sandbox, recorder, started_in=Path(here), sandbox_url=url).install()
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


# Another driver of PostgreSQL's, which says where it connects to.
DRIVER = "def connect(dsn=None, *args, **named):\n    print(dsn, args, named, flush=True)\n"


def test_a_driver_is_contained_once_it_is_imported(tmp_path: Path) -> None:
    (tmp_path / "psycopg2.py").write_text(DRIVER)
    for before in ("", "import psycopg2"):
        out, events = contained(
            tmp_path, "import psycopg2\npsycopg2.connect(host='db', dbname='shop')", before=before
        )
        assert out == ""
        assert "postgresql://db:5432/shop" in events[-1]["error"]
    own = "postgresql://u:secret@localhost/trial"
    out, events = contained(
        tmp_path,
        "import psycopg2\n"
        "psycopg2.connect('postgresql://localhost/trial', None, application_name='a')\n"
        "psycopg2.connect('host=db dbname=shop sslmode=require', password='x', application_name='a')",
        url=own,
        redirects=["postgresql://db:5432/shop"],
    )
    assert out.splitlines() == [
        "postgresql://localhost/trial (None,) {'application_name': 'a'}",
        f"{own} () {{'application_name': 'a'}}",
    ]


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
    server = Server(postgres_url)
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


def test_what_a_command_says_that_fails_has_no_password(tmp_path: Path) -> None:
    command = "echo $DATABASE_URL; exit 1"
    subject = Subject(access=Access(prepare=command, prepare_in=str(tmp_path)))
    with pytest.raises(Refusal) as refusal:
        make_seed(subject, tmp_path, "postgresql://user:s3cret@localhost/template")
    assert "ended with status 1: postgresql://user:***@localhost/template" in refusal.value.what
