"""Intercept connections to databases and lookups of hosts in this process.

Python's audit hooks report each connection of `sqlite3` and of sockets, from any library, thread or
event loop. libpq connects natively, so the connect functions of its drivers are replaced. An audit
hook cannot change an argument, so `connect` of `sqlite3` and its class are replaced too. Decides
nothing: see `containment`.
"""

import asyncio
import functools
import importlib.util
import os
import re
import socket
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

import psycopg

from resumectl.probe.user_objects import DriverObject, Function

SqlitePath = str | bytes | os.PathLike[str] | os.PathLike[bytes]
# Takes a connection string and keywords; returns those to call the driver with instead.
Arguments = Callable[[str, Mapping[str, object]], tuple[str, Mapping[str, object]]]
# Packages of drivers whose connections are watched, with or without SQLAlchemy.
WATCHED_PACKAGES = frozenset({"sqlite3", "aiosqlite", "psycopg", "psycopg2", "asyncpg"})

# An item of what `socket.getaddrinfo` returns; the address is the last.
_AddressInfo = tuple[int, int, int, str, tuple[object, ...]]
_FACTORY = 5  # number of arguments of `sqlite3.connect` after the first one, up to `factory`
_ATTACH = re.compile(
    r"""(?P<attach>(?:^|;)\s*ATTACH\s+(?:DATABASE\s+)?)(?P<file>'(?:[^']|'')*'|"(?:[^"]|"")*")""",
    re.IGNORECASE,
)


def add_audit_hook(audited: Mapping[str, Callable[..., None]]) -> None:
    """Install an audit hook that calls a function for each event of some names.

    The hook is a plain function: thousands of other events, such as one for each `id()`, pass through
    it, and a method takes three times as long.

    Args:
        audited: Event name to the function that takes the event's arguments.
    """

    def audit(name: str, arguments: tuple[object, ...]) -> None:
        if name in audited:
            audited[name](*arguments)

    sys.addaudithook(audit)


def contain_sqlite(
    path_of: Callable[[SqlitePath], SqlitePath], authorizes: Callable[..., int]
) -> None:
    """Make each connection of `sqlite3` open and attach other files, under an authorizer.

    Args:
        path_of: Takes the path that the program opens or attaches; returns the path to use.
        authorizes: Authorizer of SQLite that is called before the program's own.
    """
    connect: Function = sqlite3.connect

    class Attaching:
        def execute(self, sql: str, *parameters: object) -> DriverObject:
            return super().execute(_with_attached(sql, path_of), *parameters)  # type: ignore[misc]

        def executescript(self, script: str) -> DriverObject:
            return super().executescript(_with_attached(script, path_of))  # type: ignore[misc]

    class Cursor(Attaching, sqlite3.Cursor):
        pass

    class Connection(Attaching, sqlite3.Connection):
        def __init__(
            self, database: SqlitePath, *args: DriverObject, **kwargs: DriverObject
        ) -> None:
            super().__init__(path_of(database), *args, **kwargs)
            super().set_authorizer(authorizes)

        def cursor(self, factory: DriverObject = Cursor) -> DriverObject:
            return super().cursor(factory)

        def set_authorizer(self, authorizer_callback: Callable[..., int] | None) -> None:
            def both(*asked: object) -> int:
                assert authorizer_callback is not None
                return authorizes(*asked) or authorizer_callback(*asked)

            super().set_authorizer(authorizes if authorizer_callback is None else both)

    @functools.wraps(connect)
    def contained(database: object, *args: object, **kwargs: object) -> object:
        if len(args) < _FACTORY:
            kwargs.setdefault("factory", Connection)
        return connect(database, *args, **kwargs)

    for module in (sqlite3, sqlite3.dbapi2):
        module.connect, module.Connection = contained, Connection  # type: ignore[attr-defined]


def _with_attached(sql: str, path_of: Callable[[SqlitePath], SqlitePath]) -> str:
    """Replace the files in the ATTACH of a statement."""

    def replaced(found: re.Match[str]) -> str:
        quote = found["file"][0]
        file = found["file"][1:-1].replace(quote * 2, quote)
        instead = os.fsdecode(path_of(file))
        if instead == file:
            return found[0]
        return found["attach"] + quote + instead.replace(quote, quote * 2) + quote

    return _ATTACH.sub(replaced, sql)


def redirect_postgres(arguments_of: Arguments) -> None:
    """Make each driver of PostgreSQL connect to another server, as soon as it is imported."""
    for owner in (psycopg.Connection, psycopg.AsyncConnection):
        _redirect_class(owner, arguments_of)
    psycopg.connect = psycopg.Connection.connect
    psycopg.pq.PGconn = _redirected_libpq(arguments_of)
    _once_imported("psycopg2", functools.partial(_redirect_psycopg2, arguments_of))
    _once_imported("asyncpg", functools.partial(_redirect_asyncpg, arguments_of))


def _redirect_class(owner: DriverObject, arguments_of: Arguments) -> None:
    connect = owner.connect.__func__

    @functools.wraps(connect)
    def redirected(cls: object, conninfo: str = "", **kwargs: object) -> object:
        given, named = arguments_of(conninfo, kwargs)
        return connect(cls, given, **named)

    replacement: Function = redirected
    owner.connect = classmethod(replacement)


