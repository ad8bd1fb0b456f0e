"""Report what DBOS logs as an error: nothing else says why it does not execute a workflow.

Knows the name of DBOS's logger, and nothing else of it.
"""

import logging
from collections.abc import Callable

from resumectl.text import one_line

# A program may log errors without end: this many are reported, and this many characters of each.
_ERRORS_MAX = 32
_LENGTH_MAX = 500


def report_errors(on_error: Callable[[str], None]) -> None:
    """Report each error that is logged.

    Args:
        on_error: Called once with the first line of each, and its cause.
    """
    said: set[str] = set()

    def look(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR and len(said) < _ERRORS_MAX:
            text = _text_of(record)[:_LENGTH_MAX]
            if text not in said:
                said.add(text)
                on_error(text)
        return True

    # A filter, since DBOS (3.4.0) sets up its logger only where that has no handler.
    logging.getLogger("dbos").addFilter(look)


def _text_of(record: logging.LogRecord) -> str:
    try:
        first, *_rest = record.getMessage().splitlines() or [""]
    except (TypeError, ValueError):  # the program's arguments do not fit: its handler tells it
        first = str(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    return f"{first} {one_line(error)}" if error else first
