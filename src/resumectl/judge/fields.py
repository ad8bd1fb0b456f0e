"""Name the parts of a run's final state, so that two runs can be compared: fields and counts."""

from collections.abc import Sequence
from typing import NamedTuple

from resumectl.model.evidence import Occurrence
from resumectl.model.snapshot import NO_TOPIC, StepRow
from resumectl.model.text_enum import TextEnum

_SHOWN_MAX = 120  # maximum number of characters of a value in evidence


class FieldKind(TextEnum):
    """Kind of a field."""

    WORKFLOW = "workflow"
    STEP = "step"
    WRITE = "write"  # of a workflow's body, outside of any step
    RECEIVED = "received"
    EVENT = "event"
    STREAM = "stream"
    INBOX = "inbox"
    OBSERVED = "observed"  # of a Scenario's `observe`
    OBSERVE = "observe"  # error of a Scenario's `observe`
    EFFECTS = "effects"  # error of a Scenario's `effects`
    ANSWER = "answer"  # of the client's request


class Field(NamedTuple):
    """One compared part of a run's final state.

    Attributes:
        kind: Kind of the field.
        name: Name of the workflow or step, such as `checkout-1/step-2`, or of another thing.
        part: Part of that, such as `status` or `output`; empty if it has only one.
        workflow: Workflow of a step, a write or a message; empty for others.
        number: Number of a step; 0 for others.
    """

    kind: FieldKind
    name: str
    part: str = ""
    workflow: str = ""
    number: int = 0

    @property
    def owner(self) -> str:
        """Workflow that it belongs to; empty for none."""
        return self.workflow or (self.name if self.kind is FieldKind.WORKFLOW else "")

    @property
    def subject(self) -> str:
        """Name in findings, the same for every part."""
        whole = self._replace(part="")
        return str(whole) if self.kind is FieldKind.OBSERVED else self.name or str(self.kind)

    def __str__(self) -> str:
        unnamed = (FieldKind.WORKFLOW, FieldKind.OBSERVED, FieldKind.RECEIVED)
        names_itself = self.name and self.kind not in unnamed
        words = self.name if names_itself else f"{self.kind} {self.name}".rstrip()
        return words + (f": {self.part}" if self.part else "")


class Count(NamedTuple):
    """Counted thing.

    Attributes:
        occurrence: Kind of the counted thing.
        name: Name of the effect, the step or the write.
        about: Identifying text: arguments of an effect, or location.
    """

    occurrence: Occurrence
    name: str
    about: str

    @property
    def subject(self) -> str:
        """Name in findings."""
        if self.occurrence is Occurrence.EFFECT:
            return f"{self.name}({self.about})"
        return f"{self.name}, {self.about}"

    def __str__(self) -> str:
        if self.occurrence is Occurrence.EFFECT:
            return f"effect {self.name}({self.about})"
        if self.occurrence is Occurrence.EXECUTION:
            return f"executions of {self.name} {self.about}"
        return f"write {self.name} {self.about}"


def step_field(row: StepRow, part: str) -> Field:
    """Return the field of a recorded step."""
    return numbered_field(row.workflow, row.number, part)


def numbered_field(workflow: str, number: int, part: str) -> Field:
    """Return the field of the step with this number."""
    return Field(FieldKind.STEP, f"{workflow}/step-{number}", part, workflow, number)


def said_field(kind: FieldKind, workflow: str, key: str) -> Field:
    """Return the field of a value that a workflow published under a key, or was sent on a topic."""
    name = " ".join(filter(None, (kind, workflow, "" if key == NO_TOPIC else key)))
    return Field(kind, name, "", workflow)


def texts_of(value: object) -> Sequence[str]:
    """Return the texts of a field's value: the value itself, its items, or none for another value."""
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def shortened(value: object) -> str:
    """Return a value as shortened text for evidence."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
