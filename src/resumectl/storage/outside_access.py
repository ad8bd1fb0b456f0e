"""Decide whether a database or a host is inside the sandbox of a trial.

Reads only symbolic links and libpq's defaults (environment variables and service files). Installs
nothing: see `containment`.
"""

import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

import psycopg
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import Conninfo
from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

from resumectl.model.target import Access
from resumectl.storage.postgres import conninfo

_LOCALHOST = "localhost"
_LOCAL_NAMES = frozenset({"", "localhost", "localhost.localdomain", "ip6-localhost"})
_POSTGRES_PORT = "5432"
_MEMORY = ":memory:"
_WAL_VERSION = slice(
    18, 20
)  # bytes of a SQLite file: the version for writing, and the version for reading
_WAL = bytes([2, 2])
_FILE_BACKENDS = frozenset({"sqlite", "duckdb"})  # databases that are files, without a server
_HOST = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\s/@?#:\[\]]+))(?::(\d{1,5}))?")


class Location(NamedTuple):
    """Location of a database, without the driver, the user and the password."""

    backend: str  # as SQLAlchemy names it: sqlite, postgresql, …
    host: str
    port: str
    database: str  # for SQLite: path of the file, without symbolic links

    def __str__(self) -> str:
        if not self.host or self.host.startswith("/"):
            parts = {"host": self.host, "port": self.port if self.port != _POSTGRES_PORT else ""}
            query = "&".join(f"{name}={value}" for name, value in parts.items() if value)
            return f"{self.backend}:///{self.database}{'?' if query else ''}{query}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = f":{self.port}" if self.port else ""
        return f"{self.backend}://{host}{port}/{self.database}"


class Reach(Enum):
    """Reach of a program's connection, from inside the sandbox to other hosts."""

    INSIDE = "the trial's own"
    LOOPBACK = "on this machine"
    ALLOWED = "outside, and allowed"
    OUTSIDE = "outside"


# --- databases


def sqlite_file(database: object) -> str | None:
    """Return the path of the file that SQLite may write; None if it may write none.

    A database in memory and a temporary one have no file. SQLite does not write a file that is opened
    with `mode=ro` or `immutable=1`, but with `mode=ro` it makes files beside a database in WAL mode.

    Args:
        database: Argument of `sqlite3.connect`: text, bytes, a path or a `file:` URI.
    """
    text = os.fsdecode(database) if isinstance(database, str | bytes | os.PathLike) else ""
    if text.startswith("file:"):
        path, _, query = text.removeprefix("file:").partition("#")[0].partition("?")
        options = parse_qs(query)
        is_immutable = options.get("immutable", [""])[0].lower() in ("1", "yes", "true", "on")
        mode = options.get("mode", [""])[-1]
        if is_immutable or mode == "memory":
            return None
        if path.startswith("//"):  # an authority: empty or localhost
            path = path.removeprefix("//").removeprefix("localhost")
        text = unquote(path)
        if mode == "ro" and not _is_in_wal_mode(text):
            return None
    if text in ("", _MEMORY):
        return None
    return os.path.realpath(text)


def _is_in_wal_mode(path: str) -> bool:
    """Return whether SQLite needs files beside a database to read it."""
    try:
        with Path(path).open("rb") as file:
            return file.read(_WAL_VERSION.stop)[_WAL_VERSION] == _WAL
    except (OSError, ValueError):
        return False  # SQLite reports the error


def postgres_locations(given: Mapping[str, object]) -> list[Location]:
    """Return the locations to which libpq connects: one for each host, in the order of its attempts.

    Args:
        given: Parameters of the connection string and keywords, by libpq's names.
    """
    defaults = _postgres_defaults(str(given.get("service") or ""))
    found = {**defaults, **{name: str(each) for name, each in given.items() if each is not None}}
    hosts = (found.get("hostaddr") or found.get("host") or "").split(",")
    ports = (found.get("port") or _POSTGRES_PORT).split(",")
    database = found.get("dbname") or found.get("user") or ""
    return [
        Location(
            "postgresql",
            _same_host(host),
            ports[min(number, len(ports) - 1)] or _POSTGRES_PORT,
            database,
        )
        for number, host in enumerate(hosts)
    ]


def _postgres_defaults(service: str) -> dict[str, str]:
    """Return libpq's defaults from the environment, the service file and the system."""
    before = os.environ.get("PGSERVICE")
    if service:
        os.environ["PGSERVICE"] = service
    try:
        options = Conninfo.get_defaults()
    finally:
        if before is not None:
            os.environ["PGSERVICE"] = before
        elif service:
            del os.environ["PGSERVICE"]
    return {
        option.keyword.decode(): option.val.decode() for option in options if option.val is not None
    }


