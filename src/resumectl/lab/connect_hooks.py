"""Stand before what connects to databases and looks up hosts, in this process.

Python's audit hooks tell of each connection of `sqlite3` and of sockets, whichever library, thread or
event loop makes it. libpq connects natively, so the `connect` of its drivers is replaced; and that of
`sqlite3` with its class, as an audit hook can replace no argument. Decides nothing: see `containment`.
"""

import asyncio
import functools
import importlib.util
import re
import socket
import sqlite3
import sys
from collections.abc import Callable, Mapping, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import psycopg

# Given a connection string and keywords; returns what the driver is to be called with instead.
Arguments = Callable[[str, Mapping[str, Any]], tuple[str, Mapping[str, Any]]]
# Drivers that a program may import beside psycopg, and the modules that have their `connect`.
POSTGRES_DRIVERS: Mapping[str, Sequence[str]] = {
    "psycopg2": ("psycopg2",),
    "asyncpg": ("asyncpg", "asyncpg.connection"),
}

_FACTORY = 5  # how many arguments after the first one `sqlite3.connect` has, up to `factory`
_ATTACH = re.compile(
    r"""(?P<attach>(?:^|;)\s*ATTACH\s+(?:DATABASE\s+)?)(?P<file>'(?:[^']|'')*'|"(?:[^"]|"")*")""",
    re.IGNORECASE,
)


def add_audit_hook(audited: Mapping[str, Callable[..., None]]) -> None:
    """Have Python call a function with the arguments of each event of its name.

    Args:
        audited: By event. Of the others there are thousands, as for each `id()`: a plain function takes
            a third of the time of a method there.
    """

    def audit(name: str, arguments: tuple[Any, ...]) -> None:
        if name in audited:
            audited[name](*arguments)

    sys.addaudithook(audit)


def contain_sqlite(path_of: Callable[[Any], Any], authorizes: Callable[..., int]) -> None:
    """Have each connection of `sqlite3` open and attach other files, and keep its authorizer.

    Args:
        path_of: Given what was to be opened or attached, returns what is.
        authorizes: SQLite's authorizer, which is asked ahead of the program's own.
    """
    connect = sqlite3.connect

    class Attaching:
        def execute(self, sql: str, *parameters: Any) -> Any:
            return super().execute(_with_attached(sql, path_of), *parameters)  # type: ignore[misc]

        def executescript(self, script: str) -> Any:
            return super().executescript(_with_attached(script, path_of))  # type: ignore[misc]

    class Cursor(Attaching, sqlite3.Cursor):
        pass

    class Connection(Attaching, sqlite3.Connection):
        def __init__(self, database: Any, *args: Any, **kwargs: Any) -> None:
            super().__init__(path_of(database), *args, **kwargs)
            super().set_authorizer(authorizes)

        def cursor(self, factory: Any = Cursor) -> Any:
            return super().cursor(factory)

        def set_authorizer(self, authorizer_callback: Callable[..., int] | None) -> None:
            def both(*asked: Any) -> int:
                assert authorizer_callback is not None
                return authorizes(*asked) or authorizer_callback(*asked)

            super().set_authorizer(authorizes if authorizer_callback is None else both)

    @functools.wraps(connect)
    def contained(database: Any, *args: Any, **kwargs: Any) -> Any:
        if len(args) < _FACTORY:
            kwargs.setdefault("factory", Connection)
        return connect(database, *args, **kwargs)

    for module in (sqlite3, sqlite3.dbapi2):
        module.connect, module.Connection = contained, Connection  # type: ignore[attr-defined]


def _with_attached(sql: str, path_of: Callable[[Any], Any]) -> str:
    """Return a statement with other files in its ATTACH."""

    def replaced(found: re.Match[str]) -> str:
        quote = found["file"][0]
        file = found["file"][1:-1].replace(quote * 2, quote)
        instead: str = path_of(file)
        if instead == file:
            return found[0]
        return found["attach"] + quote + instead.replace(quote, quote * 2) + quote

    return _ATTACH.sub(replaced, sql)


def redirect_psycopg(arguments_of: Arguments) -> None:
    """Have psycopg connect to another server."""
    for owner in (psycopg.Connection, psycopg.AsyncConnection):
        _redirect_class(owner, arguments_of)
    psycopg.connect = psycopg.Connection.connect


def _redirect_class(owner: Any, arguments_of: Arguments) -> None:
    connect = owner.connect.__func__

    @functools.wraps(connect)
    def redirected(cls: Any, conninfo: str = "", **kwargs: Any) -> Any:
        given, named = arguments_of(conninfo, kwargs)
        return connect(cls, given, **named)

    owner.connect = classmethod(redirected)  # type: ignore[arg-type]


def redirect_driver(module: str, owners: Sequence[str], arguments_of: Arguments) -> None:
    """Have another driver connect to another server, as soon as it is imported.

    Args:
        module: Name of the driver's package.
        owners: Modules that have its `connect`.
        arguments_of: Returns what it is to be called with.
    """

    def redirect() -> None:
        connect = sys.modules[module].connect

        @functools.wraps(connect)
        def redirected(dsn: str | None = None, *args: Any, **kwargs: Any) -> Any:
            given, named = arguments_of(dsn or "", kwargs)
            return connect(given or None, *args, **named)

        for owner in owners:
            sys.modules[owner].connect = redirected  # type: ignore[attr-defined]

    if module in sys.modules:
        redirect()
    else:
        sys.meta_path.insert(0, _AfterImport(module, redirect))


class _AfterImport(MetaPathFinder):
    """Calls a function as soon as a module has been imported.

    Args:
        module: Full name of the module.
        call: Called once.
    """

    def __init__(self, module: str, call: Callable[[], None]) -> None:
        self._module = module
        self._call = call
        self._is_asked = False

    def find_spec(self, fullname: str, *_where: Any) -> ModuleSpec | None:
        """Leave it to the others to find the module, and stand behind its execution."""
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
    looks_up: Callable[..., None], looked_up: Callable[[Any, set[str]], None]
) -> None:
    """Tell of each lookup of a host: ahead of it where that is not audited in time, and behind it.

    Args:
        looks_up: Given host and port, in the thread that asks.
        looked_up: Given host and addresses.
    """
    getaddrinfo, gethostbyname = socket.getaddrinfo, socket.gethostbyname

    @functools.wraps(getaddrinfo)
    def noted(host: Any, *args: Any, **kwargs: Any) -> Any:
        found = getaddrinfo(host, *args, **kwargs)
        looked_up(host, {str(each[4][0]) for each in found})
        return found

    @functools.wraps(gethostbyname)
    def noted_by_name(host: str) -> str:
        address = gethostbyname(host)
        looked_up(host, {address})
        return address

    socket.getaddrinfo, socket.gethostbyname = noted, noted_by_name
    # An event loop looks up in another thread, where no line of the user's is under way.
    in_loop = asyncio.BaseEventLoop.getaddrinfo

    @functools.wraps(in_loop)
    def checked(self: Any, host: Any, port: Any, **kwargs: Any) -> Any:
        looks_up(host, port)
        return in_loop(self, host, port, **kwargs)

    setattr(asyncio.BaseEventLoop, "getaddrinfo", checked)  # noqa: B010
