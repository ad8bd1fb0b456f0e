"""Know the crash session of the running test; the plugin registers one for each run of pytest."""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from resumectl.testing.session import CrashSession

# The last one belongs to the innermost run: a test may run pytest itself.
providers: "list[Callable[[], CrashSession]]" = []


def current_session() -> "CrashSession":
    """Return the session of the running test.

    Raises:
        RuntimeError: No pytest is running.
    """
    if not providers:
        raise RuntimeError("crash_sweep is called in a test, which pytest runs")
    return providers[-1]()
