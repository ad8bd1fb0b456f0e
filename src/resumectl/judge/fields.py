"""Name what a run ends with, so that two runs can be compared: fields with a value each, and counts."""

from collections.abc import Sequence
from typing import NamedTuple

from resumectl.model.evidence import Happening
from resumectl.model.snapshot import NO_TOPIC, StepRow
from resumectl.model.text_enum import TextEnum

_SHOWN_MAX = 120  # characters of a value in evidence


class FieldKind(TextEnum):
    """What a field belongs to."""

    WORKFLOW = "workflow"
    STEP = "step"
    WRITE = "write"  # by a workflow's body, outside of any step
    RECEIVED = "received"
    EVENT = "event"
    STREAM = "stream"
    INBOX = "inbox"
    OBSERVED = "observed"  # by a Scenario's `observe`
    OBSERVE = "observe"  # the error of that
    EFFECTS = "effects"  # the error of a Scenario's `effects`
    ANSWER = "answer"  # of the client's request


class Field(NamedTuple):
    """One thing that a run ends with, and that is compared.

    Attributes:
        kind: What it belongs to.
        name: As in `checkout-1`, or `checkout-1/step-2`.
        part: As in `status`, `output`; empty where there is one.
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
        """Workflow that it is a part of; empty if it is of none."""
        return self.workflow or (self.name if self.kind is FieldKind.WORKFLOW else "")

    @property
    def subject(self) -> str:
        """What a finding names, whichever part of it differs."""
        whole = self._replace(part="")
        return str(whole) if self.kind is FieldKind.OBSERVED else self.name or str(self.kind)

    def __str__(self) -> str:
        unnamed = (FieldKind.WORKFLOW, FieldKind.OBSERVED, FieldKind.RECEIVED)
        names_itself = self.name and self.kind not in unnamed
        words = self.name if names_itself else f"{self.kind} {self.name}".rstrip()
        return words + (f": {self.part}" if self.part else "")


class Count(NamedTuple):
    """Something that happens a number of times.

    Attributes:
        happening: What is counted.
        name: Name of the effect, the step or the write.
        about: What tells one from another: arguments of an effect, or where.
    """

    happening: Happening
    name: str
    about: str

    @property
    def subject(self) -> str:
        """What a finding names."""
        if self.happening is Happening.EFFECT:
            return f"{self.name}({self.about})"
        return f"{self.name}, {self.about}"

    def __str__(self) -> str:
        if self.happening is Happening.EFFECT:
            return f"effect {self.name}({self.about})"
        if self.happening is Happening.EXECUTION:
            return f"executions of {self.name} {self.about}"
        return f"write {self.name} {self.about}"


def step_field(row: StepRow, part: str) -> Field:
    """Return the field of a recorded step."""
    return numbered_field(row.workflow, row.number, part)


def numbered_field(workflow: str, number: int, part: str) -> Field:
    """Return the field of the step of this number."""
    return Field(FieldKind.STEP, f"{workflow}/step-{number}", part, workflow, number)


def said_field(kind: FieldKind, workflow: str, key: str) -> Field:
    """Return the field of what a workflow published under a key, or was sent on a topic."""
    name = " ".join(filter(None, (kind, workflow, "" if key == NO_TOPIC else key)))
    return Field(kind, name, "", workflow)


def texts_of(value: object) -> Sequence[str]:
    """Return the texts of a field's value: the value itself, its items, or none for another value."""
    if isinstance(value, str):
        return (value,)
    return tuple(map(str, value)) if isinstance(value, list | tuple) else ()


def shortened(value: object) -> str:
    """Return a value as evidence contains it."""
    text = value if isinstance(value, str) else repr(value)
    return text if len(text) <= _SHOWN_MAX else text[: _SHOWN_MAX - 1] + "…"
