"""Replace DBOS's polls by waiting for the commits that they are to find.

To be called in the target process, before the program is imported.
"""

import functools
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import cast

import dbos._dbos
import dbos._queue
from dbos import DBOS, Queue
from dbos._core import WorkflowHandleAsyncTask, WorkflowHandleFuture
from dbos._sys_db import SystemDatabase

from resumectl.probe import pace
from resumectl.probe.dbos_features import Feature, has
from resumectl.probe.dbos_state import serving
from resumectl.probe.sql_facts import ENDED, Fact
from resumectl.probe.user_objects import Function

# Remaining polls, for what no commit announces, such as a free slot on a queue.
_BACKLOG_POLL_S = 0.01
_IDLE_POLL_S = 0.2
_RESULT_POLL_S = 0.05
_SHORT_POLL_S = 0.02  # for waits that nothing wakes
LISTENER_POLL_S = 0.005
# A look at a queue costs as much as a step: what is enqueued meanwhile is found by the next.
_POLL_MIN_S = 0.02
# Without a commit for so long on a quiet machine, a recovery has ended, or waits for a client or
# the clock.
_STANDSTILL_S = 0.1
_NO_RECOVERY_S = 0.5  # at first, for a recovery that has not begun

# Kinds of facts for which DBOS polls.
_AWAITED = frozenset({"enqueued", "requeued", "claimed", *ENDED})


