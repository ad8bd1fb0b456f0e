"""Escape text from outside for a terminal, and format numbers and times. Pure."""

import re
import unicodedata
from datetime import datetime
from shlex import quote

# Categories that a terminal interprets or hides: controls, formats (some of which change the
# direction of text), surrogates, line and paragraph separators.
_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


_LINE_MAX = 500  # characters of an error's message
NUMBER_DIGITS = 20  # the digits of the largest 64-bit number
_NUMBER = re.compile("[0-9]+")


def literal(value: object) -> str:
    """Return the text with each control character escaped, as in \\x1b."""
    return "".join(
        each.encode("unicode_escape").decode("ascii")
        if unicodedata.category(each) in _ACTIVE
        else each
        for each in str(value)
    )


def shell_word(text: str) -> str:
    """Return the text quoted as one word for a shell, with control characters escaped."""
    if literal(text) == text:
        return quote(text)
    # Only bash, zsh, ksh and newer POSIX shells read this form. No other form keeps the text exactly.
    return "$'" + literal(text.replace("\\", "\\\\").replace("'", "\\'")) + "'"


def natural_key(text: str) -> str:
    """Return the sort key that puts alpha-1-2 before alpha-1-10.

    The key is the text with each number padded to twenty digits.
    """
    return _NUMBER.sub(lambda number: number[0].zfill(NUMBER_DIGITS)[-NUMBER_DIGITS:], text)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 workflow", "2 workflows".

    Args:
        number: Number to show.
        noun: Singular of the noun.
        plural: Plural of the noun, if it is not the singular with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def clock(at_ms: int | None) -> str:
    """Return a Unix time in milliseconds as local date and time; empty if it is None."""
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(milliseconds: int | None) -> str:
    """Return a duration in milliseconds as text, to about three digits; empty if it is None."""
    if milliseconds is None:
        return ""
    if milliseconds < 100:
        return f"{milliseconds} ms"
    seconds = milliseconds / 1000
    if seconds < 60:
        return f"{seconds:.2f} s"
    minutes, seconds = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def between(start_ms: int | None, end_ms: int | None) -> str:
    """Return the duration between two Unix times in milliseconds; empty if one is None.

    If both are whole seconds, as with SQLite before 3.42, the duration is shown in seconds.
    """
    if start_ms is None or end_ms is None:
        return ""
    span_ms = end_ms - start_ms
    if span_ms < 60_000 and start_ms % 1000 == 0 and end_ms % 1000 == 0:
        return f"{span_ms // 1000} s"
    return duration(span_ms)


def one_line(error: BaseException) -> str:
    """Return the class of an error and the first line of its message.

    Only the first line: SQLAlchemy appends the statement and its parameters. It is cut off at 500
    characters.
    """
    first, *_rest = str(error).strip().splitlines() or [""]
    shown = first if len(first) <= _LINE_MAX else f"{first[:_LINE_MAX]}…"
    return f"{type(error).__name__}: {shown}" if shown else type(error).__name__
