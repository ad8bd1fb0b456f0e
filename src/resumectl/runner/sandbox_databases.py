"""Define the interface for the databases of sandboxes: copies of one template."""

from pathlib import Path
from typing import Protocol

from resumectl.model.orders import OwnDatabases

# Tables whose rows describe the schema: copies keep these rows.
VERSION_TABLES = (
    "dbos_migrations", "dbos_datasource_migrations", "resumectl_version", "alembic_version",
)  # fmt: skip


class SandboxDatabases(Protocol):
    """Databases of sandboxes, on SQLite or PostgreSQL."""

    @property
    def owned(self) -> OwnDatabases | None:
        """Databases that the fork server drops when it ends; None for none."""

    @property
    def template_url(self) -> str:
        """URL of the template, with its password; it is migrated once, before any copy is made."""

    def copy(self, directory: Path) -> str:
        """Copy the template for the sandbox of a directory, and return the URL of the copy."""

    def drop(self, url: str) -> None:
        """Drop a copy if it exists."""

    def keep(self, url: str, moved_to: Path) -> str:
        """Keep a copy whose directory has moved, and return its URL without the password."""

    def close(self) -> None:
        """Drop all copies that are not kept."""
