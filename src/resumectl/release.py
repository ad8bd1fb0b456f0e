"""Whether the DBOS that is installed is one that resumectl was made for; loads nothing of it."""

from importlib.metadata import PackageNotFoundError, version

from resumectl.errors import MachineFailure

# As in pyproject.toml; a test holds the two against each other.
REQUIREMENT = "dbos>=3.4,<4"
_FROM, _BELOW = (3, 4), (4,)


def dbos_release() -> str:
    """The installed release of dbos; empty if there is none."""
    try:
        return version("dbos")
    except PackageNotFoundError:
        return ""


def require_dbos() -> None:
    """Refuse a release of dbos that resumectl was not made for, before a moved name fails.

    Raises:
        MachineFailure: It is another one.
    """
    found = dbos_release()
    numbers = tuple(int(part) for part in found.split(".")[:2] if part.isdigit())
    if not _FROM <= numbers < _BELOW:
        raise MachineFailure(
            f"dbos {found} is not supported" if found else "dbos is not installed",
            next_step=f"pip install '{REQUIREMENT}'",
        )
