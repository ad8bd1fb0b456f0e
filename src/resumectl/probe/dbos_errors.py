"""Report the errors that DBOS logs: only they say why DBOS does not execute a workflow.

Knows only the name of DBOS's logger.
"""

import logging
from collections.abc import Callable

from resumectl.text import one_line

# A program may log errors in a loop: maximum number of reported errors, and of characters of each.
_ERRORS_MAX = 32
_LENGTH_MAX = 500


def report_errors(on_error: Callable[[str], None]) -> None:
    """Report each error that is logged.

    Args:
        on_error: Takes the first line of an error and its cause; called once for each error.
    """
    reported: set[str] = set()

    def look(record: logging.LogRecord) -> bool:
        if record.levelno >= logging.ERROR and len(reported) < _ERRORS_MAX:
            text = _text_of(record)[:_LENGTH_MAX]
            if text not in reported:
                reported.add(text)
                on_error(text)
        return True

    # A filter, not a handler: DBOS (3.4.0) sets up its logger only if that has no handler.
    logging.getLogger("dbos").addFilter(look)


def _text_of(record: logging.LogRecord) -> str:
    try:
        first, *_rest = record.getMessage().splitlines() or [""]
    except (
        TypeError,
        ValueError,
    ):  # the program's arguments do not fit the message: its handler reports it
        first = str(record.msg)
    error = record.exc_info[1] if record.exc_info else None
    return f"{first} {one_line(error)}" if error else first
