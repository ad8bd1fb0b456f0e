"""Start the process of `crash-after`, wait for its end, and compare its note with what the kernel says.

Knows processes and pipes; the publisher runs in the started process alone.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from resumectl.model.codec import to_json
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.orders import CrashAfterOrder
from resumectl.model.process_exit import ProcessExit
from resumectl.settings import URL_VARIABLES, Settings

CRASH_AFTER_MODULE = "resumectl.publishing.crash_after_process"


@dataclass(frozen=True, slots=True)
class CrashedProcess:
    """How the process ended.

    Attributes:
        reached: Crash point that it noted, as in `after:alpha-1-7/delivered`; None if none.
        exit: What the kernel says.
    """

    reached: str | None
    exit: ProcessExit

    def is_as_planned(self, plan: CrashPlan) -> bool:
        """Return whether it reached the first crash of the plan, and ended by that."""
        return self.reached is not None and self.exit.is_by(plan.crashes[0].method)


def run_crash_process(
    settings: Settings, order: Callable[[int], CrashAfterOrder]
) -> CrashedProcess:
    """Start the process in a session of its own, and wait until it has ended.

    Args:
        settings: Its database. The URL goes by the environment, which other users cannot read.
        order: Returns its order, for the descriptor to which it writes its note.

    Returns:
        How it ended. Its output is this process's standard error.
    """
    reader, writer = os.pipe()
    environ = {**os.environ, URL_VARIABLES[0]: settings.secret_url}
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", CRASH_AFTER_MODULE, to_json(order(writer))],
            stdin=subprocess.DEVNULL,
            stdout=2,
            env=environ,
            pass_fds=(writer,),
            start_new_session=True,
        )
    finally:
        os.close(writer)
    with os.fdopen(reader, "rb") as note, child:
        try:
            # The pipe ends with its last writer: read before reaping, so it cannot fill up.
            reached = note.read().decode().strip() or None
            # What the kernel says, before anything collects it.
            exit_info = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        except BaseException:
            child.kill()
            raise
    by_signal = exit_info is not None and exit_info.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
    status = exit_info.si_status if exit_info is not None else None
    return CrashedProcess(
        reached,
        ProcessExit(
            pid=child.pid,
            signal=status if by_signal else None,
            exit_status=None if by_signal else status,
            in_time=True,
        ),
    )
