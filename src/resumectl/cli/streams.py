"""Open standard output and standard error, whether terminal, file, pipe or closed.

A reader that closes its pipe, as `head` does, changes nothing: the rest of the output is dropped,
and the exit code stays that of the command. `state --check | head -1` still reports a broken promise.
"""

import io
import os
import shutil
import sys
import textwrap
from typing import Any

from resumectl.errors import ExitCode


class _Output(io.FileIO):
    """An output whose reader may close the pipe."""

    def write(self, data: Any) -> int:
        """Write the data, or drop it if the pipe is closed."""
        try:
            return super().write(data) or 0
        except BrokenPipeError:
            return memoryview(data).nbytes


def open_streams() -> None:
    """Replace both streams; closed pipes and unencodable characters no longer raise errors."""
    # A closed stream is opened on /dev/null: a database would get its descriptor otherwise.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)
    sys.stdout, sys.stderr = _opened(1, sys.stdout), _opened(2, sys.stderr)


def _opened(descriptor: int, before: object) -> io.TextIOWrapper:
    output = _Output(descriptor, "w", closefd=False)
    return io.TextIOWrapper(
        io.BufferedWriter(output),
        encoding=getattr(before, "encoding", None),
        errors="backslashreplace",  # unencodable characters are shown as escapes
        line_buffering=descriptor == 2 or output.isatty(),
    )


def flush() -> OSError | None:
    """Flush both streams; return the error of standard output, or None."""
    try:
        sys.stdout.flush()
    except OSError as error:
        return error
    sys.stderr.flush()
    return None


def folded(text: str) -> list[str]:
    """Return a message as lines for standard error, folded at blanks on a terminal.

    Args:
        text: The message, one line.
    """
    if not sys.stderr.isatty():
        return [text]
    width = shutil.get_terminal_size().columns
    return textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False) or [""]


def fail(error: OSError) -> int:
    """Print why standard output cannot be written; return the exit code."""
    print(
        f"error: standard output: {error.strerror}\nnext:  free some space, and run it again",
        file=sys.stderr,
        flush=True,
    )
    return ExitCode.MACHINE_FAILED
