"""Spell the options that a refusal names as another place spells them: a crash test, or pyproject.toml."""

import re
import shlex
from collections.abc import Callable

from resumectl.errors import Refusal

_OPTION = re.compile(
    r"--([a-z][a-z-]*)(?:[ =](\$'(?:\\.|[^'\\])*'|'[^']*'|\"[^\"]*\"|[^\s;,()]+))?"
)
_NEXT_OPTION = re.compile(rf"({_OPTION.pattern}) (?=--[a-z])")  # on one line of a command alone
_COMMAND = "resumectl "  # a command line stays one
_BETWEEN_STEPS = ";  "

# Takes the name of an option and its value, if it has one; returns None to leave it as it is.
Spell = Callable[[str, str | None], str | None]


def options_in(text: str) -> list[str]:
    """Return the options that a sentence names, without their hyphens; those of command lines are left out.

    Args:
        text: A fact, or a next step.
    """
    parts = [part for part in text.split(_BETWEEN_STEPS) if _COMMAND not in part]
    return [option[1] for part in parts for option in _OPTION.finditer(part)]


def respelled(text: str, spell: Spell) -> str:
    """Return a sentence with its options spelled anew; command lines stay as they are.

    Args:
        text: A fact, or a next step.
        spell: Function that spells one option.
    """

    def spelled(option: re.Match[str]) -> str:
        value = _unquoted(option[2]) if option[2] else None
        return spell(option[1], value) or option[0]

    parts = text.split(_BETWEEN_STEPS)
    return _BETWEEN_STEPS.join(
        part if _COMMAND in part else _OPTION.sub(spelled, _NEXT_OPTION.sub(r"\1  and  ", part))
        for part in parts
    )


def _unquoted(word: str) -> str:
    """Return a word of a command line without its quotes; `$'…'` has escapes, as in a string of Python."""
    if word.startswith("$'"):
        return word[2:-1].encode("latin-1", "backslashreplace").decode("unicode_escape")
    return shlex.split(word)[0]


def respell(refusal: Refusal, spell: Spell, *, place: str = "") -> None:
    """Spell the options of a refusal anew.

    Args:
        refusal: The refusal to change.
        spell: Function that spells one option.
        place: Place of the cause, such as `pyproject.toml:4`; empty if it needs none.
    """
    fact = respelled(refusal.what, spell)
    refusal.what = f"{place}: {fact}" if place else fact
    refusal.next_step = respelled(refusal.next_step, spell)
    refusal.args = (f"{refusal.what}\nnext:  {refusal.next_step}",)
