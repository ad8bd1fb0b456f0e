"""Make sandboxes: one directory and one database for each trial, copied from a template.

All sandboxes are under one root, in memory-backed storage if the machine has some. The owner of the root
holds a lock that the kernel releases when the owner's process ends. The next runner deletes a root
without an owner.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from resumectl.model.orders import TEMPORARY_DIRECTORY
from resumectl.runner.sandbox_databases import SandboxDatabases
from resumectl.runner.sqlite_sandbox import SqliteDatabases

_PREFIX = "resumectl-sandboxes-"
_MEMORY = Path("/dev/shm")
EMBEDDED = "embedded"


@dataclass(frozen=True, slots=True)
class Sandbox:
    """Directory and database of one trial."""

    directory: Path
    database_url: str  # with its password

    def event_file(self, process: int) -> Path:
        """Return the path of the event file of a process, by its number from 1."""
        return self.directory / f".process-{process}"


class Sandboxes:
    """Root of all sandboxes; `close` deletes it.

    Args:
        server_url: URL of the PostgreSQL server of the databases, with its password; `embedded` for a
            server of their own, None for SQLite files.

    Raises:
        MachineFailure: The server cannot be reached, or does not let a database be made.
    """

    def __init__(self, server_url: str | None = None) -> None:
        parent = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        _clear_ownerless(parent)
        self.root = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        self.seed = self.root / "seed"  # copied into each sandbox
        (self.seed / TEMPORARY_DIRECTORY).mkdir(parents=True)
        self._owner = os.open(self.root / "owner", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)
        self.databases: SandboxDatabases
        if server_url is None:
            self.databases = SqliteDatabases(self.root)
        else:
            from resumectl.runner.postgres_sandbox import (  # loads psycopg
                EmbeddedDatabases,
                PostgresDatabases,
            )

            self.databases = (
                EmbeddedDatabases(self.root)
                if server_url == EMBEDDED
                else PostgresDatabases(server_url)
            )

    @contextmanager
    def sandbox(self) -> Iterator[Sandbox]:
        """Make a sandbox, and delete it at the end."""
        directory = Path(tempfile.mkdtemp(prefix="trial-", dir=self.root))
        shutil.copytree(self.seed, directory, dirs_exist_ok=True)
        sandbox = Sandbox(directory, self.databases.copy(directory))
        try:
            yield sandbox
        finally:
            shutil.rmtree(directory, ignore_errors=True)  # it may have been moved away
            self.databases.drop(sandbox.database_url)

    def keep(self, sandbox: Sandbox, to: Path) -> None:
        """Move a sandbox instead of deleting it, and write the URL of its database to a file in it.

        Args:
            sandbox: Sandbox to keep.
            to: New path of its directory.
        """
        to.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(sandbox.directory, to)
        (to / "DATABASE").write_text(f"{self.databases.keep(sandbox.database_url, to)}\n")

    def close(self) -> None:
        """Delete everything."""
        self.databases.close()
        shutil.rmtree(self.root, ignore_errors=True)
        os.close(self._owner)


def _clear_ownerless(parent: Path) -> None:
    for root in parent.glob(f"{_PREFIX}*"):
        try:
            owner = os.open(root / "owner", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # it belongs to another user, or is being made
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its owner is running
        else:
            shutil.rmtree(root, ignore_errors=True)
        finally:
            os.close(owner)
