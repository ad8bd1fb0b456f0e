"""Test in pytest that a DBOS program survives a crash at each of its durable writes.

Loads nothing but the declarations: the rest is loaded when a test uses them.

Example:
    >>> from resumectl.testing import crash_points, exactly_once
    >>> @crash_points("shop.py:checkout", args=["order-1"], promises={"charge": exactly_once})
    ... def test_checkout_survives_any_crash(trial):
    ...     trial.assert_kept()
"""

from typing import TYPE_CHECKING, Any

from resumectl.model.promise import Promise
from resumectl.testing.declare import CrashOptions, crash_points, crash_sweep

if TYPE_CHECKING:
    from resumectl.testing.results import CrashSweep, CrashTrial, PromiseBroken

__all__ = [
    "CrashOptions",
    "CrashSweep",
    "CrashTrial",
    "PromiseBroken",
    "at_least_once",
    "at_most_once",
    "crash_points",
    "crash_sweep",
    "exactly_once",
]

exactly_once = Promise.EXACTLY_ONCE
at_least_once = Promise.AT_LEAST_ONCE
at_most_once = Promise.AT_MOST_ONCE


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'resumectl.testing' has no attribute {name!r}")
    from resumectl.testing import results

    return getattr(results, name)
