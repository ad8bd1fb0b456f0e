"""What survived, as frozen values, and what that says of the promises. Pure.

`records` asks the database for them; `report` shows them; nothing here opens anything.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Self

from resumectl.statuses import UNFINISHED
from resumectl.text import counted

# Resumectl's words, not DBOS's: between writing a batch down and starting its workflow, and after
# its workflow was deleted.
NOT_STARTED = "NOT_STARTED"
DELETED = "DELETED"
PENDING = "PENDING"
SUCCESS = "SUCCESS"
CANCELLED = "CANCELLED"
# State of a process that ended without recording its end: by SIGKILL, or with its machine.
KILLED = "killed"


class Guarantee(StrEnum):
    """What a batch promises about its deliveries, and so what a crash may do to them."""

    EXACTLY_ONCE = "exactly-once"
    IDEMPOTENT = "idempotent"
    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"


@dataclass(frozen=True, slots=True)
class Counts:
    """What became of messages; `expected == delivered + missing + pending` always."""

    expected: int = 0
    delivered: int = 0  # distinct messages
    repeated: int = 0  # deliveries beyond the first of each message
    missing: int = 0  # undelivered messages that nothing can deliver any more
    failed: int = 0  # messages whose failure was recorded
    pending: int = 0  # undelivered messages that a workflow can still deliver
    ignored: int = 0  # second attempts that changed nothing
    cancelled: int = 0  # of those that are missing: what a cancellation took back
    unfinished: int = 0  # workflows that have not ended: they may deliver, or deliver again

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Active:
    """The workflows of one batch that have not ended: its own, its messages', and forks of these."""

    workflows: int = 0
    children: int = 0  # of these, those that the batch's own workflow has started
    may_deliver_any: bool = False  # a fork of the batch is among them, or a message of such a fork
    forked_messages: Set[int] = frozenset()  # those of which a fork is among them

    def __add__(self, other: "Active") -> "Active":
        return Active(
            self.workflows + other.workflows,
            self.children + other.children,
            self.may_deliver_any or other.may_deliver_any,
            self.forked_messages | other.forked_messages,
        )


@dataclass(frozen=True, slots=True)
class Left:
    """What can become of the messages of a batch that were not delivered."""

    pending: int = 0
    missing: int = 0
    cancelled: int = 0

    @classmethod
    def of(cls, batch_status: str, undelivered: Mapping[str | None, int], active: Active) -> Self:
        """Divide undelivered messages into those that can still be delivered, and the others.

        The status of the batch's own workflow does not decide it: a cancelled or failed batch may
        have left messages on the queue, and they are delivered as soon as a process serves it.

        Args:
            batch_status: The status of the batch's workflow.
            undelivered: The number of undelivered messages by the status of the workflow that is
                to deliver each; None where there is no such workflow.
            active: The workflows of the batch that have not ended.
        """
        starts_more = batch_status in (*UNFINISHED, NOT_STARTED)
        pending = missing = cancelled = 0
        for status, count in undelivered.items():
            if status in UNFINISHED or active.may_deliver_any or (status is None and starts_more):
                pending += count
                continue
            missing += count
            # Whoever cancels takes back the promise to deliver.
            if CANCELLED in (status, batch_status):
                cancelled += count
        return cls(pending, missing, cancelled)

    @classmethod
    def by_batch(
        cls,
        status: Mapping[str, str],
        undelivered: Mapping[str, Mapping[str | None, int]],
        active: Mapping[str, Active],
    ) -> dict[str, Self]:
        """Divide the undelivered messages of several batches."""
        return {
            batch_id: cls.of(status[batch_id], counted, active.get(batch_id, Active()))
            for batch_id, counted in undelivered.items()
        }