def _redirected_libpq(arguments_of: Arguments) -> DriverObject:
    """Return a subclass of psycopg's libpq connection that redirects each connection."""
    native: DriverObject = psycopg.pq.PGconn

    class OfAnyPGconn(type(native)):  # type: ignore[misc]
        def __instancecheck__(cls, instance: object) -> bool:
            return isinstance(instance, native)  # connections are instances of the native class

    class PGconn(native, metaclass=OfAnyPGconn):  # type: ignore[misc]
        @classmethod
        def connect(cls, conninfo: bytes) -> object:
            return native.connect(arguments_of(conninfo.decode(), {})[0].encode())

        @classmethod
        def connect_start(cls, conninfo: bytes) -> object:
            return native.connect_start(arguments_of(conninfo.decode(), {})[0].encode())

    return PGconn


def _redirect_psycopg2(arguments_of: Arguments) -> None:
    native = sys.modules["psycopg2._psycopg"]
    connect: Function = native._connect

    class Connection(native.connection):  # type: ignore[name-defined, misc]
        def __init__(self, dsn: str, *args: object, **kwargs: object) -> None:
            super().__init__(arguments_of(dsn, {})[0], *args, **kwargs)

    @functools.wraps(connect)
    def redirected(
        dsn: str, connection_factory: object = None, *args: object, **kwargs: object
    ) -> object:
        # A library that was imported earlier may subclass the native class, and not this one.
        given = arguments_of(dsn, {})[0]
        return connect(given, connection_factory or Connection, *args, **kwargs)

    for name in ("psycopg2._psycopg", "psycopg2.extensions"):
        sys.modules[name].connection = Connection  # type: ignore[attr-defined]
    for name in ("psycopg2._psycopg", "psycopg2"):
        sys.modules[name]._connect = redirected  # type: ignore[attr-defined]


def _redirect_asyncpg(arguments_of: Arguments) -> None:
    connect = sys.modules["asyncpg"].connect

    @functools.wraps(connect)
    def redirected(dsn: str | None = None, *args: object, **kwargs: object) -> object:
        given, named = arguments_of(dsn or "", kwargs)
        return connect(given or None, *args, **named)

    for name in ("asyncpg", "asyncpg.connection"):
        sys.modules[name].connect = redirected  # type: ignore[attr-defined]


def _once_imported(module: str, call: Callable[[], None]) -> None:
    """Call a function as soon as a module has been imported, or now if it has been."""
    if module in sys.modules:
        call()
    else:
        sys.meta_path.insert(0, _AfterImport(module, call))


class _AfterImport(MetaPathFinder):
    """Calls a function as soon as a module has been imported.

    Args:
        module: Full name of the module.
        call: Function to call once.
    """

    def __init__(self, module: str, call: Callable[[], None]) -> None:
        self._module = module
        self._call = call
        self._is_asked = False

    def find_spec(self, fullname: str, *_where: object) -> ModuleSpec | None:
        """Let the other finders find the module, and call the function after its execution."""
        if fullname != self._module or self._is_asked:
            return None
        self._is_asked = True
        try:
            spec = importlib.util.find_spec(fullname)
        finally:
            self._is_asked = False
        if spec is None or spec.loader is None:
            return None
        execute = spec.loader.exec_module

        def exec_module(module: ModuleType) -> None:
            execute(module)
            self._call()

        spec.loader.exec_module = exec_module  # type: ignore[method-assign]
        return spec


def watch_lookups(
    looks_up: Callable[..., None], looked_up: Callable[[object, set[str]], None]
) -> None:
    """Report each lookup of a host: its result, and before it where the audit event comes too late.

    Args:
        looks_up: Takes host and port before a lookup of an event loop, in the calling thread.
        looked_up: Takes host and addresses after a lookup.
    """
    getaddrinfo: Callable[..., Sequence[_AddressInfo]] = socket.getaddrinfo
    gethostbyname = socket.gethostbyname

    @functools.wraps(getaddrinfo)
    def noted(host: object, *args: object, **kwargs: object) -> Sequence[_AddressInfo]:
        found = getaddrinfo(host, *args, **kwargs)
        looked_up(host, {str(each[4][0]) for each in found})
        return found

    @functools.wraps(gethostbyname)
    def noted_by_name(host: str) -> str:
        address = gethostbyname(host)
        looked_up(host, {address})
        return address

    setattr(socket, "getaddrinfo", noted)  # noqa: B010
    socket.gethostbyname = noted_by_name
    # An event loop looks up in another thread, whose stack has no line of the user's code.
    in_loop: Function = asyncio.BaseEventLoop.getaddrinfo

    @functools.wraps(in_loop)
    def checked(self: object, host: object, port: object, **kwargs: object) -> object:
        looks_up(host, port)
        return in_loop(self, host, port, **kwargs)

    setattr(asyncio.BaseEventLoop, "getaddrinfo", checked)  # noqa: B010


def watch_threads(begins: Callable[[threading.Thread], None]) -> None:
    """Report each new thread, before it starts, in the thread that starts it."""
    start = threading.Thread.start

    @functools.wraps(start)
    def noted(self: threading.Thread) -> None:
        begins(self)
        start(self)

    setattr(threading.Thread, "start", noted)  # noqa: B010
