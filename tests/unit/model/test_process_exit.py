"""The end of a process is told by the kernel's report of it."""

import os
import signal

import pytest

from resumectl.model.crash_plan import EXIT_STATUS, KillMethod
from resumectl.model.process_exit import ProcessExit

KILLED = ProcessExit(1, signal.SIGKILL, None, in_time=True)
TERMINATED = ProcessExit(1, signal.SIGTERM, None, in_time=True)
EXITED = ProcessExit(1, None, EXIT_STATUS, in_time=True)
FINISHED = ProcessExit(1, None, 0, in_time=True)
OUT_OF_TIME = ProcessExit(1, signal.SIGKILL, None, in_time=False)


@pytest.mark.parametrize(
    ("method", "process_exit"),
    [(KillMethod.KILL, KILLED), (KillMethod.TERM, TERMINATED), (KillMethod.EXIT, EXITED)],
)
def test_each_kill_method_ends_a_process_in_its_own_way(
    method: KillMethod, process_exit: ProcessExit
) -> None:
    ends = [KILLED, TERMINATED, EXITED, FINISHED]
    assert [end for end in ends if end.is_by(method)] == [process_exit]


@pytest.mark.parametrize(
    ("process_exit", "text"),
    [
        (KILLED, "killed by SIGKILL"),
        (TERMINATED, "killed by SIGTERM"),
        (EXITED, "exit status 86"),
        (FINISHED, "exit status 0"),
        (OUT_OF_TIME, "ended by the runner: time limit reached"),
    ],
)
def test_exit_is_worded_as_the_kernel_reports_it(process_exit: ProcessExit, text: str) -> None:
    assert str(process_exit) == text


def test_report_of_the_kernel_is_a_signal_or_a_status() -> None:
    killed = ProcessExit.reported(1, os.CLD_KILLED, signal.SIGKILL)
    dumped = ProcessExit.reported(1, os.CLD_DUMPED, signal.SIGSEGV)
    exited = ProcessExit.reported(1, os.CLD_EXITED, 3, in_time=False)
    assert killed == KILLED
    assert (dumped.signal, dumped.exit_status) == (signal.SIGSEGV, None)
    assert (exited.signal, exited.exit_status, exited.in_time) == (None, 3, False)
