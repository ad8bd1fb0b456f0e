"""Where log lines go and how they look: standard error, for people or as JSON.

DBOS's own log joins resumectl's. A traceback is shown only under --debug, and a password
never: both are matters of the one formatter that everything passes.
"""

import logging
import sys
from enum import StrEnum
from typing import Any

from resumectl.settings import Settings
from resumectl.text import literal

FIELDS = ("publisher", "workflow_id", "message_number", "local", "global", "process_id")
# DBOS warns of instances made after launch; ours are made in time, see publisher.Order.
_LATE_INSTANCE = "was registered after DBOS was launched"


class LogFormat(StrEnum):
    """How a log line looks."""

    TEXT = "text"
    JSON = "json"


def start_logging(
    *, verbose: bool, log_format: LogFormat, settings: Settings, debug: bool = False
) -> None:
    """Send resumectl's, DBOS's and SQLAlchemy's log to standard error.

    Args:
        verbose: From INFO on, one line a delivery; otherwise from WARNING on.
        log_format: Text for people, or one JSON document a line.
        settings: Whose password is kept out.
        debug: Show tracebacks.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(log_format, settings, debug))
    handler.addFilter(lambda record: _LATE_INSTANCE not in record.getMessage())
    level = logging.INFO if verbose else logging.WARNING
    # SQLAlchemy's pool logs a traceback where a connection is lost; at INFO it would log all SQL.
    levels = {"resumectl": level, "dbos": level, "sqlalchemy": logging.WARNING}
    for name, its_level in levels.items():
        logger = logging.getLogger(name)
        # A handler that is there first keeps DBOS from adding its own (3.4.0, init_logger).
        logger.handlers[:] = [handler]
        logger.propagate = False
        logger.setLevel(its_level)


def _formatter(log_format: LogFormat, settings: Settings, debug: bool) -> logging.Formatter:
    inner: logging.Formatter
    if log_format is LogFormat.JSON:
        from pythonjsonlogger.json import JsonFormatter

        inner = JsonFormatter(
            "{asctime}{levelname}{name}{message}",
            style="{",
            rename_fields={"asctime": "time", "levelname": "level", "name": "logger"},
            datefmt="%Y-%m-%dT%H:%M:%S%z",
        )
    else:
        inner = _TextFormatter("%(asctime)s %(levelname)-7s %(message)s", datefmt="%H:%M:%S")
    return _Guarded(inner, settings, debug)


class _Guarded(logging.Formatter):
    """Keeps passwords out of what another formatter makes, and tracebacks unless wanted."""

    def __init__(self, inner: logging.Formatter, settings: Settings, debug: bool) -> None:
        super().__init__()
        self._inner = inner
        self._settings = settings
        self._debug = debug

    def format(self, record: logging.LogRecord) -> str:
        if not self._debug:
            record = logging.makeLogRecord(
                {**record.__dict__, "msg": _without_traceback(record), "args": None,
                 "exc_info": None, "exc_text": None}
            )  # fmt: skip
        text = self._settings.without_secrets(self._inner.format(record))
        # Under --debug a traceback has lines of its own; otherwise a record is one line.
        return "\n".join(map(literal, text.splitlines())) if record.exc_info else literal(text)


def _without_traceback(record: logging.LogRecord) -> str:
    """The message, and of an error the first line of what it says."""
    message = record.getMessage()
    if record.exc_info:
        error = record.exc_info[1]
        return f"{message} {str(error).splitlines()[0] if str(error) else type(error).__name__}"
    # DBOS's scheduler writes a traceback into the message itself (3.4.0).
    before, found, traceback = message.partition("Traceback (most recent call last):")
    if not found:
        return message
    reason = next((line for line in traceback.splitlines() if line and line[0] != " "), "")
    return f"{before.rstrip()} {reason}"


class _TextFormatter(logging.Formatter):
    """A line for people: the message, then the fields that it carries."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {f: getattr(record, f) for f in FIELDS if hasattr(record, f)}
        tail = " ".join(f"{name}={value}" for name, value in fields.items())
        return f"{super().format(record)} {tail}".rstrip()
