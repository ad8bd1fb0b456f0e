"""Define the schedule of a process's threads: one for each repetition of a trial.

Threads on one core without pauses run in nearly the same order each time. A race between threads shows
only in other orders.
"""

from dataclasses import dataclass

# In seconds: Python's default, almost every bytecode, and hardly ever.
_SWITCH_INTERVALS_S = (0.005, 0.000_01, 0.05)


@dataclass(frozen=True, slots=True)
class Schedule:
    """Schedule of the threads of one process.

    Attributes:
        is_on_one_core: Whether all of them share a core.
        switch_interval_s: Time that a thread runs before another may run, in seconds.
        seed: Random seed of the pauses before steps and writes; None for no pauses.
    """

    is_on_one_core: bool
    switch_interval_s: float
    seed: int | None


def schedule_of(repetition: int) -> Schedule:
    """Return the schedule of a trial that repeats another one.

    Args:
        repetition: Number of trials of the same crash plan that precede it.
    """
    return Schedule(
        is_on_one_core=repetition % 2 == 0,
        switch_interval_s=_SWITCH_INTERVALS_S[repetition % len(_SWITCH_INTERVALS_S)],
        seed=repetition or None,
    )
