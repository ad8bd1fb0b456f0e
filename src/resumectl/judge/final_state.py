"""Compare the final state of a trial with that of uninterrupted runs."""

from collections.abc import Callable, Collection, Iterator

from resumectl.judge.baseline import MISSING, usual_of
from resumectl.judge.case import Case
from resumectl.judge.fields import Field, FieldKind, shortened, texts_of
from resumectl.judge.not_compared import varying_fields
from resumectl.model.evidence import (
    CannotObserve,
    EndedOtherwise,
    Missing,
    NotInBaseline,
    OtherArguments,
    OtherValue,
    TimedOut,
)
from resumectl.model.verdict import Exposure, Finding, Kind

_OF_SCENARIO = (FieldKind.OBSERVED, FieldKind.OBSERVE, FieldKind.EFFECTS)
_GIVEN = ("arguments", "values")  # parts of a step, and of a statement of a body
# Parts whose absence is a loss; the other parts are absent together with these.
_PRESENCE = ("status", "name", "")


def other_endings(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each workflow that ended with another status.

    A workflow whose timeout passed between two processes is an exposure: DBOS correctly cancelled it.
    """
    if not _is_compared(case):
        return
    fields = case.view.fields
    for key, values in _other_statuses(case):
        if key.name in case.timed_out:
            yield Exposure(key.name, 1, note=TimedOut())
            continue
        error = fields.get(key._replace(part="error"))
        evidence = EndedOtherwise(
            str(fields[key]), str(usual_of(values)), shortened(error) if error else ""
        )
        yield Finding(Kind.FAILED, key.name, evidence)


def unobservable_outside(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding if the Scenario's `observe` or `effects` fails."""
    if _is_compared(case):
        for key, value in _failed_observations(case):
            yield Finding(Kind.DIVERGED, str(key.kind), CannotObserve(str(value)))


def repeated_messages(case: Case) -> Iterator[Finding | Exposure]:
    """Yield an exposure for each message that was sent again and has not been received."""
    if _is_compared(case):
        for key, times in case.unread_repeats.items():
            yield Exposure(key.name.replace(key.kind, "message to", 1), times)


def missing_or_different(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each field that is missing or has another value."""
    fields = case.view.fields
    for key, values in _compared_fields(case):
        if key not in fields:
            if MISSING not in values and key.part in _PRESENCE:
                yield Finding(Kind.LOST, key.subject, Missing())
        elif key.part in _GIVEN:
            yield from _other_arguments(case, key, fields[key], values)
        elif key.part != "status" and not (
            fields[key] in values or case.other_values.explain(key, fields[key], values)
        ):
            texts = (_shown(key, each) for each in (fields[key], usual_of(values)))
            evidence = OtherValue(key.part, *texts)
            yield Finding(Kind.DIVERGED, key.subject, evidence)


def _shown(key: Field, value: object) -> str:
    """Return a value for evidence: a plain text in quotes, as recorded texts have them."""
    is_plain_text = key.kind in (FieldKind.ANSWER, FieldKind.OBSERVED) and isinstance(value, str)
    return shortened(repr(value) if is_plain_text else value)


def unexpected_fields(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each thing that no uninterrupted run has.

    A new workflow is one finding, together with everything in it and below it.
    """
    if not _is_compared(case):
        return
    baseline = case.baseline
    known_keys = (*baseline.fields, *varying_fields(baseline.not_compared.varying))
    known = {(key.kind, key.name) for key in known_keys}
    judged = _Judged(case)
    inside = _inside_new_workflows(case, {name for _, name in known})
    for key in sorted({key._replace(part="") for key in case.view.fields}):
        # The values of a body's write are compared, but not whether the write is new.
        is_new = (key.kind, key.name) not in known and key.kind is not FieldKind.WRITE
        if is_new and not inside(key) and judged.contains(key):
            yield Finding(Kind.UNEXPECTED, key.subject, NotInBaseline())


def _inside_new_workflows(case: Case, known: Collection[str]) -> Callable[[Field], bool]:
    """Return the function that tells whether a field belongs to a new workflow, or to one below it."""
    parents = {row.id: row.parent for row in case.view.final.snapshot.workflows}
    new = parents.keys() - known

    def is_inside(key: Field) -> bool:
        if key.kind is FieldKind.WORKFLOW:
            return parents.get(key.name) in new
        return key.workflow in new

    return is_inside


def _is_compared(case: Case) -> bool:
    return case.is_complete and not case.baseline.not_compared.is_everything


def _compared_fields(case: Case) -> Iterator[tuple[Field, tuple[object, ...]]]:
    if not _is_compared(case):
        return
    judged = _Judged(case)
    for key, values in case.baseline.fields.items():
        if judged.contains(key):
            yield key, tuple(values)


def _other_statuses(case: Case) -> Iterator[tuple[Field, tuple[object, ...]]]:
    fields = case.view.fields
    for key, values in case.baseline.fields.items():
        if key.part == "status" and fields.get(key, values[0]) not in values:
            yield key, tuple(values)


def _failed_observations(case: Case) -> list[tuple[Field, object]]:
    kinds = (FieldKind.OBSERVE, FieldKind.EFFECTS)
    return [(key, value) for key, value in case.view.fields.items() if key.kind in kinds]


class _Judged:
    """Filter for the fields that are compared and are no consequence of another finding."""

    def __init__(self, case: Case) -> None:
        self._rule = case.baseline.not_compared
        self._repeated = case.unread_repeats
        self._other_statuses = {key.name for key, _ in _other_statuses(case)}
        self._can_observe = not _failed_observations(case)

    def contains(self, key: Field) -> bool:
        """Return whether a field is compared and is no consequence of another finding."""
        if key in self._repeated:
            return False
        if key.kind in _OF_SCENARIO:
            return self._can_observe and not self._rule.is_partial
        # Other fields of a workflow with another status are a consequence, and so is the answer.
        is_answer = bool(self._other_statuses) and key.kind is FieldKind.ANSWER
        is_consequence = is_answer or key.owner in self._other_statuses
        return not is_consequence and not self._rule.covers(key)


def _other_arguments(
    case: Case, key: Field, given: object, values: tuple[object, ...]
) -> Iterator[Finding]:
    usual = {text for value in values if isinstance(value, tuple) for text in value}
    for text in texts_of(given):
        if text not in usual and not case.other_values.explain(key, text, usual):
            evidence = OtherArguments(
                key.part == "values", shortened(text), shortened(" or ".join(sorted(usual)))
            )
            yield Finding(Kind.DIVERGED, key.name, evidence)
