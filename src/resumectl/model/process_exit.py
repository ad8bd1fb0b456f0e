"""Define the exit of a process, as the kernel reports it, and the exit statuses of target processes."""

import os
import signal
from dataclasses import dataclass

from resumectl.model.crash_plan import EXIT_STATUS, KillMethod

ENDED_WELL = 0
TARGET_FAILED = 70  # the target could not be run; the trial proves nothing
DISK_FULL = 71  # the disk is full; the trial proves nothing
ACCESS_REFUSED = 72  # the program accessed something outside the sandbox
SQLITE_TOO_OLD = 73  # DBOS cannot make its tables with this interpreter's SQLite


@dataclass(frozen=True, slots=True)
class ProcessExit:
    """Exit of one process.

    Attributes:
        pid: Its process id.
        signal: Number of the signal that killed it; None if it exited.
        exit_status: Its exit status; None if a signal killed it.
        in_time: Whether it ended before the runner's time limit.
    """

    pid: int
    signal: int | None
    exit_status: int | None
    in_time: bool

    @classmethod
    def reported(cls, pid: int, code: int, status: int, *, in_time: bool = True) -> "ProcessExit":
        """Return the exit that the kernel reports.

        Args:
            pid: Its process id.
            code: `si_code` of waitid(2).
            status: `si_status` of waitid(2).
            in_time: Whether it ended before the runner's time limit.
        """
        is_by_signal = code in (os.CLD_KILLED, os.CLD_DUMPED)
        return cls(
            pid=pid,
            signal=status if is_by_signal else None,
            exit_status=None if is_by_signal else status,
            in_time=in_time,
        )

    def is_by(self, method: KillMethod) -> bool:
        """Return whether the process ended as a kill method ends it."""
        return {
            KillMethod.KILL: self.signal == signal.SIGKILL,
            KillMethod.TERM: self.signal == signal.SIGTERM,
            KillMethod.EXIT: self.exit_status == EXIT_STATUS,
        }[method]

    def __str__(self) -> str:
        if not self.in_time:
            return "ended by the runner: time limit reached"
        if self.signal is not None:
            return f"killed by {signal.Signals(self.signal).name}"
        return f"exit status {self.exit_status}"
