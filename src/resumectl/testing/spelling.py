"""Spell options of the command line as a crash test does: `--max-sleep 5` becomes `max_sleep=5`.

A crash test is refused with the same sentences as a command, and has the same options.
"""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager

from resumectl.errors import Refusal
from resumectl.testing.declare import CrashOptions

_OPTION = re.compile(r"--([a-z][a-z-]*)(?:[ =]('[^']*'|\"[^\"]*\"|[^\s;,()]+))?")
_COMMAND = "resumectl "  # a command line stays one
_BETWEEN_STEPS = ";  "
_PAIRS = ("env", "promises")
_LISTS = ("redirect", "allow_database", "allow_host")
_PLAIN = ("args", "kwargs", "max", "seed", "timeout", "max_sleep", "downtime")


@contextmanager
def spelled_for_tests() -> Iterator[None]:
    """Raise what is refused inside with the spelling of crash tests."""
    try:
        yield
    except Refusal as refusal:
        refusal.what = spelled(refusal.what)
        refusal.next_step = spelled(refusal.next_step)
        refusal.args = (f"{refusal.what}\nnext:  {refusal.next_step}",)
        raise


def spelled(text: str) -> str:
    """Return a sentence with the options of crash tests; command lines stay as they are.

    Args:
        text: A fact, or a next step.
    """
    parts = text.split(_BETWEEN_STEPS)
    return _BETWEEN_STEPS.join(
        part if _COMMAND in part else _OPTION.sub(_keyword, part) for part in parts
    )


def _keyword(option: re.Match[str]) -> str:
    name = option[1].replace("-", "_")
    name = "promises" if name == "promise" else name
    if name not in CrashOptions.__annotations__:
        return option[0]
    if option[2] is None:
        return name
    (value,) = shlex.split(option[2])
    if name in _PLAIN:
        return f"{name}={value}"
    if name in _PAIRS:
        key, _, text = value.partition("=")
        return f"{name}={json.dumps({key: text}, ensure_ascii=False)}"
    return f"{name}={json.dumps([value] if name in _LISTS else value, ensure_ascii=False)}"
