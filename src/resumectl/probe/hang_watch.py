"""Notice, in the target process, that an uninterrupted run will not end, and where it hangs.

A thread looks at the main thread twice a second. Before DBOS is launched, it ends a process that
runs a server or stays at one line. Later it records the line of the main thread, shortly before the
time is up.
"""

import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from resumectl.model.events import (
    Phase,
    PhaseStarted,
    Stalled,
    Stranded,
    TimeRunsOut,
    UnregisteredQueue,
    now_us,
)
from resumectl.model.process_exit import ENDED_WELL
from resumectl.model.target_error import CodeLine
from resumectl.probe import pace
from resumectl.probe.error_facts import source_files
from resumectl.probe.event_log import EventLog
from resumectl.probe.setup_code import find_queue
from resumectl.probe.user_code import innermost_in_stack, outward
from resumectl.storage.snapshot_reader import SnapshotReader

_LOOK_EVERY_S = 0.5
_LOOKS_MIN = 8  # within the time limit
# Number of consecutive equal looks. A process that gets no CPU does not look either.
_LOOKS_AT_SERVER = 2
# Fraction of the time limit that may pass at one line before DBOS is launched.
_STANDS_PART = 1 / 3
_CPU_SHARE_MAX = 0.02  # share of that time for which a waiting thread may use the CPU
_LAST_LOOK_S = 1.0  # before the time limit
_OTHERS_MAX = 3

# Module and function of servers that run until they are stopped.
_SERVERS = frozenset({
    ("socketserver", "serve_forever"), ("uvicorn.server", "run"), ("hypercorn.run", "run"),
    ("aiohttp.web", "run_app"), ("waitress.server", "run"), ("gunicorn.arbiter", "run"),
})  # fmt: skip
_BEFORE_REQUEST = frozenset({Phase.IMPORT, Phase.PREPARE, Phase.AFTER_LAUNCH})


class HangWatch:
    """Looks at the main thread, and records each phase of the run.

    Args:
        event_log: Event log of this process.
        roots: Directories of the program.
        time_limit_s: Maximum duration of the run, in seconds; None to watch nothing.

    Attributes:
        roots: Directories of the program.
    """

    def __init__(
        self, event_log: EventLog, roots: Sequence[Path], time_limit_s: float | None
    ) -> None:
        self._event_log = event_log
        self.roots = roots
        self._phase: Phase | None = None
        self._time_limit_s = time_limit_s or 0.0
        if time_limit_s is not None:
            threading.Thread(target=self._watch, daemon=True, name="hang-watch").start()

    def start_phase(self, phase: Phase) -> None:
        """Record that a part of the run begins."""
        self._phase = phase
        self._event_log.write(PhaseStarted(now_us(), phase))

    def end_stranded(self, workflow_ids: Sequence[str], database_url: str) -> NoReturn:
        """Record which workflows nothing in this process will execute, and end it.

        Args:
            workflow_ids: Ids of these workflows.
            database_url: URL of the trial's database, with its password.
        """
        unregistered = tuple(
            UnregisteredQueue(
                workflow,
                queue,
                find_queue(source_files(self.roots, rf"\b{re.escape(queue)}\b"), queue),
            )
            for workflow, queue in SnapshotReader(database_url).unregistered()
            if workflow in workflow_ids
        )
        self._event_log.write(Stranded(now_us(), tuple(workflow_ids), unregistered))
        os._exit(ENDED_WELL)

    def _watch(self) -> None:
        limit_s = self._time_limit_s
        deadline = time.monotonic() + max(limit_s - pace.stretched(_LAST_LOOK_S), limit_s / 2)
        every_s = min(pace.stretched(_LOOK_EVERY_S), limit_s / _LOOKS_MIN)
        serves = Streak(_LOOKS_AT_SERVER)
        stands = Streak(max(_LOOKS_AT_SERVER, int(limit_s * _STANDS_PART / every_s)))
        while True:
            time.sleep(every_s)  # between two looks at a thread that may hang
            frame = sys._current_frames().get(threading.main_thread().ident or 0)
            where = innermost_in_stack(frame, self.roots)
            if self._phase in _BEFORE_REQUEST:
                if serves.add(self._phase if _is_serving(frame) else None):
                    self._end_stalled(where, is_serving=True)
                stack = tuple((each.f_code, each.f_lineno) for each in outward(frame))
                state = (self._phase, stack) if _is_waiting() else None
                if stands.add(state) and not stands.has_worked:
                    self._end_stalled(where, is_serving=False)
            if time.monotonic() > deadline:
                self._event_log.write(TimeRunsOut(now_us(), where, _other_lines(self.roots)))
                return

    def _end_stalled(self, where: CodeLine | None, *, is_serving: bool) -> NoReturn:
        self._event_log.write(Stalled(now_us(), is_serving, where))
        os._exit(ENDED_WELL)


class Streak:
    """Counter of consecutive looks that found the same state.

    Args:
        length: Number of consecutive looks, after the first one, that is enough.
    """

    def __init__(self, length: int) -> None:
        self._length = length
        self._last: object = None
        self._times = 0
        self._since_s = self._cpu_s = 0.0

    def add(self, state: object) -> bool:
        """Count a look, and return whether the state has been the same often enough; None never is."""
        if state is None or state != self._last:
            self._last, self._times = state, 0
            self._since_s, self._cpu_s = time.monotonic(), _cpu_of_main_s()
        self._times += 1
        return state is not None and self._times > self._length

    @property
    def has_worked(self) -> bool:
        """Return whether the main thread has used the processor since the first of these looks."""
        passed_s = time.monotonic() - self._since_s
        # On a slow machine the same work is a smaller part of the time.
        return pace.stretched(_cpu_of_main_s() - self._cpu_s) > passed_s * _CPU_SHARE_MAX


def _cpu_of_main_s() -> float:
    """Return the CPU time of the main thread, in seconds: DBOS's own threads are never idle."""
    return time.clock_gettime(time.pthread_getcpuclockid(threading.main_thread().ident or 0))


def _is_serving(frame: FrameType | None) -> bool:
    return any(
        (each.f_globals.get("__name__"), each.f_code.co_name) in _SERVERS for each in outward(frame)
    )


def _is_waiting() -> bool:
    """Return whether the main thread waits for something other than a processor or a disk."""
    stat = Path(
        f"/proc/self/task/{os.getpid()}/stat"
    ).read_text()  # the main thread's id is the process id
    return stat.rpartition(")")[2].split()[0] == "S"


def _other_lines(roots: Sequence[Path]) -> tuple[CodeLine, ...]:
    """Return the lines of the user's code that other threads execute."""
    main = threading.main_thread().ident
    frames = [each for ident, each in sys._current_frames().items() if ident != main]
    found = [innermost_in_stack(each, roots) for each in frames]
    return tuple(each for each in found if each is not None)[:_OTHERS_MAX]