def locations_of_url(url: str | URL) -> list[Location]:
    """Return the locations of a SQLAlchemy URL with any driver; none for a database in memory."""
    parsed = make_url(url)
    backend = parsed.get_backend_name()
    if backend in _FILE_BACKENDS:
        return locations_of_arguments(backend, [], {"database": parsed.database})
    if backend == "postgresql":
        return postgres_locations(conninfo_to_dict(conninfo(str_of(parsed))))
    port = str(parsed.port or "")
    return [Location(backend, _same_host(parsed.host or ""), port, parsed.database or "")]


def canonical_urls(text: str) -> list[str]:
    """Return the normalized URL of each database that a URL leads to.

    Raises:
        ValueError: The text is no URL, or its database does not outlive its process.
    """
    try:
        found = locations_of_url(text)
    except (ArgumentError, psycopg.Error) as error:
        raise ValueError from error
    if not found:
        raise ValueError
    return list(map(str, found))


def str_of(url: URL) -> str:
    """Return a URL as text, with its password."""
    return url.render_as_string(hide_password=False)


def locations_of_arguments(
    backend: str, positional: list[object], named: Mapping[str, object]
) -> list[Location]:
    """Return the locations to which a driver connects, from the arguments of its `connect`.

    Args:
        backend: Name of SQLAlchemy's dialect.
        positional: Positional arguments of the driver's `connect`.
        named: Keyword arguments of the driver's `connect`.
    """
    if backend == "sqlite":
        path = sqlite_file(positional[0] if positional else named.get("database"))
        return [] if path is None else [Location(backend, "", "", path)]
    names = {**named}
    if backend == "postgresql":
        texts = [*positional, named.get("dsn")]
        names |= conninfo_to_dict(" ".join(each for each in texts if isinstance(each, str)))
        names["dbname"] = named.get("dbname") or named.get("database") or names.get("dbname")
        libpq = ("host", "hostaddr", "port", "dbname", "user", "service")
        return postgres_locations({name: names[name] for name in libpq if names.get(name)})
    names |= _parse_odbc(" ".join(each for each in positional if isinstance(each, str)))
    host = str(names.get("host") or names.get("server") or names.get("unix_socket") or "")
    port = str(names.get("port") or "")
    database = str(
        names.get("database") or names.get("db") or names.get("dbname") or names.get("dsn") or ""
    )
    if backend in _FILE_BACKENDS:
        path = None if database in ("", _MEMORY) else os.path.realpath(database)
        return [] if path is None else [Location(backend, "", "", path)]
    return [Location(backend, _same_host(host), port, database)]


def _parse_odbc(text: str) -> dict[str, str]:
    """Parse the connection string of an ODBC driver: `Server=tcp:db.example.com,1433;Database=shop`."""
    pairs = (pair.partition("=") for pair in text.split(";"))
    found = {name.strip().lower(): value.strip(" {}") for name, _, value in pairs}
    if "server" in found:
        found["server"], _, found["port"] = found["server"].removeprefix("tcp:").partition(",")
    return found


def is_same_database(text: str, location: Location) -> bool:
    """Return whether the value of an environment variable names a database."""
    try:
        if "://" in text:
            return location in locations_of_url(text)
        if location.backend == "postgresql" and "=" in text:
            return location in locations_of_arguments(location.backend, [text], {})
    except (ArgumentError, psycopg.Error, ValueError):
        return False  # the URL of something else
    return location.backend == "sqlite" and os.path.realpath(text) == location.database


# --- hosts


def is_loopback(host: str) -> bool:
    """Return whether a name or an address always means this machine."""
    plain = host.strip("[]").partition("%")[0].rstrip(".").lower()
    if plain in _LOCAL_NAMES or plain.endswith(".localhost"):
        return True
    try:
        address = ipaddress.ip_address(plain)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def _same_host(host: str) -> str:
    """Return the host; every name of this machine becomes the same name."""
    if host.startswith("/"):
        return host  # directory of a Unix socket
    return _LOCALHOST if host and is_loopback(host) else host.lower().rstrip(".")


def parse_host(text: str) -> tuple[str, int | None]:
    """Parse `HOST[:PORT]`; the port is None if every port is meant.

    Raises:
        ValueError: The text has another form.
    """
    found = _HOST.fullmatch(f"[{text}]" if _is_ip6(text) else text)
    if found is None or (found[3] and not 0 < int(found[3]) < 65_536):
        raise ValueError(text)
    return _same_host(found[1] or found[2]), int(found[3]) if found[3] else None


def _is_ip6(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).version == 6
    except ValueError:
        return False


