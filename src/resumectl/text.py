"""Text from outside, made harmless for a terminal; times, as people read them. Pure."""

import re
import unicodedata
from datetime import datetime
from shlex import quote

# Categories that a terminal acts upon or hides: controls, formats (among them those that turn
# the direction of text), surrogates, line and paragraph separators.
_ACTIVE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


NUMBER_DIGITS = 20  # as many as the largest number of 64 bits has
_NUMBER = re.compile("[0-9]+")


def literal(value: object) -> str:
    """The text as it is, with what a terminal would act upon written out, as in \\x1b."""
    return "".join(
        each.encode("unicode_escape").decode("ascii")
        if unicodedata.category(each) in _ACTIVE
        else each
        for each in str(value)
    )


def shell_word(text: str) -> str:
    """Return the text as a shell takes it for one word, with nothing in it that a terminal acts upon."""
    if literal(text) == text:
        return quote(text)
    # Only bash, zsh, ksh and newer POSIX shells read this form; no other keeps the text exactly.
    return "$'" + literal(text.replace("\\", "\\\\").replace("'", "\\'")) + "'"


def natural_key(text: str) -> str:
    """Return what a text is sorted by, with alpha-1-2 before alpha-1-10.

    It is compared as text in which every number has twenty digits.
    """
    return _NUMBER.sub(lambda number: number[0].zfill(NUMBER_DIGITS)[-NUMBER_DIGITS:], text)


def counted(number: int, noun: str, plural: str | None = None) -> str:
    """Return a number with its noun: "1 workflow", "2 workflows".

    Args:
        number: How many.
        noun: For one.
        plural: For any other number, where that is not the noun with an s.
    """
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def clock(at_ms: int | None) -> str:
    """A Unix time in milliseconds as local date and time."""
    if at_ms is None:
        return ""
    return datetime.fromtimestamp(at_ms / 1000).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def duration(milliseconds: int | None) -> str:
    """A span of time, to three digits or so."""
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
    """Return the span between two Unix times in milliseconds; empty where one is not known.

    Where both are whole seconds, as SQLite before 3.42 tells the time, so is the span.
    """
    if start_ms is None or end_ms is None:
        return ""
    span_ms = end_ms - start_ms
    if span_ms < 60_000 and start_ms % 1000 == 0 and end_ms % 1000 == 0:
        return f"{span_ms // 1000} s"
    return duration(span_ms)


def one_line(error: BaseException) -> str:
    """An error's kind, and what it says first: SQLAlchemy appends statement and parameters."""
    first, *_rest = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {first}"
