"""Keep the target process inside its sandbox: refuse databases and hosts that are outside.

Installed before the program is imported; `connect_hooks` calls it. Subprocesses and native code are
not seen.
"""

import functools
import os
import signal
import socket
import sqlite3
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NoReturn, TypeVar
from urllib.parse import quote

import sqlalchemy as sa
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import event
from sqlalchemy.pool import ConnectionPoolEntry

from resumectl.model.events import AccessRefused, ServiceContacted, now_us
from resumectl.model.process_exit import ACCESS_REFUSED
from resumectl.probe.callers import note_thread, user_line
from resumectl.probe.connect_hooks import (
    WATCHED_PACKAGES,
    SqlitePath,
    add_audit_hook,
    contain_sqlite,
    redirect_postgres,
    watch_lookups,
    watch_threads,
)
from resumectl.probe.event_log import EventLog
from resumectl.probe.user_objects import DriverObject
from resumectl.storage.access_fixes import creator_fix, database_fix, host_fix
from resumectl.storage.outside_access import AccessRules, Location, Reach, locations_of_arguments
from resumectl.storage.postgres import conninfo

V = TypeVar("V")

# Drivers whose own `connect` is watched: SQLAlchemy's event would report them a second time.
_WATCHED_DRIVERS = frozenset({"pysqlite", "psycopg", "psycopg_async"})
_IS_JUDGED = "resumectl.is_judged"  # key in a connection's record: its URL has been checked
# Parameters of libpq that name the server, the database or the user; a redirect replaces all of them.
_SERVER_PARAMETERS = frozenset(
    {
        "host", "hostaddr", "port", "dbname", "database", "dsn", "user", "password", "passfile",
        "service", "target_session_attrs", "require_auth", "channel_binding", "gssencmode", "ssl",
    }
)  # fmt: skip