def redirected_file(number: int, location: Location) -> str:
    """Return the file in a sandbox that replaces a SQLite file outside.

    Args:
        number: Number of the redirection, from 1: two files may have the same name.
        location: Location of the file outside.
    """
    return f".redirected/{number}-{Path(location.database).name}"


@dataclass(frozen=True, slots=True)
class AccessRules:
    """Rules for what is inside a sandbox, and what may be used outside.

    Args:
        directory: Directory of the trial, without symbolic links; all files in it are inside.
        own: Location of the trial's own database.
        redirected: Database outside to the path or URL of its replacement inside.
        allowed: Databases outside that may be opened.
        hosts: Hosts outside that may be reached, each with a port, or None for every port.
        mirrored: Directory whose SQLite files are replaced by files of the same relative path in the
            sandbox. Empty for none.
    """

    directory: str
    own: tuple[Location, ...]
    redirected: Mapping[Location, str]
    allowed: frozenset[Location]
    hosts: frozenset[tuple[str, int | None]]
    mirrored: str = ""

    @classmethod
    def of_trial(cls, access: Access, directory: str, database_url: str) -> "AccessRules":
        """Return the rules of a trial.

        Args:
            access: What the user allows outside the sandbox.
            directory: Absolute path of the trial's directory.
            database_url: URL of the trial's own database.
        """
        return cls(
            os.path.realpath(directory),
            tuple(locations_of_url(database_url)),
            {
                location: str(Path(directory, redirected_file(number, location)))
                if location.backend == "sqlite"
                else database_url
                for number, url in enumerate(access.redirects, start=1)
                for location in locations_of_url(url)
            },
            frozenset(location for url in access.databases for location in locations_of_url(url)),
            frozenset(map(parse_host, access.hosts)),
        )

    def replacement(self, location: Location) -> str | None:
        """Return the path or URL that replaces a database; None if nothing replaces it."""
        if location in self.redirected:
            return self.redirected[location]
        path = Path(location.database)
        if self.mirrored and location.backend == "sqlite" and path.is_relative_to(self.mirrored):
            return str(Path(self.directory, path.relative_to(self.mirrored)))
        return None

    def as_typed(self, location: Location, typed_in: Path) -> Location:
        """Return a location as its relative path means it in the user's directory.

        A program reaches the directory around its sandbox, which has a random name, only by a relative
        path that leaves the sandbox (`../shop.db`).

        Args:
            location: Location as the target process resolves it, in the sandbox.
            typed_in: The user's directory.
        """
        path, around = Path(location.database), Path(self.directory).parent
        is_inside = path.is_relative_to(self.directory) or location in self.own
        if location.backend not in _FILE_BACKENDS or is_inside or not path.is_relative_to(around):
            return location
        relative = os.path.relpath(path, self.directory)
        return location._replace(database=os.path.realpath(Path(typed_in, relative)))

    def is_open(self, location: Location) -> bool:
        """Return whether a database may be opened without a replacement."""
        if location in self.own or location in self.allowed:
            return True
        is_file = location.backend in _FILE_BACKENDS
        return is_file and Path(location.database).is_relative_to(self.directory)

    def reach(self, host: str, port: int | None) -> Reach:
        """Return how far away a host is, by its name or address.

        Args:
            host: Name or address that the program uses.
            port: Port number; None if it is not known, as in a lookup.
        """
        known = _same_host(host)
        if any(self._is_at(each, known, port) for each in self.own):
            return Reach.INSIDE
        if is_loopback(host):
            return Reach.LOOPBACK
        if self.is_listed(host, port) or any(
            self._is_at(each, known, port) for each in self.allowed
        ):
            return Reach.ALLOWED
        return Reach.OUTSIDE

    def is_listed(self, host: str, port: int | None) -> bool:
        """Return whether a host, or this machine, is explicitly allowed by its name or address.

        Args:
            host: Name or address that the program uses.
            port: Port number; None if it is not known.
        """
        known = _same_host(host)
        is_named = bool({(known, port), (known, None)} & self.hosts)
        return is_named or (port is None and any(known == each for each, _ in self.hosts))

    def socket_reach(self, path: str) -> Reach:
        """Return how far away the listener of a Unix socket is: never outside."""
        is_inside = Path(path).is_relative_to(self.directory) or any(
            each.host.startswith("/") and Path(path).is_relative_to(each.host) for each in self.own
        )
        return Reach.INSIDE if is_inside else Reach.LOOPBACK

    @staticmethod
    def _is_at(location: Location, host: str, port: int | None) -> bool:
        if location.backend == "sqlite" or location.host != host or not host:
            return False
        return port is None or not location.port or location.port == str(port)
