"""Make the initial content of each sandbox: tables of the databases that are redirected into it.

Runs once, before any trial. Files are made in a directory that is copied into each sandbox, and tables
on a server in the template of the trials' databases. A database outside is opened read-only.
"""

import os
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from sqlalchemy.engine import make_url

from resumectl.errors import MachineFailure, Refusal
from resumectl.model.codec import to_json
from resumectl.model.event_file import read_events
from resumectl.model.events import AccessRefused
from resumectl.model.orders import CONTAINMENT_VARIABLE, ContainmentOrder
from resumectl.model.target import Access, Target, without_proxies
from resumectl.runner.sandbox_databases import VERSION_TABLES
from resumectl.storage.access_fixes import prepare_option
from resumectl.storage.outside_access import AccessRules, Location

_STARTUP = "import resumectl.probe.prepare_entry\n"
_LAST_LINES = 3  # number of lines of a failed command's output to show
# Since this version SQLite reports the tables that it makes together with a virtual table.
_LISTS_SHADOW_TABLES = (3, 37)


def make_seed(target: Target, seed: Path, database_url: str) -> None:
    """Make the initial content of each sandbox.

    Args:
        target: The program, with its redirected databases.
        seed: Directory that is copied into each sandbox.
        database_url: URL of the template of the trials' databases, with its password.

    Raises:
        Refusal: A file has no tables to copy, or the user's command fails.
    """
    access = target.access
    redirected = AccessRules.of_trial(access, str(seed), database_url).redirected
    files = {each: Path(to) for each, to in redirected.items() if each.backend == "sqlite"}
    for location, to in files.items():
        to.parent.mkdir(exist_ok=True)
        if access.prepare is None:
            _copy_schema(location, to)
    if access.prepare is not None:
        first = next((f"sqlite:///{to}" for to in files.values()), database_url)
        _prepare(target, seed, database_url, prepared_url=first)


def _copy_schema(location: Location, to: Path) -> None:
    """Make a SQLite file with the tables of another file, without rows."""
    with _read_only(location) as source, closing(sqlite3.connect(to)) as copy:
        try:
            (encoding,) = source.execute("PRAGMA encoding").fetchone()
            copy.execute(f"PRAGMA encoding = '{encoding}'")
            for name in ("user_version", "application_id"):
                (value,) = source.execute(f"PRAGMA {name}").fetchone()
                copy.execute(f"PRAGMA {name} = {value}")
            shadows = (
                "SELECT name FROM pragma_table_list WHERE type = 'shadow'"
                if sqlite3.sqlite_version_info >= _LISTS_SHADOW_TABLES
                else "SELECT NULL"
            )
            statements = source.execute(
                "SELECT sql FROM sqlite_master WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite\\_%' "
                f"ESCAPE '\\' AND name NOT IN ({shadows}) ORDER BY type = 'table' DESC, rowid"
            ).fetchall()
            for (statement,) in statements:
                copy.execute(statement)
            for name in VERSION_TABLES:
                if source.execute("SELECT 1 FROM sqlite_master WHERE name = ?", [name]).fetchone():
                    rows = source.execute(f"SELECT * FROM {name}").fetchall()
                    marks = ", ".join("?" * len(rows[0])) if rows else ""
                    copy.executemany(f"INSERT INTO {name} VALUES ({marks})", rows)
            copy.commit()
        except sqlite3.Error as error:
            raise Refusal(
                f"the tables of {location} cannot be copied: {error}",
                next_step=f"name a command that makes them:  {prepare_option(Path.cwd())}",
            ) from error


@contextmanager
def _read_only(location: Location) -> Iterator[sqlite3.Connection]:
    """Open a SQLite file without writing to its directory."""
    file = Path(location.database)
    if not file.is_file():
        raise Refusal(
            f"there is no file {file} to take the tables from",
            next_step="see to the path after --redirect; or name a command that makes the tables:  "
            f"{prepare_option(Path.cwd())}",
        )
    with tempfile.TemporaryDirectory() as directory:
        log = file.with_name(f"{file.name}-wal")
        if log.exists() and log.stat().st_size:
            # SQLite would write files beside them to read both.
            for each in (file, log):
                shutil.copyfile(each, Path(directory, each.name))
            file = Path(directory, file.name)
            opened = sqlite3.connect(file)
        else:
            opened = sqlite3.connect(f"file:{quote(str(file))}?immutable=1", uri=True)
        with closing(opened):
            yield opened


def _prepare(target: Target, seed: Path, database_url: str, *, prepared_url: str) -> None:
    """Run the user's command; Python processes in it are contained as in a trial.

    Args:
        target: The program with the command.
        seed: Directory that is copied into each sandbox.
        database_url: URL of the template of the trials' databases, with its password.
        prepared_url: URL of the database in which the command makes the tables.
    """
    access = target.access
    assert access.prepare is not None
    with tempfile.TemporaryDirectory() as directory:
        startup = Path(directory, "sitecustomize.py")  # Python runs it at its start
        startup.write_text(_STARTUP)
        event_file = Path(directory, "events")
        event_file.touch()
        order = ContainmentOrder(access, str(seed), database_url, str(event_file))
        own = str(Path(__file__).parents[2])  # directory from which resumectl is imported
        environ = {
            **without_proxies(os.environ),
            "DATABASE_URL": prepared_url,
            **target.environ_in(str(seed), database_url, os.environ),
            CONTAINMENT_VARIABLE: to_json(order),
        }
        paths = filter(None, [directory, own, environ.get("PYTHONPATH")])
        environ["PYTHONPATH"] = os.pathsep.join(paths)
        output = Path(directory, "output")
        status = _run(access, environ, output)
        lines = output.read_text(errors="replace").strip().splitlines()
        events = read_events(event_file)
        refused = next((e for e in events if isinstance(e, AccessRefused)), None)
    if refused is not None:
        what = refused.error.replace("the program", f"--prepare {access.prepare!r}", 1)
        raise Refusal(what, next_step=refused.next_step)
    if status != 0:
        output_text = "; ".join(lines[-_LAST_LINES:])
        password = make_url(database_url).password
        for secret in filter(None, [password, quote(str(password or ""))]):
            output_text = output_text.replace(str(secret), "***")
        raise Refusal(
            f"--prepare {access.prepare!r} ended with status {status}: {output_text}",
            next_step="run it by hand, with DATABASE_URL set, until it ends with status 0",
        )


def _run(access: Access, environ: Mapping[str, str], output: Path) -> int:
    """Run the user's command to its end, and end all processes that it has started.

    Args:
        access: Command, its working directory and its maximum duration.
        environ: Environment variables of the command.
        output: File for the command's output.

    Returns:
        The exit status of the command.

    Raises:
        MachineFailure: The command takes too long.
    """
    assert access.prepare is not None
    with (
        output.open("wb") as file,
        subprocess.Popen(
            access.prepare,
            shell=True,
            cwd=access.prepare_in,
            env=environ,
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,  # and so a process group, which contains its children
        ) as process,
    ):
        try:
            return process.wait(access.prepare_max_s)
        except subprocess.TimeoutExpired as error:
            raise MachineFailure(
                f"--prepare {access.prepare!r} has not ended within {access.prepare_max_s:g} s",
                next_step="run it by hand, and see what it waits for; or give it longer:  "
                f"--timeout {10 * access.prepare_max_s:g}",
            ) from error
        finally:
            with suppress(ProcessLookupError):  # no process is left
                os.killpg(process.pid, signal.SIGKILL)
