"""Find the line of the user's own code that is being executed.

Reads the frames of this thread; where SQLAlchemy runs synchronous code below a coroutine, those of the
greenlets around it; and where a library has begun a task of its own, those of the tasks beside it.
"""

import asyncio
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from resumectl.lab.user_code import is_user_file, outward

_LOOP = "_run_once"  # the function of asyncio's that runs what is ready
_OWN = f"{Path(__file__).parent}/"


def user_line(started_in: Path) -> str:
    """Return the innermost line of the user's code, as in `shop.py, line 12`.

    Args:
        started_in: The user's working directory, for a shorter path.

    Returns:
        The innermost line of a library where no code of the user's is known to be at work; empty where
        there is nothing of either.
    """
    stack = list(_frames())
    # What began the event loop is the line that says least.
    loop = (n for n, each in enumerate(stack) if each.f_code.co_name == _LOOP)
    found = _of_user(stack[: next(loop, None)]) or _of_only_task() or _of_user(stack)
    if found is None:
        made_up = ("<", _OWN)
        libraries = (each for each in stack if not each.f_code.co_filename.startswith(made_up))
        found = next(libraries, None)
    if found is None:
        return ""
    path = Path(found.f_code.co_filename)
    shown = path.relative_to(started_in) if path.is_relative_to(started_in) else path
    return f"{shown}, line {found.f_lineno}"


def _of_user(frames: Iterable[FrameType]) -> FrameType | None:
    return next((each for each in frames if is_user_file(each.f_code.co_filename)), None)


def _frames() -> Iterator[FrameType]:
    yield from outward(sys._getframe(1))
    greenlets = sys.modules.get("greenlet")
    around = greenlets.getcurrent().parent if greenlets is not None else None
    while around is not None:
        yield from outward(around.gr_frame)
        around = around.parent


def _of_only_task() -> FrameType | None:
    """Return the user's frame among the tasks of this thread's event loop, if it is in one alone."""
    try:
        tasks = asyncio.all_tasks()
    except RuntimeError:  # no loop is running here
        return None
    found = {_of_user(reversed([*_awaited(task.get_coro())])) for task in tasks} - {None}
    return found.pop() if len(found) == 1 else None


def _awaited(coroutine: Any) -> Iterator[FrameType]:
    """Yield the frames of a suspended coroutine, the outermost first."""
    while coroutine is not None:
        frame = getattr(coroutine, "cr_frame", None)
        if frame is not None:
            yield frame
        coroutine = getattr(coroutine, "cr_await", None)