class Containment:
    """Refuses what is outside a sandbox, and reports the services on this machine that are used.

    Args:
        sandbox: Rules for what is inside the sandbox and what may be used outside.
        event_log: Event log of this process; a refusal is its last event.
        started_in: The user's working directory.
        sandbox_url: URL of the trial's own database, with its password.
    """

    def __init__(
        self, sandbox: AccessRules, event_log: EventLog, *, started_in: Path, sandbox_url: str
    ) -> None:
        self._sandbox = sandbox
        self._event_log = event_log
        self._started_in = started_in
        self._sandbox_url = sandbox_url
        self._environ = dict(os.environ)  # the user's
        self._pid = os.getpid()
        # Address to the names of allowed hosts.
        self._resolved: dict[str, set[str]] = {}
        self._refusing = threading.Lock()
        self._last = threading.local()  # the address that each thread has connected to
        self._audited: Mapping[str, Callable[..., None]] = {
            "sqlite3.connect": self._check_sqlite,
            "socket.connect": self._check_connect,
            "socket.sendto": self._check_send,
            "socket.sendmsg": self._check_send,
            "socket.getaddrinfo": self._check_lookup,
            "socket.gethostbyname": self._check_lookup,
            "socket.gethostbyaddr": self._check_lookup,
        }

    def install(self) -> None:
        """Contain this process and its forked children from now on; this cannot be undone."""
        contain_sqlite(self._sqlite_path, self._authorize_sqlite)
        redirect_postgres(self._postgres_arguments)
        event.listen(sa.Engine, "do_connect", self._redirect_engine)
        event.listen(sa.Pool, "connect", self._check_creator)
        watch_threads(note_thread)
        watch_lookups(self._check_lookup, self._note_addresses)
        add_audit_hook(self._audited)

    # --- databases

    def _check_sqlite(self, database: SqlitePath, *_more: object) -> None:
        """Refuse a file outside the sandbox; a redirected file has been replaced before this, if possible."""
        for location in self._locations("sqlite", [database], {}):
            if self._sandbox.is_open(location):
                continue
            if self._sandbox.replacement(location) is not None:
                self._refuse(
                    f"the program opens {location} in a way that cannot be redirected",
                    "open it by `sqlite3.connect`, or attach it by a statement that begins with "
                    "ATTACH and names the file",
                )
            if b"mode=ro" in os.fsencode(database):
                self._refuse(
                    f"the program reads {location}, which is outside the sandbox, and SQLite makes "
                    "files beside it: it is in WAL mode",
                    "to read it without its log:  immutable=1 in place of mode=ro; or "
                    f"{self._fix(location)}",
                )
            self._refuse_database(location)

    def _sqlite_path(self, database: SqlitePath) -> SqlitePath:
        """Return the path that `sqlite3` opens or attaches instead."""
        for requested in locations_of_arguments("sqlite", [database], {}):
            location = self._sandbox.as_typed(requested, self._started_in)
            replacement = self._sandbox.replacement(location)
            if replacement is not None:
                Path(replacement).parent.mkdir(parents=True, exist_ok=True)
            path = replacement or location.database
            if path != requested.database:
                text = os.fsdecode(database)
                query = text.partition("?")[2] if text.startswith("file:") else ""
                return f"file:{quote(path)}?{query}" if query else path
        return database

    def _authorize_sqlite(self, action: int, file: str | None, *_more: object) -> int:
        if action == sqlite3.SQLITE_ATTACH:
            if file is None:
                self._refuse(
                    "the program attaches a SQLite file that the statement does not name",
                    "write the path into the ATTACH statement, and not as a parameter of it",
                )
            self._check_sqlite(file)
        return sqlite3.SQLITE_OK

    def _postgres_arguments(
        self, given: str, named: Mapping[str, object]
    ) -> tuple[str, Mapping[str, object]]:
        """Return the connection string and keywords to call the driver with instead."""
        replacement = self._check_database(self._locations("postgresql", [given], named))
        if replacement is None:
            return given, named
        url, kept = conninfo(replacement), kept_parameters(conninfo_to_dict(given))
        # A URL where possible: asyncpg reads no other connection string.
        return (make_conninfo(url, **kept) if kept else url), kept_parameters(named)

    def _redirect_engine(
        self,
        dialect: sa.Dialect,
        record: ConnectionPoolEntry | None,
        cargs: list[DriverObject],
        cparams: dict[str, object],
    ) -> None:
        if record is not None and record.record_info is not None:
            record.record_info[_IS_JUDGED] = True
        if dialect.driver in _WATCHED_DRIVERS:
            return
        replacement = self._check_database(self._locations(dialect.name, cargs, cparams))
        if dialect.name == "sqlite":
            cargs[:1] = map(self._sqlite_path, cargs[:1])
        elif replacement is not None:
            url = sa.make_url(replacement).set(drivername=f"{dialect.name}+{dialect.driver}")
            own, more = dialect.create_connect_args(url)
            kept = kept_parameters(cparams)
            cparams.clear()
            cparams.update({**kept, **more})
            cargs[:] = own

    def _check_creator(self, connection: object, record: ConnectionPoolEntry) -> None:
        """Refuse a connection that a `creator=` function opened: SQLAlchemy reports it only afterwards."""
        classes = type(record.driver_connection or connection).__mro__
        packages = [each.__module__.partition(".")[0] for each in classes]
        if _IS_JUDGED in (record.record_info or ()) or WATCHED_PACKAGES.intersection(packages):
            return
        address = getattr(self._last, "address", None)
        if address is None or not self._sandbox.is_listed(*address):
            self._refuse(
                f"the program opens a database by `creator=` and {packages[0]}, and nothing tells "
                "which one it is",
                creator_fix(None if address is None else _address_text(*address)),
            )

    def _locations(
        self, backend: str, positional: list[object], named: Mapping[str, object]
    ) -> list[Location]:
        found = locations_of_arguments(backend, positional, named)
        return [self._sandbox.as_typed(each, self._started_in) for each in found]

    def _check_database(self, locations: list[Location]) -> str | None:
        """Return the replacement of a database, if there is one; refuse a database outside the sandbox."""
        for location in locations:
            replacement = self._sandbox.replacement(location)
            if replacement is not None:
                return replacement
            if not self._is_open(location):
                self._refuse_database(location)
        return None

    def _is_open(self, location: Location) -> bool:
        """Return whether a database may be opened, by its host or by an address that psycopg resolved."""
        names = {location.host, *self._resolved.get(location.host, ())}
        return any(self._sandbox.is_open(location._replace(host=each)) for each in names)

    def _refuse_database(self, location: Location) -> NoReturn:
        self._refuse(
            f"the program opens {location}, which is outside the sandbox", self._fix(location)
        )

    def _fix(self, location: Location) -> str:
        return database_fix(location, self._sandbox_url, self._environ, self._started_in)

    # --- hosts

    def _check_lookup(self, host: object, port: object = None, *_more: object) -> None:
        if host is None or self._is_reached(host, port):
            return
        self._refuse_host(host, port)

    def _note_addresses(self, host: object, addresses: set[str]) -> None:
        """Note the addresses of an allowed name: a later connection names only the address."""
        name = _text(host)
        if self._sandbox.reach(name, None) in (Reach.ALLOWED, Reach.INSIDE):
            for address in addresses:
                self._resolved.setdefault(address, set()).add(name)

    def _check_connect(self, connecting: socket.socket, address: DriverObject) -> None:
        is_datagram = connecting.type & socket.SOCK_DGRAM == socket.SOCK_DGRAM
        self._check_address(connecting, address, is_datagram=is_datagram)

    def _check_send(self, sending: socket.socket, address: DriverObject) -> None:
        if address is not None:  # None: the socket is connected
            self._check_address(sending, address, is_datagram=True)

    def _check_address(
        self, through: socket.socket, address: DriverObject, *, is_datagram: bool
    ) -> None:
        if through.family == socket.AF_UNIX:
            name = os.fsdecode(address).replace("\0", "@")
            reach = self._sandbox.socket_reach(name)
            self._last.address = None
        elif through.family in (socket.AF_INET, socket.AF_INET6):
            host, port = _text(address[0]), address[1]
            if not self._is_reached(host, port):
                self._refuse_host(host, port)
            self._last.address = (host, port)
            name = _address_text(host, port)
            reach = self._sandbox.reach(host, port)
        else:
            return  # a socket to the kernel, such as netlink
        if reach is Reach.LOOPBACK:
            kind = "datagrams" if is_datagram else "connections"
            self._event_log.write(ServiceContacted(now_us(), name, kind))

    def _is_reached(self, host: object, port: object) -> bool:
        name = _text(host)
        number = port if isinstance(port, int) and port else None
        names = {name, *self._resolved.get(name, ())}
        return name == self._own_name or any(
            self._sandbox.reach(each, number) is not Reach.OUTSIDE for each in names
        )

    @functools.cached_property
    def _own_name(self) -> str:
        return socket.gethostname()  # many loggers look it up; its address is still checked

    def _refuse_host(self, host: object, port: object) -> NoReturn:
        at = _address_text(_text(host), port)
        self._refuse(f"the program connects to {at}, which is outside the sandbox", host_fix(at))

    def _refuse(self, what: str, next_step: str) -> NoReturn:
        """Record a refusal and end the process: the program could catch an exception."""
        line = user_line(self._started_in)
        with self._refusing:  # only the first refusal is recorded
            error = f"{what} ({line})" if line else what
            self._event_log.write(AccessRefused(now_us(), error, next_step))
            if os.getpid() != self._pid:
                os.kill(
                    self._pid, signal.SIGKILL
                )  # this is a child of the target process: end that one
            os._exit(ACCESS_REFUSED)


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _address_text(host: str, port: object) -> str:
    at = f"[{host}]" if ":" in host else host
    return f"{at}:{_text(port)}" if port else at


def kept_parameters(given: Mapping[str, V]) -> dict[str, V]:
    """Return the connection parameters that have the same meaning on another server."""
    return {
        name: value
        for name, value in given.items()
        if name not in _SERVER_PARAMETERS and not name.startswith("ssl")
    }
