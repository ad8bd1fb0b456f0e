"""Tell the user's code from libraries, and find the lines of it in a traceback or a stack."""

import linecache
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any

import resumectl

# Where the interpreter's own files and installed packages are.
INSTALLED = tuple(f"{Path(sysconfig.get_path(name))}/" for name in ("stdlib", "purelib", "platlib"))
_OWN = f"{Path(resumectl.__file__).parent}/"
_LINE_MAX = 200


def is_user_file(path: str) -> bool:
    """Return whether a file is neither installed, nor resumectl's, nor made up as `<string>` is."""
    return not path.startswith((*INSTALLED, _OWN, "<"))


def line_of(frame: FrameType, line: int) -> dict[str, Any]:
    """Return one place in a program, as an event holds it."""
    code = frame.f_code
    text = linecache.getline(code.co_filename, line).strip()[:_LINE_MAX]
    return {"file": code.co_filename, "line": line, "function": code.co_name, "text": text}


def innermost_in_traceback(traceback: TracebackType | None) -> dict[str, Any] | None:
    """Return the line of the user's code that is nearest to where an error was raised."""
    found = None
    while traceback is not None:
        if is_user_file(traceback.tb_frame.f_code.co_filename):
            found = line_of(traceback.tb_frame, traceback.tb_lineno)
        traceback = traceback.tb_next
    return found


def outward(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of a stack, the innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def innermost_in_stack(frame: FrameType | None) -> dict[str, Any] | None:
    """Return the line of the user's code at which a thread stands."""
    for each in outward(frame):
        if is_user_file(each.f_code.co_filename):
            return line_of(each, each.f_lineno)
    return None
