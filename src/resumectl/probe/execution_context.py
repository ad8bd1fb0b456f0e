"""Find out which workflow and step, or the client, this thread runs, and what a workflow has left running.

DBOS's context does not follow a bare thread or a pool's job, so the context in which each was started
is noted here. DBOS does not see it. To be called in the target process, before the program is imported.
"""

import asyncio
import functools
import itertools
import sys
import threading
import time
import weakref
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar

from dbos import DBOS

from resumectl.probe.user_code import is_stdlib_file, is_user_file, outward
from resumectl.probe.user_objects import Function

# A workflow's id, and the number of its step; None outside of either.
Context = tuple[str | None, int | None]

OUTSIDE: Context = (None, None)
_ATTRIBUTE = "_resumectl_begun_in"
_TURN = "_resumectl_turn"
_turns = itertools.count(1)
_job = threading.local()
# Whether the client's request runs here; `asyncio.to_thread` copies this to its thread.
_is_request: ContextVar[bool] = ContextVar("resumectl_is_request", default=False)

BackgroundWork = threading.Thread | Future[object] | asyncio.Task[object]
_background: "weakref.WeakKeyDictionary[BackgroundWork, Context]" = weakref.WeakKeyDictionary()
_had_concurrency = False
_changing = threading.Lock()


def here() -> Context:
    """Return the workflow and step of this thread, or else of the code that started the thread."""
    if DBOS.workflow_id is not None:
        return DBOS.workflow_id, DBOS.step_id
    at: Context | None = getattr(_job, "at", None)
    if at is None:
        at = getattr(threading.current_thread(), _ATTRIBUTE, None)
    return at or OUTSIDE


def begin_request() -> None:
    """Note that what runs here from now on is the client's request."""
    _is_request.set(True)


def is_client_here() -> bool:
    """Return whether the client runs here, outside of any workflow.

    A program that starts its workflow when it is imported is its own client, in the main thread.
    """
    is_client = _is_request.get() or threading.current_thread() is threading.main_thread()
    return is_client and here() == OUTSIDE


def turn_here() -> int | None:
    """Return the place of this work among that which the main thread does, or hands to another thread.

    The main thread decides on its order, however the threads race. None for work that another thread has
    begun.
    """
    if threading.current_thread() is threading.main_thread():
        return next(_turns)
    turn: int | None = getattr(_job, "turn", None)
    return turn or getattr(threading.current_thread(), _TURN, None)


def _turn_of_new_work() -> int | None:
    return next(_turns) if threading.current_thread() is threading.main_thread() else None


def follow_threads() -> None:
    """Note from now on in which workflow and step threads, jobs of pools and tasks are started."""
    start, submit = threading.Thread.start, ThreadPoolExecutor.submit
    create_task: Callable[..., asyncio.Task[object]] = asyncio.BaseEventLoop.create_task

    @functools.wraps(start)
    def started(thread: threading.Thread) -> None:
        at = here()
        setattr(thread, _ATTRIBUTE, at)
        setattr(thread, _TURN, _turn_of_new_work())
        # A pool keeps its thread for the next job: only the jobs are counted.
        if getattr(_job, "is_submitting", False):
            start(thread)
            return
        _look_for_concurrency(at)
        start(thread)
        _note(thread, at)

    def submitted(
        pool: ThreadPoolExecutor, job: Function, /, *a: object, **k: object
    ) -> Future[object]:
        at, turn = here(), _turn_of_new_work()

        def placed() -> object:
            _job.at, _job.turn = at, turn
            try:
                return job(*a, **k)
            finally:
                _job.at = _job.turn = None

        _look_for_concurrency(at)
        _job.is_submitting = True
        try:
            future = submit(pool, placed)
        finally:
            _job.is_submitting = False
        _note(future, at)
        return future

    @functools.wraps(create_task)
    def created(loop: asyncio.BaseEventLoop, *a: object, **k: object) -> asyncio.Task[object]:
        at = here()
        _look_for_concurrency(at)
        task = create_task(loop, *a, **k)
        _note(task, at)
        return task

    setattr(threading.Thread, "start", started)  # noqa: B010 (not their type)
    setattr(ThreadPoolExecutor, "submit", submitted)  # noqa: B010
    setattr(asyncio.BaseEventLoop, "create_task", created)  # noqa: B010


def wait_for_background_work(max_s: float) -> int:
    """Wait for the threads, jobs and tasks that workflows have started, and return how many still run.

    Args:
        max_s: Maximum time to wait, in seconds.
    """
    deadline = time.monotonic() + max_s
    while (left := _count_running()) and time.monotonic() < deadline:
        # Polled: tasks cannot be waited for from here, and new work may start during the wait.
        time.sleep(0.005)
    return left


def had_own_concurrency() -> bool:
    """Return whether a step or a body has had two threads, jobs or tasks of its own at the same time."""
    return _had_concurrency


def _look_for_concurrency(at: Context) -> None:
    """Note whether work of this step or body is alive while more of it is about to start.

    Called before the start: once started, both may end before anybody looks.
    """
    global _had_concurrency
    # Work that DBOS starts for a body, such as a child, has a recorded order.
    if at == OUTSIDE or not (at[1] is not None or _is_begun_by_user()):
        return
    with _changing:
        _had_concurrency = _had_concurrency or any(
            _is_alive(work) for work, context in _background.items() if context == at
        )


def _note(begun: BackgroundWork, at: Context) -> None:
    if at != OUTSIDE:
        with _changing:
            _background[begun] = at


def _is_begun_by_user() -> bool:
    """Return whether no library but Python's own stands between the user's code and this module."""
    files = (each.f_code.co_filename for each in outward(sys._getframe(1)))
    nearest = next((f for f in files if f != __file__ and not is_stdlib_file(f)), "")
    return is_user_file(nearest)


def _count_running() -> int:
    with _changing:
        begun = list(_background)
    return sum(map(_is_alive, begun))


def _is_alive(begun: BackgroundWork) -> bool:
    return begun.is_alive() if isinstance(begun, threading.Thread) else not begun.done()
