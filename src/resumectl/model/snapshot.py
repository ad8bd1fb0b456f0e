"""Define the snapshot of a trial's database when a process has ended: rows, as DBOS stored them."""

from collections.abc import Mapping
from dataclasses import dataclass

# Marks a stored message without a topic (DBOS 3.4.0).
NO_TOPIC = "__null__topic__"


@dataclass(frozen=True, slots=True)
class WorkflowRow:
    """Row of a workflow. Times are milliseconds; `input`, `output` and `error` are serialized."""

    id: str
    name: str
    status: str
    output: str | None
    error: str | None
    queue: str | None
    executor: str | None
    version: str | None
    attempts: int | None
    parent: str | None
    input: str | None
    deadline_ms: int | None
    priority: int | None
    user: str | None
    roles: str | None
    timeout_ms: int | None
    partition: str | None


@dataclass(frozen=True, slots=True)
class StepRow:
    """Row of a recorded step. `output` and `error` are serialized; `child`: workflow it started."""

    workflow: str
    number: int
    name: str
    output: str | None
    error: str | None
    child: str | None


@dataclass(frozen=True, slots=True)
class KeyedValueRow:
    """Row of a value that a workflow published, or was sent, under a key; `value` is serialized."""

    workflow: str
    key: str
    value: str | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All rows of one moment.

    Attributes:
        workflows: Workflows, the oldest first.
        steps: Recorded steps, by workflow and number.
        event: Last value of each event.
        stream: Values of each stream, in their order.
        inbox: Messages that have not been received.
    """

    workflows: tuple[WorkflowRow, ...]
    steps: tuple[StepRow, ...]
    event: tuple[KeyedValueRow, ...]
    stream: tuple[KeyedValueRow, ...]
    inbox: tuple[KeyedValueRow, ...]

    @property
    def said(self) -> Mapping[str, tuple[KeyedValueRow, ...]]:
        """Published values and unreceived messages, by kind."""
        return {"event": self.event, "stream": self.stream, "inbox": self.inbox}


@dataclass(frozen=True, slots=True)
class UnfinishedRow:
    """Row of a workflow that has not ended, as the target process reads it."""

    status: str
    queue: str | None
    version: str | None
