"""Find the line of the user's own code that is being executed.

Reads the frames of this thread, and where SQLAlchemy runs synchronous code below a coroutine, those of
the greenlets around it.
"""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from resumectl.lab.user_code import INSTALLED, is_user_file, outward


def user_line(started_in: Path) -> str:
    """Return the innermost line of the user's code, as in `shop.py, line 12`.

    Args:
        started_in: The user's working directory, for a shorter path.

    Returns:
        The innermost line of a library where the thread runs no code of the user's; empty where it
        runs nothing of either.
    """
    of_library = ""
    for frame in _frames():
        name = frame.f_code.co_filename
        if is_user_file(name):
            path = Path(name)
            shown = path.relative_to(started_in) if path.is_relative_to(started_in) else path
            return f"{shown}, line {frame.f_lineno}"
        if name.startswith(INSTALLED) and not of_library:
            of_library = f"{name}, line {frame.f_lineno}"
    return of_library


def _frames() -> Iterator[FrameType]:
    yield from outward(sys._getframe(1))
    greenlets = sys.modules.get("greenlet")
    around = greenlets.getcurrent().parent if greenlets is not None else None
    while around is not None:
        yield from outward(around.gr_frame)
        around = around.parent
