"""Make the directory in which resumectl keeps, beside a project, what can be made again."""

from pathlib import Path

LAB_DIRECTORY = ".resumectl"
_IGNORE = "# Made by resumectl; it can be deleted.\n*\n"


def make_lab_directory(directory: Path) -> None:
    """Make the directory, which version control ignores.

    Args:
        directory: Path of the directory, with this name.

    Raises:
        OSError: It cannot be made.
    """
    directory.mkdir(parents=True, exist_ok=True)
    ignore = directory / ".gitignore"
    if not ignore.exists():
        ignore.write_text(_IGNORE)
