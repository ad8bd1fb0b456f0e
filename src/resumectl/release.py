"""Check that the installed release of dbos is supported, without loading it."""

from importlib.metadata import PackageNotFoundError, version

from resumectl.errors import MachineFailure

# The same as in pyproject.toml; a test compares the two.
REQUIREMENT = "dbos>=3.4,<4"
_FROM, _BELOW = (3, 4), (4,)


def dbos_release() -> str:
    """Return the installed release of dbos; empty if it is not installed."""
    try:
        return version("dbos")
    except PackageNotFoundError:
        return ""


def require_dbos() -> None:
    """Refuse an unsupported release of dbos, before the import of a moved name fails.

    Raises:
        MachineFailure: The installed release is not supported, or dbos is not installed.
    """
    found = dbos_release()
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if not _FROM <= numbers < _BELOW:
        raise MachineFailure(
            f"dbos {found} is not supported" if found else "dbos is not installed",
            next_step=f"pip install '{REQUIREMENT}'",
        )
