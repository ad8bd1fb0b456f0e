"""How the threads of a process get their turns: one value for each repetition of a trial.

A trial that runs on one core, without a pause, takes nearly the same order each time. A race
between threads shows in other orders only.
"""

from dataclasses import dataclass

# In seconds: Python's default, nearly each bytecode, and hardly ever.
_SWITCH_INTERVALS_S = (0.005, 0.000_01, 0.05)


@dataclass(frozen=True, slots=True)
class Schedule:
    """How the threads of one process are run.

    Attributes:
        is_on_one_core: Whether all of them share a core.
        switch_interval_s: How long a thread runs before another one may, in seconds.
        seed: Seed of the pauses ahead of steps and writes; None: there are none.
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
