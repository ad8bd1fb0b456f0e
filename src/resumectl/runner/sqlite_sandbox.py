"""Make the databases of sandboxes as SQLite files, as copies of one template file."""

import shutil
from pathlib import Path

FILE_NAME = "trial.sqlite"


class SqliteDatabases:
    """SQLite files, each in the directory of its sandbox.

    Args:
        root: Directory of all sandboxes.
    """

    def __init__(self, root: Path) -> None:
        self._template = root / "template" / FILE_NAME
        self._template.parent.mkdir()

    @property
    def owned(self) -> None:
        """None: the files are deleted with the root."""

    @property
    def template_url(self) -> str:
        """URL of the template."""
        return f"sqlite:///{self._template}"

    def copy(self, directory: Path) -> str:
        """Copy the file, and return the URL of the copy."""
        shutil.copyfile(self._template, directory / FILE_NAME)
        return f"sqlite:///{directory / FILE_NAME}"

    def drop(self, url: str) -> None:
        """Do nothing: the file is deleted with its directory."""

    def keep(self, url: str, moved_to: Path) -> str:  # noqa: ARG002 (it stays with its directory)
        """Return the URL of the file in its new directory."""
        return f"sqlite:///{moved_to / FILE_NAME}"

    def close(self) -> None:
        """Do nothing: the files are deleted with the root."""
