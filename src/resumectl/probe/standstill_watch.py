"""End a process that can do no more for its workflows, before its time is up.

Runs in the target process, in a thread of its own. Looks at the database only after a while in
which nothing was committed, so it costs nothing in a process that goes on.
"""

import asyncio
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from dbos import DBOS

from resumectl.probe import dbos_state
from resumectl.probe.standstill import CLIENT, Standing, Wait, can_do_no_more, stranded
from resumectl.probe.user_code import is_begun_by_user
from resumectl.storage.snapshot_reader import SnapshotReader


class StandstillWatch:
    """Finds out when the process can do no more.

    Args:
        database_url: URL of the trial's database, with its password.
        patience_s: Time without a commit before each of two looks, in seconds.
        time_limit_s: Maximum duration of the process from now on, in seconds; None: a pause,
            however long, is no reason to end it.
    """

    def __init__(self, database_url: str, patience_s: float, time_limit_s: float | None) -> None:
        self._database_url = database_url
        self._deadline = None if time_limit_s is None else time.monotonic() + time_limit_s
        self._paused_until: dict[str | None, float] = {}
        self._patience_s = patience_s
        self._commits = 0
        self._waits: Counter[Wait] = Counter()
        self._lock = threading.Lock()
        self.has_answer = False

    def committed(self) -> None:
        """Count a commit: a process that commits is still making progress."""
        self._commits += 1

    @contextmanager
    def wait(self, workflow_id: str) -> Iterator[None]:
        """Note that this workflow, or the client, waits for the result of another workflow."""
        waits: set[Wait] = {(DBOS.workflow_id, workflow_id)}
        if _is_clients_thread():
            waits.add((CLIENT, workflow_id))  # a workflow that it has called itself waits
        with self._lock:
            self._waits.update(waits)
        try:
            yield
        finally:
            with self._lock:
                self._waits.subtract(waits)

    @contextmanager
    def pause(self, seconds: float) -> Iterator[None]:
        """Note that this workflow sleeps, or waits for a message or an event.

        Args:
            seconds: Maximum duration of the pause, in seconds.
        """
        until = time.monotonic() + seconds
        workflow_ids = [each for each in (DBOS.workflow_id,) if each is not None]
        noted: list[str | None] = [*workflow_ids, *([CLIENT] if _is_clients_thread() else [])]
        with self._lock:
            self._paused_until.update(dict.fromkeys(noted, until))
        try:
            yield
        finally:
            with self._lock:
                for each in noted:
                    self._paused_until.pop(each, None)

    def _paused(self, reader: SnapshotReader) -> frozenset[str | None]:
        """Return the workflows, maybe with the client, whose pause outlasts every limit."""
        if self._deadline is None:
            return frozenset()
        with self._lock:
            late = {key for key, until in self._paused_until.items() if until > self._deadline}
        return frozenset(late - reader.with_a_deadline() if late else late)

    def start(self, ended: Callable[[list[str]], None]) -> None:
        """Start the thread that looks.

        Args:
            ended: Function to call once, with the ids of the stranded workflows, when the process
                can do no more.
        """
        threading.Thread(
            target=self._look, args=(ended,), daemon=True, name="standstill-watch"
        ).start()

    def _look(self, ended: Callable[[list[str]], None]) -> None:
        reader = SnapshotReader(self._database_url)
        before: Standing | None = None
        while True:
            commits = self._commits
            # A sleep without an event to end it: this loop looks for the absence of events.
            time.sleep(self._patience_s)
            if commits != self._commits or not dbos_state.has_recovered():
                before = None
                continue
            now = self._standing(reader)
            if now == before and commits == self._commits and can_do_no_more(now):
                ended(sorted(stranded(now)))
                return
            before = now

    def _standing(self, reader: SnapshotReader) -> Standing:
        with self._lock:
            waits = frozenset(+self._waits)
        return Standing(
            unfinished=reader.standing(),
            missing=reader.missing({awaited for _, awaited in waits}),
            executing=dbos_state.executing(),
            served=dbos_state.served_queues(),
            version=str(DBOS.application_version),
            waits=waits,
            has_answer=self.has_answer,
            paused=self._paused(reader),
            has_own_thread=_has_own_thread(),
        )


def _has_own_thread() -> bool:
    """Return whether a thread that the program has begun is alive, apart from the client's."""
    frames = sys._current_frames()
    others = set(threading.enumerate()) - {threading.main_thread()}
    return any(is_begun_by_user(each, frames.get(each.ident or 0)) for each in others)


def _is_clients_thread() -> bool:
    """Return whether only the client is at work in this thread."""
    if threading.current_thread() is not threading.main_thread():
        return False
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return True
    return False  # other tasks of the loop may go on
