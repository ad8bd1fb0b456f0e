"""Find pairs of fields that share a value which a workflow's body generates.

Such a value differs in each run, so no run shows the expected one. But two fields that share a value in
every uninterrupted run must share a value after a crash too.
"""

import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import combinations

from resumectl.judge.fields import Field, FieldKind, texts_of
from resumectl.judge.trial_view import RECEIVED, TrialView, compared, plain_values

Link = tuple[Field, Field]

# The last parts of UUIDs, tokens and keys have at least this length, so two of them are never equal
# accidentally. Digits alone may be a time in seconds, which two reads of a clock share.
_GENERATED = re.compile(r"(?![0-9TZ]{1,16}(?![0-9A-Za-z]))[0-9A-Za-z]{12,}")


def linked_fields(views: Sequence[TrialView]) -> frozenset[Link]:
    """Return the pairs of fields that share a generated value in each of the runs.

    Args:
        views: At least two uninterrupted runs. A value that is the same in all is not generated.
    """
    carried = [carried_values(view) for view in views]
    constant = set.intersection(*(set().union(*each.values()) for each in carried))
    return frozenset(set.intersection(*(_pairs(each, constant) for each in carried)))


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
            carried[key] = _values(each) - recorded - own
    return {key: values for key, values in carried.items() if values}


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


def _values(value: object) -> set[str]:
    return {match for text in texts_of(value) for match in _GENERATED.findall(text)}


def _pairs(carried: Mapping[Field, set[str]], constant: set[str]) -> set[Link]:
    carriers: defaultdict[str, list[Field]] = defaultdict(list)
    for key, values in carried.items():
        for value in values - constant:
            carriers[value].append(key)
    return {pair for keys in carriers.values() for pair in combinations(sorted(keys), 2)}
