"""Find pairs of fields that share a value which a workflow's body generates.

Such a value differs in each run, so no run shows the expected one. But two fields that share a value in
uninterrupted runs must share a value after a crash too.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from itertools import combinations

from resumectl.judge.fields import Field, FieldKind, texts_of
from resumectl.judge.not_compared import NotCompared
from resumectl.judge.trial_view import RECEIVED, TrialView, compared, plain_values

Link = tuple[Field, Field]

# A generated value has at least this length, so two of them are never equal accidentally. It consists
# of parts, joined by "-" or "_": a token may have these anywhere.
_LENGTH_MIN = 12
_PARTS_MAX = 8
_PART = re.compile(r"[0-9A-Fa-f]{8}-(?:[0-9A-Fa-f]{4}-){3}[0-9A-Fa-f]{12}|[0-9A-Za-z]+")
_JOINT = re.compile(r"[-_]+")
# Digits alone may be a time, which two reads of a clock share.
_MAY_BE_TIME = re.compile(r"[0-9TZ]{1,16}")


@dataclass(frozen=True, slots=True)
class Links:
    """The pairs of fields that share a generated value in uninterrupted runs.

    Attributes:
        pairs: The pairs.
        constant: Values that every run has: they are not generated.
    """

    pairs: frozenset[Link]
    constant: frozenset[str]

    @classmethod
    def of(cls, views: Sequence[TrialView]) -> "Links":
        """Return the links of uninterrupted runs: two runs show each, and no run breaks it.

        Args:
            views: The runs.
        """
        runs = [carried_values(view) for view in views]
        constant = set.intersection(*(set().union(*run.values()) for run in runs))
        own = [_without(run, constant) for run in runs]
        shown = Counter(pair for run in own for pair in _pairs(run))
        pairs = (
            pair
            for pair, times in shown.items()
            if times > 1 and not any(_is_broken(run, pair) for run in own)
        )
        return cls(frozenset(pairs), frozenset(constant))

    def and_of(self, other: "Links") -> "Links":
        """Return the links that the runs of two programs have in common."""
        return Links(self.pairs & other.pairs, self.constant | other.constant)

    def comparing(self, rule: NotCompared) -> "Links":
        """Return the links without those of fields that are not compared."""
        pairs = (pair for pair in self.pairs if not any(map(rule.covers, pair)))
        return replace(self, pairs=frozenset(pairs))

    def broken_in(self, view: TrialView) -> Iterator[Link]:
        """Yield the pairs whose fields both carry generated values in a trial, and share none."""
        if self.pairs:
            carried = _without(carried_values(view), self.constant)
            yield from (pair for pair in sorted(self.pairs) if _is_broken(carried, pair))


def carried_values(view: TrialView) -> dict[Field, set[str]]:
    """Return the values that a body itself generated, by the field that carries them."""
    fields = {**view.fields, **_plain_arguments(view), **view.messages}
    recorded = _returned(view) | (_received(view) - _generated_and_sent(view))
    carried: dict[Field, set[str]] = {}
    for key, each in fields.items():
        if _is_of_body(key) and not _is_of_client(key, fields):
            # The input of a workflow is recorded, so it is the same in every process.
            given = fields.get(Field(FieldKind.WORKFLOW, key.workflow or key.name, "input"))
            own = set() if key.part == "input" else _values(given)
            for entry, texts in ((key, each), *_entries(key, each)):
                carried[entry] = _generated(texts, recorded | own)
    return carried


def _entries(key: Field, value: object) -> Iterator[tuple[Field, object]]:
    """Yield the entries of a stream as fields of their own; their number is part of the name."""
    texts = texts_of(value) if key.kind is FieldKind.STREAM else ()
    for number, text in enumerate(texts, start=1):
        yield key._replace(part=f"entry {number} of {len(texts)}"), text


def _plain_arguments(view: TrialView) -> dict[Field, list[str]]:
    """Return the arguments of steps without objects, whose texts differ between processes."""
    found: defaultdict[Field, list[str]] = defaultdict(list)
    for calls in view.calls:
        for key, event in calls:
            found[key] += plain_values(event)
    return dict(found)


def _returned(view: TrialView) -> set[str]:
    """Return the values that steps returned: the body did not generate them."""
    return {
        value
        for step in view.final.snapshot.steps
        for part in ("output", "error")
        for value in _values(compared(step, part))
        if step.name != RECEIVED
    }


def _received(view: TrialView) -> set[str]:
    return _values([text for each in view.received.values() for text in each.values()])


def _generated_and_sent(view: TrialView) -> set[str]:
    """Return the values that bodies sent, except those that they had received before."""
    generated: set[str] = set()
    for key, texts in view.messages.items():
        numbered = view.received.get(key.workflow, {})
        earlier = [text for number, text in numbered.items() if number < key.number]
        generated |= _values(texts) - _values(earlier)
    return generated


def _is_of_client(key: Field, fields: Mapping[Field, object]) -> bool:
    """Return whether a field is a client's input: a client may send another value each time."""
    return key.part == "input" and fields[key._replace(part="parent")] is None


def _is_of_body(key: Field) -> bool:
    if key.kind in (FieldKind.EVENT, FieldKind.STREAM, FieldKind.WRITE):
        return True
    return (key.kind, key.part) in (
        (FieldKind.WORKFLOW, "input"), (FieldKind.WORKFLOW, "output"),
        (FieldKind.STEP, "arguments"), (FieldKind.STEP, "message"),
    )  # fmt: skip


def _generated(value: object, recorded: Set[str]) -> set[str]:
    """Return the values in a text that hold no recorded one."""
    values = _values(value)
    return {each for each in values if not recorded & _values(each)} if recorded else values


def _values(value: object) -> set[str]:
    """Return everything in a text that may be a generated value, or the end of one."""
    return {
        word[parts[first].start() : last.end()]
        for text in texts_of(value)
        for word, parts in _words(text)
        for first in range(len(parts))
        for last in parts[first : first + _PARTS_MAX]
        if last.end() - parts[first].start() >= _LENGTH_MIN
    }


def _words(text: str) -> Iterator[tuple[str, list[re.Match[str]]]]:
    """Yield the text for each of its words, with the parts of the word."""
    parts: list[re.Match[str]] = []
    for part in _PART.finditer(text):
        may_be_time = _MAY_BE_TIME.fullmatch(part[0]) is not None
        if parts and (may_be_time or not _JOINT.fullmatch(text, parts[-1].end(), part.start())):
            yield text, parts
            parts = []
        if not may_be_time:
            parts.append(part)
    if parts:
        yield text, parts


def _without(carried: Mapping[Field, set[str]], constant: Set[str]) -> dict[Field, set[str]]:
    """Return the values that are not constant, of the fields that have any."""
    found = {key: values - constant for key, values in carried.items()}
    return {key: values for key, values in found.items() if values}


def _is_broken(carried: Mapping[Field, set[str]], pair: Link) -> bool:
    one, other = (carried.get(key) for key in pair)
    return one is not None and other is not None and one.isdisjoint(other)


def _pairs(carried: Mapping[Field, set[str]]) -> set[Link]:
    carriers: defaultdict[str, list[Field]] = defaultdict(list)
    for key, values in carried.items():
        for value in values:
            carriers[value].append(key)
    return {pair for keys in carriers.values() for pair in combinations(sorted(keys), 2)}
