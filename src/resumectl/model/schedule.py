"""Vary the order in which the threads of a process get their turns, from repetition to repetition.

A trial that runs on one core, without a pause, takes nearly the same order each time. A race
between threads shows in other orders only.
"""

import random
import sys
import threading
import time
from dataclasses import asdict, dataclass
from typing import Any

_PAUSE_MAX_S = 0.002
# In seconds: nearly each bytecode, Python's default, and hardly ever.
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

    def as_plain(self) -> dict[str, Any]:
        """Return itself for JSON."""
        return asdict(self)


def schedule_of(repetition: int) -> Schedule:
    """Return the schedule of a trial that repeats another one.

    Args:
        repetition: How many trials of the same crash plan precede it.
    """
    return Schedule(
        is_on_one_core=repetition % 2 == 0,
        switch_interval_s=_SWITCH_INTERVALS_S[repetition % len(_SWITCH_INTERVALS_S)],
        seed=repetition or None,
    )


class Turns:
    """Gives other threads a turn ahead of steps and writes, as a schedule says.

    Args:
        schedule: Of this process.
    """

    def __init__(self, schedule: Schedule) -> None:
        sys.setswitchinterval(schedule.switch_interval_s)
        self._random = None if schedule.seed is None else random.Random(schedule.seed)
        self._lock = threading.Lock()

    def give(self) -> None:
        """Pause for a moment, if the schedule has pauses."""
        if self._random is not None:
            with self._lock:
                pause_s = self._random.uniform(0.0, _PAUSE_MAX_S)
            time.sleep(pause_s)  # another order of the threads, and nothing is waited for
