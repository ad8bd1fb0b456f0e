"""Check that a release of dbos is supported, without loading it."""

from importlib.metadata import PackageNotFoundError, version

from resumectl.errors import MachineFailure

# The same as in pyproject.toml; a test compares the two. resumectl's own workflows need it.
REQUIREMENT = "dbos>=3.4,<4"
_OWN_FROM, _OWN_BELOW = (3, 4), (4,)
# Releases of dbos that a target may run with, from and below; and the same for people.
_SUPPORTED = (((2, 13), (2, 32)), ((3, 0), (4,)))
SUPPORTED = "2.13 to 2.31, and 3.0 or a later 3.x"


def dbos_release() -> str:
    """Return the installed release of dbos; empty if it is not installed."""
    try:
        return version("dbos")
    except PackageNotFoundError:
        return ""


def require_dbos() -> None:
    """Refuse a release of dbos that resumectl's own workflows cannot run with.

    Raises:
        MachineFailure: The installed release is not supported, or dbos is not installed.
    """
    found = dbos_release()
    if not _OWN_FROM <= _numbers(found) < _OWN_BELOW:
        raise MachineFailure(
            f"dbos {found} is not supported" if found else "dbos is not installed",
            next_step=f"pip install '{REQUIREMENT}'",
        )


def is_supported(found: str) -> bool:
    """Return whether a target can be tested with a release of dbos.

    Args:
        found: The release, such as `2.31.1`.
    """
    return any(first <= _numbers(found) < below for first, below in _SUPPORTED)


def _numbers(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.split(".")[:2] if part.isdigit())
