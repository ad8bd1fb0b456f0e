"""Distinguish the user's code from libraries, and find its lines in a traceback or a stack."""

import inspect
import linecache
import sysconfig
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import FrameType, TracebackType

import resumectl
from resumectl.model.target_error import CodeLine

# Directories of the interpreter's own files and of installed packages.
INSTALLED = tuple(f"{Path(sysconfig.get_path(name))}/" for name in ("stdlib", "purelib", "platlib"))
OWN = f"{Path(resumectl.__file__).parent}/"
# Also those of other environments: a virtual one may see the system's packages.
_LIBRARIES = ("/site-packages/", "/dist-packages/")
_LINE_MAX = 200


def is_user_file(path: str) -> bool:
    """Return whether a file is the user's: not installed, not resumectl's, and not a name like `<string>`."""
    is_of_library = any(each in path for each in _LIBRARIES) or path.startswith(INSTALLED)
    return not is_of_library and not path.startswith((OWN, "<"))


def is_stdlib_file(path: str) -> bool:
    """Return whether a file belongs to the standard library."""
    return path.startswith(INSTALLED[0]) and not any(each in path for each in _LIBRARIES)


def line_of(frame: FrameType, line: int) -> CodeLine:
    """Return one line of a program.

    Args:
        frame: Frame of the function around the line.
        line: Number of the line, from 1.
    """
    code = frame.f_code
    text = linecache.getline(code.co_filename, line).strip()[:_LINE_MAX]
    return CodeLine(file=code.co_filename, line=line, function=code.co_name, text=text)


def innermost_in_traceback(
    traceback: TracebackType | None, roots: Sequence[Path]
) -> CodeLine | None:
    """Return the line of the user's code that is nearest to where an error was raised.

    Args:
        traceback: Traceback of the error.
        roots: Directories of the program.
    """
    found: list[tuple[FrameType, int]] = []
    while traceback is not None:
        found.insert(0, (traceback.tb_frame, traceback.tb_lineno))
        traceback = traceback.tb_next
    return _innermost(found, roots)


def outward(frame: FrameType | None) -> Iterator[FrameType]:
    """Yield the frames of a stack, the innermost first."""
    while frame is not None:
        yield frame
        frame = frame.f_back


def is_begun_by_user(thread: threading.Thread, frame: FrameType | None) -> bool:
    """Return whether a thread runs a function of the user's, and does not belong to a library's pool.

    Args:
        thread: Thread of this process.
        frame: Its innermost frame; None if it has ended.
    """
    if isinstance(thread, threading.Timer):
        code = getattr(inspect.unwrap(thread.function), "__code__", None)
        return code is not None and is_user_file(code.co_filename)
    files = [each.f_code.co_filename for each in outward(frame)]
    own = [each for each in files if each != threading.__file__]
    return bool(own) and is_user_file(own[-1])


def innermost_in_stack(frame: FrameType | None, roots: Sequence[Path]) -> CodeLine | None:
    """Return the line of the user's code that a thread executes.

    Args:
        frame: Innermost frame of the thread.
        roots: Directories of the program.
    """
    return _innermost([(each, each.f_lineno) for each in outward(frame)], roots)


def _innermost(found: Sequence[tuple[FrameType, int]], roots: Sequence[Path]) -> CodeLine | None:
    """Return the first line of the user's code, preferably of a file below the roots.

    A file elsewhere may be a library on PYTHONPATH that is not installed.
    """
    own = [each for each in found if is_user_file(each[0].f_code.co_filename)]
    near = [
        each
        for each in own
        if any(Path(each[0].f_code.co_filename).is_relative_to(root) for root in roots)
    ]
    chosen = (near or own)[:1]
    return line_of(*chosen[0]) if chosen else None
