"""Make sandboxes: one directory and one database for each trial, copied from a template."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from resumectl.model.orders import TEMPORARY_DIRECTORY
from resumectl.runner.sandbox_databases import SandboxDatabases
from resumectl.runner.sqlite_sandbox import SqliteDatabases

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
    """Sandboxes of one pool; `close` drops their databases.

    Args:
        root: Directory in which they are made.
        server_url: URL of the PostgreSQL server of the databases, with its password; `embedded` for a
            server of their own, None for SQLite files.

    Raises:
        MachineFailure: The server cannot be reached, or does not let a database be made.
    """

    def __init__(self, root: Path, server_url: str | None = None) -> None:
        self.root = root
        self.seed = self.root / "seed"  # copied into each sandbox
        (self.seed / TEMPORARY_DIRECTORY).mkdir(parents=True)
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
        """Drop all databases; the directory is deleted by its owner."""
        self.databases.close()
