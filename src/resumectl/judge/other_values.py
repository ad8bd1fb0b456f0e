"""Follow the numbers and ids of an interrupted step to the places where they appear after a crash.

A database gives a new number to the row that it inserts again, as PostgreSQL's sequences do. If the step
returns that number, it is right that the rest of the trial has it too.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from resumectl.judge.fields import Field, FieldKind
from resumectl.judge.interrupted_steps import OtherAnswer

_WORDS = re.compile(r"(\w+)")
_DIGIT = re.compile(r"\d")
# What a Scenario observes is the outside world, where a second row is a repetition.
_OUTSIDE = frozenset({FieldKind.OBSERVED, FieldKind.OBSERVE, FieldKind.EFFECTS})


@dataclass(frozen=True, slots=True)
class OtherValues:
    """Numbers and ids that an interrupted step returned in place of the usual ones.

    Only a word with a digit is one: `held` in place of `acquired` is another answer, and what follows
    from it must not differ.

    Attributes:
        pairs: Usual word and other word.
    """

    pairs: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, answers: Iterable[OtherAnswer]) -> "OtherValues":
        """Return the values that interrupted steps returned."""
        pairs = (pair for each in answers for pair in _differences(each.usual, each.answer) or ())
        return cls(frozenset(pair for pair in pairs if all(map(_DIGIT.search, pair))))

    def explain(self, key: Field, value: object, usual: Iterable[object]) -> bool:
        """Return whether a field differs from a usual value in these values only.

        Args:
            key: The field.
            value: Its value in the trial.
            usual: Its values in uninterrupted runs.
        """
        if not self.pairs or key.kind in _OUTSIDE:
            return False
        found = (_differences(str(each), str(value)) for each in usual)
        return any(each is not None and self.pairs.issuperset(each) for each in found)


def _differences(usual: str, other: str) -> set[tuple[str, str]] | None:
    """Return the words in which two texts differ; None if they differ in anything else."""
    words, others = _WORDS.split(usual), _WORDS.split(other)
    if len(words) != len(others) or words[::2] != others[::2]:
        return None
    return {pair for pair in zip(words[1::2], others[1::2], strict=True) if pair[0] != pair[1]}
