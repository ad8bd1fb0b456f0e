"""Stretch resumectl's own time limits where the machine is slow or busy.

The measure is the start of a process that imports DBOS: the same work on every machine, done at the
start of each run. A limit that a user has set is not stretched. Only starts that are slower than on
a quiet machine count: no limit is ever shorter than it is written down.
"""

from resumectl.elapsed import seconds_since_start

# The start of a fork server takes 0.7 s of processor time on a machine of 2024.
START_UP_S = 1.0
_slowness = 1.0  # of this process, and of those forked from it


def measure() -> None:
    """Measure how slow the machine is; to be called once, when this process has imported DBOS."""
    global _slowness
    _slowness = slowness_of(seconds_since_start())


def slowness() -> float:
    """Return how many times longer everything takes than on a quiet machine; 1 if not measured."""
    return _slowness


def slowness_of(start_up_s: float) -> float:
    """Return how many times longer everything takes than on a quiet machine.

    Args:
        start_up_s: Duration of the start of a process that imports DBOS, in seconds.
    """
    return max(1.0, start_up_s / START_UP_S)


def stretched(seconds: float) -> float:
    """Return a duration on this machine, in seconds, from the duration on a quiet one."""
    return seconds * _slowness