@dataclass(frozen=True, slots=True)
class BatchState:
    """One batch, as it stands."""

    id: str
    publisher: str
    guarantee: str
    status: str  # of its workflow, as DBOS spells it, or NOT_STARTED, or DELETED
    counts: Counts
    failures: tuple[tuple[int, str], ...] = ()  # message number, why
    unfinished_children: int = 0  # that its own workflow has started

    @property
    def is_unfinished(self) -> bool:
        """Whether a message of it can still be delivered, for the first time or again."""
        return bool(self.counts.pending or self.counts.unfinished)

    @property
    def outlived(self) -> int:
        """The number of its workflows that have not ended although the batch's own has."""
        is_over = self.status not in (*UNFINISHED, NOT_STARTED)
        return self.counts.unfinished if is_over else 0

    @property
    def can_be_cancelled(self) -> bool:
        """Whether to cancel it, once more, would end what it has left behind."""
        left = self.outlived
        return bool(left) and left == self.unfinished_children and self.status != DELETED


@dataclass(frozen=True, slots=True)
class ProcessCounters:
    """What the counters in memory had come to in one process, as its last delivery kept it."""

    process: int
    pid: int
    host: str
    executor: str
    command: str
    ended: str  # running, killed, or how it ended
    local: int
    total: int


@dataclass(frozen=True, slots=True)
class PublisherState:
    """One publisher: its batches, and its counters, durable and in memory."""

    name: str
    batches: tuple[BatchState, ...]
    durable: int  # deliveries, counted in their table
    processes: tuple[ProcessCounters, ...]


@dataclass(frozen=True, slots=True)
class State:
    """Everything that `state` shows."""

    publishers: tuple[PublisherState, ...]

    @property
    def batches(self) -> Iterator[BatchState]:
        """All batches of all publishers."""
        for publisher in self.publishers:
            yield from publisher.batches

    @property
    def totals(self) -> Counts:
        """The sums over all batches."""
        return sum((batch.counts for batch in self.batches), Counts())

    @property
    def is_unfinished(self) -> bool:
        """Whether any batch is."""
        return any(batch.is_unfinished for batch in self.batches)


def broken_promises(batch: BatchState) -> list[str]:
    """What the batch's guarantee forbids, and happened; empty if it was kept so far."""
    counts = batch.counts
    found = []
    if counts.repeated and batch.guarantee != Guarantee.AT_LEAST_ONCE:
        found.append(f"{counts.repeated} repeated")
    owed = counts.missing - counts.cancelled
    if owed and batch.guarantee != Guarantee.AT_MOST_ONCE:
        found.append(f"{owed} missing")
    return found


def verdict(state: State) -> str:
    """One line, in words."""
    batches = list(state.batches)
    if not batches:
        return "nothing has been published yet"
    broken = [(batch, found) for batch in batches if (found := broken_promises(batch))]
    if broken:
        batch, found = broken[0]
        more = f", and {len(broken) - 1} more" if len(broken) > 1 else ""
        return f"BROKEN: {batch.id} promised {batch.guarantee}, but {' and '.join(found)}{more}"
    totals = state.totals
    parts = [f"{totals.delivered} of {totals.expected} delivered"]
    if totals.repeated:
        parts.append(f"{totals.repeated} repeated, as at-least-once allows")
    if totals.missing:
        parts.append(f"{totals.missing} missing, as {_allowed_by(totals)} allows")
    if totals.ignored:
        parts.append(f"{counted(totals.ignored, 'second attempt')} ignored")
    if totals.pending:
        parts.append(f"{totals.pending} pending")
    elif totals.unfinished:
        verb = "has" if totals.unfinished == 1 else "have"
        parts.append(f"{counted(totals.unfinished, 'workflow')} {verb} not ended")
    if state.is_unfinished:
        return f"unfinished: {', '.join(parts)}"
    return f"kept: {', '.join(parts)}"


def _allowed_by(totals: Counts) -> str:
    """What allows messages to be missing."""
    if totals.cancelled == totals.missing:
        return "a cancellation"
    return "at-most-once or a cancellation" if totals.cancelled else "at-most-once"
