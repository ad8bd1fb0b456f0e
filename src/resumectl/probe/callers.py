"""Find the line of the user's own code that is being executed.

Reads the frames of this thread. If SQLAlchemy runs synchronous code below a coroutine, it reads those of
the greenlets around it. If a library has started a task, it reads those of the other tasks. If a library
has started a thread, it returns the line that started the thread.
"""

import asyncio
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from weakref import WeakKeyDictionary

from resumectl.probe.user_code import OWN, is_user_file, outward

_LOOP = "_run_once"  # asyncio's function that runs the ready callbacks
# Thread to the line that started it.
_begun_at: WeakKeyDictionary[object, tuple[str, int]] = WeakKeyDictionary()


def user_line(started_in: Path) -> str:
    """Return the innermost line of the user's code, such as `shop.py, line 12`.

    In a thread without such a line, return the line that started the thread.

    Args:
        started_in: The user's working directory, for a shorter path.

    Returns:
        The innermost line of a library if no code of the user's is known to run; empty if there is
        neither.
    """
    stack = list(_frames())
    # The line that started the event loop is the least helpful one, so it comes last.
    loop = (n for n, each in enumerate(stack) if each.f_code.co_name == _LOOP)
    found = _user_frame(stack[: next(loop, None)]) or _only_task_frame() or _user_frame(stack)
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
    """Note the line of the user's code at which this thread starts another thread.

    Args:
        thread: The new thread.
    """
    found = _user_frame(_frames())
    if found is not None:
        _begun_at[thread] = (found.f_code.co_filename, found.f_lineno)
    elif (inherited := _begun_at.get(threading.current_thread())) is not None:
        _begun_at[thread] = inherited


def _shown(file: str, line: int, started_in: Path) -> str:
    path = Path(file)
    shown = path.relative_to(started_in) if path.is_relative_to(started_in) else path
    return f"{shown}, line {line}"


def _user_frame(frames: Iterable[FrameType]) -> FrameType | None:
    return next((each for each in frames if is_user_file(each.f_code.co_filename)), None)


def _frames() -> Iterator[FrameType]:
    yield from outward(sys._getframe(1))
    greenlets = sys.modules.get("greenlet")
    around = greenlets.getcurrent().parent if greenlets is not None else None
    while around is not None:
        yield from outward(around.gr_frame)
        around = around.parent


def _only_task_frame() -> FrameType | None:
    """Return the user's frame among the tasks of this thread's event loop, if exactly one task has one."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop is running here
        return None
    found = {_user_frame(reversed([*_coroutine_frames(task.get_coro())])) for task in tasks} - {
        None
    }
    return found.pop() if len(found) == 1 else None


def _coroutine_frames(coroutine: object) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine, the outermost first."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None)
