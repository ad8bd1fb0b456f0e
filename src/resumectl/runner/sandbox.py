"""Where trials happen: one directory and one database for each, copied from a template.

Everything is under one root, in memory-backed storage where there is some. The root has an
owner, told by a lock that dies with its process; a root without one is cleared away by
whoever comes next.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from resumectl.runner.sqlite_sandbox import Databases, Files

TEMPORARY_DIRECTORY = ".tmp"  # in each place: what a program puts there is its trial's own
_PREFIX = "resumectl-lab-"
_MEMORY = Path("/dev/shm")
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Place:
    """One trial's own directory and database."""

    directory: Path
    database_url: str  # with its password

    def record(self, life: int) -> Path:
        """The record of its life of that number, from 1."""
        return self.directory / f".life-{life}"


class Places:
    """The root of all places; close to take it away.

    Args:
        server_url: Of the PostgreSQL server where the databases are; `embedded` for one of
            their own, None for SQLite files.

    Raises:
        MachineFailure: The server cannot be reached, or does not let a database be made.
    """

    def __init__(self, server_url: str | None = None) -> None:
        parent = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        _clear_ownerless(parent)
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self.seed = self.root / "seed"  # what each trial's directory begins with
        (self.seed / TEMPORARY_DIRECTORY).mkdir(parents=True)
        self._owner = os.open(self.root / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        self.databases: Databases
        if server_url is None:
            self.databases = Files(self.root)
        else:
            from resumectl.runner.postgres_sandbox import Embedded, Server  # loads psycopg

            self.databases = Embedded(self.root) if server_url == EMBEDDED else Server(server_url)

    @contextmanager
    def place(self) -> Iterator[Place]:
        """A fresh place, taken away at the end."""
        directory = Path(tempfile.mkdtemp(prefix="trial-", dir=self.root))
        shutil.copytree(self.seed, directory, dirs_exist_ok=True)
        place = Place(directory, self.databases.copy(directory))
        try:
            yield place
        finally:
            shutil.rmtree(directory, ignore_errors=True)  # it is gone if it was moved away
            self.databases.drop(place.database_url)

    def keep(self, place: Place, to: Path) -> None:
        """Keep a place instead of taking it away; a file in it names its database.

        Args:
            place: The one.
            to: Where its directory is to be.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(place.directory, to)
        (to / "DATABASE").write_text(f"{self.databases.keep(place.database_url, to)}\n")

    def close(self) -> None:
        """Take everything away."""
        self.databases.close()
        shutil.rmtree(self.root, ignore_errors=True)
        os.close(self._owner)


def _clear_ownerless(parent: Path) -> None:
    for root in parent.glob(f"{_PREFIX}*"):
        try:
            owner = os.open(root / "owner", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # another user's, or one that is being made
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # at work
        else:
            shutil.rmtree(root, ignore_errors=True)
        finally:
            os.close(owner)
