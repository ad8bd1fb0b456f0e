"""The databases of trials, each a copy of one template; here as files. See also `server`."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from sqlalchemy.engine import make_url

FILE_NAME = "trial.sqlite"
# Tables whose rows say which tables there are: they belong to the schema.
VERSION_TABLES = (
    "dbos_migrations", "dbos_datasource_migrations", "resumectl_version", "alembic_version",
)  # fmt: skip


def conninfo(url: str) -> str:
    """A URL of SQLAlchemy's for PostgreSQL, as libpq reads it."""
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


class Databases(Protocol):
    """Where the trials' databases are."""

    @property
    def at_death(self) -> Mapping[str, str] | None:
        """What a zygote is told, so that it takes them away should nobody else; see there."""

    @property
    def template_url(self) -> str:
        """To be migrated once, before any copy is made."""

    def copy(self, directory: Path) -> str:
        """A new copy of the template, for the place of that directory; returns its URL."""

    def drop(self, url: str) -> None:
        """Take a copy away, if it is there."""

    def keep(self, url: str, moved_to: Path) -> str:
        """Have a copy stay whose directory has moved; returns its URL, without a password."""

    def close(self) -> None:
        """Take all of them away, but for those that are kept."""


class Files:
    """SQLite files, each in its trial's directory, which they come and go with."""

    def __init__(self, root: Path) -> None:
        self._template = root / "template" / FILE_NAME
        self._template.parent.mkdir()

    @property
    def at_death(self) -> None:
        """Nothing: they go with the root."""

    @property
    def template_url(self) -> str:
        """The template's."""
        return f"sqlite:///{self._template}"

    def copy(self, directory: Path) -> str:
        """A copy of the file."""
        shutil.copyfile(self._template, directory / FILE_NAME)
        return f"sqlite:///{directory / FILE_NAME}"

    def drop(self, url: str) -> None:
        """Nothing: it goes with its directory."""

    def keep(self, url: str, moved_to: Path) -> str:  # noqa: ARG002 (it stays with its directory)
        """Where it is now."""
        return f"sqlite:///{moved_to / FILE_NAME}"

    def close(self) -> None:
        """Nothing: it is the root that is taken away."""
