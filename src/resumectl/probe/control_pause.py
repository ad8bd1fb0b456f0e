"""Pause a control run at the crash point, and let time pass there as between two processes."""

import time
from collections.abc import Callable

from resumectl.model.orders import Control
from resumectl.probe import clock
from resumectl.probe.background_jobs import BackgroundJobs
from resumectl.probe.late_writes import LateWrites


class ControlPause:
    """The pause of a control run: call it at the crash point.

    Args:
        control: Where to pause, how long, and how far to set the clock ahead.
        wait_for_silence: Function that waits until nothing has been committed for a while.

    Attributes:
        late: Holds late writes back; None if the clock is not set ahead.
    """

    def __init__(self, control: Control, wait_for_silence: Callable[[], None]) -> None:
        self._control = control
        self.late: LateWrites | None = None
        if control.jump_s:
            self.late = LateWrites(wait_for_silence)
            self._jobs = BackgroundJobs()
            self._jobs.start()

    def __call__(self) -> None:
        """Pause, and set the clock ahead if the control says so."""
        if self.late is None:
            time.sleep(self._control.pause_s)  # the pause itself is under test
            return
        with self.late.while_time_passes():
            clock.set_ahead(self._control.jump_s)
            self._jobs.run()
            time.sleep(self._control.pause_s)  # what has waited goes on meanwhile
