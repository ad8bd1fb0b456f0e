"""The interface of the databases of sandboxes, on SQLite and PostgreSQL: copies of one template."""

from pathlib import Path
from typing import Protocol

from resumectl.model.orders import OwnDatabases

# Tables whose rows say which tables there are: they belong to the schema.
VERSION_TABLES = (
    "dbos_migrations", "dbos_datasource_migrations", "resumectl_version", "alembic_version",
)  # fmt: skip


class SandboxDatabases(Protocol):
    """Where the databases of sandboxes are."""

    @property
    def owned(self) -> OwnDatabases | None:
        """What the fork server is to drop when it ends; None if nothing."""

    @property
    def template_url(self) -> str:
        """URL of the template, with its password: migrated once, before any copy is made."""

    def copy(self, directory: Path) -> str:
        """Copy the template for the sandbox of a directory, and return the URL of the copy."""

    def drop(self, url: str) -> None:
        """Drop a copy, if it is there."""

    def keep(self, url: str, moved_to: Path) -> str:
        """Keep a copy whose directory has moved, and return its URL, without a password."""

    def close(self) -> None:
        """Drop all copies that are not kept."""
