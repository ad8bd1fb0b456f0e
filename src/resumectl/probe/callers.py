"""Find the line of the user's own code that is being executed.

Reads the frames of this thread; where SQLAlchemy runs synchronous code below a coroutine, those of the
greenlets around it; where a library has begun a task of its own, those of the tasks beside it; and where
it has begun a thread, the line at which it did.
"""

import asyncio
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from weakref import WeakKeyDictionary

from resumectl.probe.user_code import OWN, is_user_file, outward

_LOOP = "_run_once"  # the function of asyncio's that runs what is ready
_begun_at: WeakKeyDictionary[object, tuple[str, int]] = WeakKeyDictionary()  # of threads


def user_line(started_in: Path) -> str:
    """Return the innermost line of the user's code, as in `shop.py, line 12`, or where its thread began.

    Args:
        started_in: The user's working directory, for a shorter path.

    Returns:
        The innermost line of a library where no code of the user's is known to be at work; empty where
        there is nothing of either.
    """
    stack = list(_frames())
    # What began the event loop is the line that says least.
    loop = (n for n, each in enumerate(stack) if each.f_code.co_name == _LOOP)
    found = _of_user(stack[: next(loop, None)]) or _only_task_frame() or _of_user(stack)
    begun_at = _begun_at.get(threading.current_thread())
    if found is None and begun_at is not None:
        return f"in a thread begun at {_shown(*begun_at, started_in)}"
    if found is None:
        made_up = ("<", OWN)
        libraries = (each for each in stack if not each.f_code.co_filename.startswith(made_up))
        found = next(libraries, None)
    if found is None:
        return ""
    return _shown(found.f_code.co_filename, found.f_lineno, started_in)


def note_thread(thread: object) -> None:
    """Note the line of the user's code at which this thread begins another one.

    Args:
        thread: The other one.
    """
    found = _of_user(_frames())
    if found is not None:
        _begun_at[thread] = (found.f_code.co_filename, found.f_lineno)
    elif (inherited := _begun_at.get(threading.current_thread())) is not None:
        _begun_at[thread] = inherited


def _shown(file: str, line: int, started_in: Path) -> str:
    path = Path(file)
    shown = path.relative_to(started_in) if path.is_relative_to(started_in) else path
    return f"{shown}, line {line}"


def _of_user(frames: Iterable[FrameType]) -> FrameType | None:
    return next((each for each in frames if is_user_file(each.f_code.co_filename)), None)


def _frames() -> Iterator[FrameType]:
    yield from outward(sys._getframe(1))
    greenlets = sys.modules.get("greenlet")
    around = greenlets.getcurrent().parent if greenlets is not None else None
    while around is not None:
        yield from outward(around.gr_frame)
        around = around.parent


def _only_task_frame() -> FrameType | None:
    """Return the user's frame among the tasks of this thread's event loop, if it is in one alone."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop is running here
        return None
    found = {_of_user(reversed([*_coroutine_frames(task.get_coro())])) for task in tasks} - {None}
    return found.pop() if len(found) == 1 else None


def _coroutine_frames(coroutine: object) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine, the outermost first."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None)
