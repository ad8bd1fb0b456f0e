"""Spell options of the command line as a crash test does: `--max-sleep 5` becomes `max_sleep=5`.

A crash test is refused with the same sentences as a command, and has the same options.
"""

import json
from collections.abc import Iterator
from contextlib import contextmanager

from resumectl.cli.option_spelling import respell
from resumectl.errors import Refusal
from resumectl.testing.declare import CrashOptions
from resumectl.text import literal

_PAIRS = ("env", "promises")
_LISTS = ("redirect", "allow_database", "allow_host")
_PLAIN = ("args", "kwargs", "max", "seed", "timeout", "max_sleep", "downtime")


@contextmanager
def spelled_for_tests() -> Iterator[None]:
    """Raise what is refused inside with the spelling of crash tests."""
    try:
        yield
    except Refusal as refusal:
        respell(refusal, keyword)
        raise


def keyword(option: str, value: str | None) -> str | None:
    """Return an option as a crash test spells it; None if crash tests have no such option.

    Args:
        option: Name of the option, without its hyphens in front.
        value: Value of the option; None if the text names the option alone.
    """
    name = option.replace("-", "_")
    name = "promises" if name == "promise" else name
    if name not in CrashOptions.__annotations__:
        return None
    if value is None:
        return name
    if name in _PLAIN:
        return f"{name}={value}"
    if name in _PAIRS:
        key, _, text = value.partition("=")
        return f"{name}={_literal_of({key: text})}"
    return f"{name}={_literal_of([value] if name in _LISTS else value)}"


def _literal_of(value: object) -> str:
    return literal(json.dumps(value, ensure_ascii=False))
