"""One real death: start a victim, wait for it, and hold its death note against the kernel.

The experimenter of `crash-after`. Knows processes and pipes; the scenario under test runs
in the victim alone.
"""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass

from resumectl.model.crash_plan import EXIT_STATUS, Blow, CrashPlan
from resumectl.settings import URL_VARIABLES, Settings

VICTIM_MODULE = "resumectl.publishing.crash_after_process"


@dataclass(frozen=True, slots=True)
class Ending:
    """How a victim ended: what it wrote before the blow, and what the kernel says."""

    pid: int
    struck: str | None  # the crash point of the death note, as in after:alpha-1-7/delivered
    signal: int | None  # that killed it
    exit_status: int | None  # if no signal did

    def is_as_planned(self, plan: CrashPlan) -> bool:
        """Whether the blow of the plan's first death fell, and is what the process died of."""
        blow = plan.deaths[0].blow
        kernel_agrees = {
            Blow.KILL: self.signal == signal.SIGKILL,
            Blow.TERM: self.signal == signal.SIGTERM,
            Blow.EXIT: self.exit_status == EXIT_STATUS,
        }[blow]
        return self.struck is not None and kernel_agrees

    def __str__(self) -> str:
        if self.signal is not None:
            return f"killed by {signal.Signals(self.signal).name}"
        return f"exit status {self.exit_status}"


def run_victim(settings: Settings, argument: Callable[[int], str]) -> Ending:
    """Start a victim in a session of its own, and wait until it is dead.

    Args:
        settings: Its database; the URL goes by the environment, which other users cannot read.
        argument: Makes the victim's one argument from the descriptor of its death note.

    Returns:
        How it ended. Its output is this process's standard error.
    """
    reader, writer = os.pipe()
    environ = {**os.environ, URL_VARIABLES[0]: settings.secret_url}
    try:
        child = subprocess.Popen(
            [sys.executable, "-m", VICTIM_MODULE, argument(writer)],
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
            struck = note.read().decode().strip() or None
            # What the kernel says, before anything collects it.
            seen = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
        except BaseException:
            child.kill()
            raise
    by_signal = seen is not None and seen.si_code in (os.CLD_KILLED, os.CLD_DUMPED)
    status = seen.si_status if seen is not None else None
    return Ending(
        pid=child.pid,
        struck=struck,
        signal=status if by_signal else None,
        exit_status=None if by_signal else status,
    )