class PollNotifier:
    """Wakes the threads of DBOS that would poll.

    Args:
        backlog: Ids of the workflows that have not ended before the launch.
        waits: Returns a context to enter while the result of a workflow is awaited, given its id.
    """

    def __init__(
        self, backlog: Sequence[str], waits: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self._waits = waits
        self._changed = threading.Condition()
        # Workflow to queue; None if the queue is not known, as for a requeued workflow.
        self._backlog: dict[str, str | None] = dict.fromkeys(backlog)
        self._enqueued: Counter[str | None] = Counter()
        self._registered = 0
        self._committed = threading.Event()  # set at every commit
        self._last_commit_s = 0.0
        self._ended: set[str] = set()
        self._looked_at: dict[
            str, float
        ] = {}  # queue to time of the last look, in seconds of the monotonic clock

    def committed(self, facts: Sequence[Fact]) -> None:
        """Wake the threads that poll for what a commit has made durable."""
        if any(fact.kind in _AWAITED for fact in facts):
            self._wake(facts)
        self._last_commit_s = time.monotonic()
        self._committed.set()

    def _wake(self, facts: Sequence[Fact]) -> None:
        with self._changed:
            for fact in facts:
                if fact.workflow_id is None:
                    continue
                if fact.kind in ("enqueued", "requeued"):
                    self._backlog[fact.workflow_id] = fact.queue
                    self._enqueued[fact.queue] += 1
                elif fact.kind == "claimed":
                    self._backlog.pop(fact.workflow_id, None)
                elif fact.kind in ENDED:
                    self._backlog.pop(fact.workflow_id, None)
                    self._ended.add(fact.workflow_id)
            self._changed.notify_all()

    def wait_for_standstill(self, workflow_ids: Sequence[str]) -> None:
        """Wait until these have ended, or until nothing has been committed for a while."""
        patience_s = pace.stretched(_NO_RECOVERY_S)
        while not self._ended.issuperset(workflow_ids) and self._committed.wait(patience_s):
            self._committed.clear()
            patience_s = pace.stretched(_STANDSTILL_S)

    def wait_for_silence(self, patience_s: float) -> None:
        """Wait until nothing has been committed for so many seconds."""
        begun_s = time.monotonic()
        while True:
            left_s = max(begun_s, self._last_commit_s) + patience_s - time.monotonic()
            if left_s <= 0:
                return
            time.sleep(left_s)  # several threads may wait, and each looks again after this

    def wait_for_work(self, queue: str, last_count: int, timeout_s: float) -> int:
        """Wait until something new is enqueued, and return the count to pass to the next call."""
        now = time.monotonic()
        # A minimum pause between two looks: a new workflow on the queue does not end it.
        time.sleep(max(0.0, self._looked_at.get(queue, 0.0) + _POLL_MIN_S - now))
        deadline = now + min(timeout_s, _IDLE_POLL_S)
        with self._changed:
            while (count := self._enqueued[queue] + self._enqueued[None]) == last_count:
                has_backlog = any(each in (queue, None) for each in self._backlog.values())
                poll_s = _BACKLOG_POLL_S if has_backlog else _IDLE_POLL_S
                left_s = min(poll_s, deadline - time.monotonic())
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
            self._looked_at[queue] = time.monotonic()
            return count

    def wait_for_end(self, workflow_id: str, timeout_s: float) -> None:
        """Wait until a workflow has ended in this process, or it is time to look again."""
        with self._changed:
            self._changed.wait_for(
                lambda: workflow_id in self._ended, min(timeout_s, _RESULT_POLL_S)
            )

    def wait_for_queue(self, last_count: int, timeout_s: float) -> int:
        """Wait until a new queue is registered, and return the count to pass to the next call."""
        with self._changed:
            self._changed.wait_for(lambda: self._registered != last_count, timeout_s)
            return self._registered

    def wait(self, timeout_s: float) -> None:
        """Wait for a workflow to be enqueued, claimed, or at its end."""
        with self._changed:
            self._changed.wait(timeout_s)

    def install(self) -> None:
        """Replace the polls of queues and of results."""
        serve, manage = dbos._queue.queue_worker_thread, dbos._queue.queue_thread

        def serve_awake(stop: threading.Event, owner: DBOS, queue: Queue) -> None:
            awake = _Stop(stop, functools.partial(self.wait_for_work, queue.name))
            with serving(queue.name):
                serve(cast(threading.Event, awake), owner, queue)

        def manage_awake(stop: threading.Event, owner: DBOS) -> None:
            awake = _Stop(stop, self.wait_for_queue)
            manage(cast(threading.Event, awake), owner)

        setattr(dbos._queue, "queue_worker_thread", serve_awake)  # noqa: B010 (not its type)
        setattr(dbos._dbos, "queue_thread", manage_awake)  # noqa: B010
        if has(Feature.RESULT_CHECKS):
            self._notice_results()
        else:
            self._poll_results_often()
        self._notice_waits_in_process()
        if has(Feature.STORED_QUEUES):
            self._notice_registrations()
        if has(Feature.LATEST_VERSION_ASKED_OFTEN):
            _remember_the_version()

    def _notice_results(self) -> None:
        """Replace the polls for a result by a wait for the commit that makes it durable."""

        def await_result(
            system: SystemDatabase, workflow_id: str, polling_interval: float, **more: object
        ) -> object:
            check: Function = system.check_workflow_result
            with self._waits(workflow_id):
                while True:
                    result = check(workflow_id, **more)
                    if type(result).__name__ != "NoResult":
                        return result
                    self.wait_for_end(workflow_id, polling_interval)

        await_result_async: Callable[..., Awaitable[object]] = (
            SystemDatabase.await_workflow_result_async
        )

        async def await_result_often(
            system: SystemDatabase, workflow_id: str, polling_interval: float, **more: object
        ) -> object:
            often_s = min(polling_interval, _SHORT_POLL_S)
            with self._waits(workflow_id):
                return await await_result_async(system, workflow_id, often_s, **more)

        setattr(SystemDatabase, "await_workflow_result", await_result)  # noqa: B010
        setattr(SystemDatabase, "await_workflow_result_async", await_result_often)  # noqa: B010
        for name in ("await_first_workflow_id", "await_first_workflow_id_async"):
            _poll_often(name)

    def _poll_results_often(self) -> None:
        """Shorten the polls for a result, where DBOS has no method that looks once."""
        poll: Function = SystemDatabase.await_workflow_result

        def await_result(
            system: SystemDatabase, workflow_id: str, polling_interval: float
        ) -> object:
            with self._waits(workflow_id):
                return poll(system, workflow_id, min(polling_interval, _SHORT_POLL_S))

        setattr(SystemDatabase, "await_workflow_result", await_result)  # noqa: B010

    def _notice_waits_in_process(self) -> None:
        """Note waits for a workflow that this process started, too: they do not poll."""
        wait: Function = WorkflowHandleFuture.get_result
        wait_async: Callable[..., Awaitable[object]] = WorkflowHandleAsyncTask.get_result

        @functools.wraps(wait)
        def get_result(
            handle: WorkflowHandleFuture[object], *args: object, **kwargs: object
        ) -> object:
            with self._waits(handle.workflow_id):
                return wait(handle, *args, **kwargs)

        @functools.wraps(wait_async)
        async def get_result_async(
            handle: WorkflowHandleAsyncTask[object], *args: object, **kwargs: object
        ) -> object:
            with self._waits(handle.workflow_id):
                return await wait_async(handle, *args, **kwargs)

        setattr(WorkflowHandleFuture, "get_result", get_result)  # noqa: B010
        setattr(WorkflowHandleAsyncTask, "get_result", get_result_async)  # noqa: B010

    def _notice_registrations(self) -> None:
        upsert: Function = SystemDatabase.upsert_queue

        @functools.wraps(upsert)
        def noticed(*args: object, **kwargs: object) -> object:
            result = upsert(*args, **kwargs)
            with self._changed:
                self._registered += 1
                self._changed.notify_all()
            return result

        setattr(SystemDatabase, "upsert_queue", noticed)  # noqa: B010


def _poll_often(name: str) -> None:
    original = getattr(SystemDatabase, name)

    @functools.wraps(original)
    def polled(system: object, awaited: object, polling_interval: float, **more: object) -> object:
        return original(system, awaited, min(polling_interval, _SHORT_POLL_S), **more)

    setattr(SystemDatabase, name, polled)


def _remember_the_version() -> None:
    """Ask once whether this is the latest version, not at each look at a queue.

    It is asked again after a registration; there is one process at a time.
    """
    known: dict[str, bool] = {}
    ask: Callable[..., bool] = SystemDatabase._is_latest_version

    def remembered(system: object, app_version: str, *more: object, **named: object) -> bool:
        if app_version not in known:
            known[app_version] = ask(system, app_version, *more, **named)
        return known[app_version]

    def forgetting(change: Function) -> Function:
        @functools.wraps(change)
        def changed(*args: object, **kwargs: object) -> object:
            try:
                return change(*args, **kwargs)
            finally:
                known.clear()

        return changed

    setattr(SystemDatabase, "_is_latest_version", remembered)  # noqa: B010
    for name in ("create_application_version", "update_application_version_timestamp"):
        setattr(SystemDatabase, name, forgetting(getattr(SystemDatabase, name)))


class _Stop:
    """Replacement for the stop event of a thread that polls; its `wait` runs between two polls."""

    def __init__(self, stop: threading.Event, wait: Callable[[int, float], int]) -> None:
        self._stop = stop
        self._wait = wait
        self._count = -1

    def is_set(self) -> bool:
        return self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        self._count = self._wait(self._count, timeout)
        return self._stop.is_set()
