"""Pause a thread before steps and writes, so that other threads run first, as a schedule says."""

import random
import sys
import threading
import time

from resumectl.model.schedule import Schedule

_PAUSE_MAX_S = 0.002


class ThreadTurns:
    """Pauses of random length in this process.

    Args:
        schedule: Schedule of this process.
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
            time.sleep(pause_s)  # changes the order of the threads; waits for nothing
