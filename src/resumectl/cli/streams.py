"""Standard output and standard error as a command finds them: a terminal, a file, a pipe, closed.

A reader that goes, as `head` does, changes nothing: what it does not read is dropped, and the
exit code is that of the command. So `state --check | head -1` still tells a broken promise.
"""

import io
import os
import shutil
import sys
import textwrap
from typing import Any

from resumectl.errors import ExitCode


class _Output(io.FileIO):
    """A descriptor whose reader may go."""

    def write(self, data: Any) -> int:
        """Write it, or drop it where nobody reads any more."""
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return memoryview(data).nbytes


def open_streams() -> None:
    """Replace both streams by ones that neither a gone reader nor an unknown letter disturbs."""
    # What was closed by the caller is opened on nothing: a database would get the descriptor.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout, sys.stderr = _opened(1, sys.stdout), _opened(2, sys.stderr)


def _opened(descriptor: int, before: object) -> io.TextIOWrapper:
    output = _Output(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=getattr(before, "encoding", None),
        errors="backslashreplace",  # a terminal that knows few letters is shown their numbers
        line_buffering=descriptor == 2 or output.isatty(),
    )


def flush() -> OSError | None:
    """Send off what was said; return what went wrong."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    sys.stderr.flush()
    return None


def folded(text: str) -> list[str]:
    """Return a message as lines for standard error: on a terminal, no word is broken.

    Args:
        text: One line.
    """
    if not sys.stderr.isatty():
        return [text]
    width = shutil.get_terminal_size().columns
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def fail(error: OSError) -> int:
    """Say why nothing can be written; return the exit code."""
    print(
        f"error: standard output: {error.strerror}\nnext:  free some space, and repeat it",
        file=sys.stderr,
        flush=True,
    )
    return ExitCode.MACHINE_FAILED
