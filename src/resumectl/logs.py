"""Send log lines to standard error, as text or as JSON.

DBOS's own log uses the same handler. One formatter sees every line: it hides passwords, and
tracebacks unless `--debug` is given.
"""

import logging
import sys
from enum import StrEnum
from typing import Any

from resumectl.settings import Settings
from resumectl.text import literal

FIELDS = ("publisher", "workflow_id", "message_number", "local", "global", "process_id")


class LogFormat(StrEnum):
    """The format of a log line."""

    TEXT = "text"
    JSON = "json"


def start_logging(
    *, verbose: bool, log_format: LogFormat, settings: Settings, debug: bool = False
) -> None:
    """Send resumectl's, DBOS's and SQLAlchemy's log to standard error.

    Args:
        verbose: Log from INFO on, with one line for each delivery; otherwise from WARNING on.
        log_format: Text, or one JSON document for each line.
        settings: Settings whose passwords are hidden.
        debug: Show tracebacks.
    """
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_formatter(log_format, settings, debug))
    level = logging.INFO if verbose else logging.WARNING
    # SQLAlchemy's pool logs a traceback where a connection is lost; at INFO it would log all SQL.
    levels = {"resumectl": level, "dbos": level, "sqlalchemy": logging.WARNING}
    for name, its_level in levels.items():
        logger = logging.getLogger(name)
        # DBOS adds no handler of its own if there is one already (3.4.0, init_logger).
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
    """A formatter that hides passwords and, unless wanted, tracebacks of another formatter."""

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
    """Return the message and, for an error, the first line of the error's message."""
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
    """A formatter for people: the message, then the fields of the record."""

    def format(self, record: logging.LogRecord) -> str:
        fields: dict[str, Any] = {f: getattr(record, f) for f in FIELDS if hasattr(record, f)}
        tail = " ".join(f"{name}={value}" for name, value in fields.items())
        return f"{super().format(record)} {tail}".rstrip()
