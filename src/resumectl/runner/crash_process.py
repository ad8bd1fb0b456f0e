"""Start the process of `crash-after`, wait for its end, and compare its note with the kernel's report.

Knows only processes and pipes; the publisher runs only in the started process.
"""

import os
import subprocess
from collections.abc import Callable
from dataclasses import dataclass

from resumectl.model.codec import to_json
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.orders import CrashAfterOrder
from resumectl.model.process_exit import ProcessExit
from resumectl.runner.interpreters import OWN_START
from resumectl.settings import URL_VARIABLES, Settings

CRASH_AFTER_MODULE = "resumectl.publishing.crash_after_process"


@dataclass(frozen=True, slots=True)
class CrashedProcess:
    """End of the process of `crash-after`.

    Attributes:
        reached: Crash point in its note, such as `after:alpha-1-7/delivered`; None for no note.
        exit: Its exit, as the kernel reports it.
    """

    reached: str | None
    exit: ProcessExit

    def is_as_planned(self, plan: CrashPlan) -> bool:
        """Return whether it reached the first crash of the plan and ended as that crash says."""
        return self.reached is not None and self.exit.is_by(plan.crashes[0].method)


def run_crash_process(
    settings: Settings, order: Callable[[int], CrashAfterOrder]
) -> CrashedProcess:
    """Start the process in a session of its own, and wait until it has ended.

    Args:
        settings: Settings with its database. The URL is passed in the environment, which other users
            cannot read.
        order: Function that returns its order, from the descriptor to which it writes its note.

    Returns:
        The end of the process. Its output goes to this process's standard error.
    """
    reader, writer = os.pipe()
    environ = {**os.environ, URL_VARIABLES[0]: settings.secret_url}
    try:
        child = subprocess.Popen(
            [*OWN_START, CRASH_AFTER_MODULE, to_json(order(writer))],
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
            # The pipe ends with its last writer. Read it before reaping the process, so it cannot fill up.
            reached = note.read().decode().strip() or None
            # Read the kernel's report before the process is reaped.
            ended = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        except BaseException:
            child.kill()
            raise
    assert ended is not None  # only with WNOHANG
    return CrashedProcess(reached, ProcessExit.reported(child.pid, ended.si_code, ended.si_status))
