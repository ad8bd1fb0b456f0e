"""Define what survived as frozen values, and judge the guarantees of batches. Pure.

`records` reads these values from the database, and `report` shows them.
"""

from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Self

from resumectl.statuses import UNFINISHED
from resumectl.text import counted

# Statuses that DBOS does not have: a stored batch before its workflow starts, and after its
# workflow was deleted.
NOT_STARTED = "NOT_STARTED"
DELETED = "DELETED"
PENDING = "PENDING"
SUCCESS = "SUCCESS"
CANCELLED = "CANCELLED"
# States of a process. One that ended without recording its end was killed: by SIGKILL, or with its machine.
RUNNING = "running"
FROZEN = "frozen"  # SIGSTOP has stopped it
KILLED = "killed"


class Guarantee(StrEnum):
    """What a batch promises about the deliveries of its messages.

    Example:
        >>> from resumectl import Guarantee
        >>> Guarantee("at-least-once") is Guarantee.AT_LEAST_ONCE
        True
    """

    EXACTLY_ONCE = "exactly-once"
    IDEMPOTENT = "idempotent"
    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"


@dataclass(frozen=True, slots=True)
class Counts:
    """Numbers of messages; always `expected == delivered + missing + pending`."""

    expected: int = 0
    delivered: int = 0  # distinct messages
    repeated: int = 0  # deliveries beyond the first of each message
    missing: int = 0  # undelivered messages that nothing can deliver any more
    failed: int = 0  # messages whose failure was recorded
    pending: int = 0  # undelivered messages that a workflow can still deliver
    ignored: int = 0  # second attempts that changed nothing
    cancelled: int = 0  # missing messages that a cancellation took back
    unfinished: int = 0  # workflows that have not ended: they may deliver, or deliver again

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


@dataclass(frozen=True, slots=True)
class Active:
    """The unfinished workflows of one batch: its own, its messages', and forks of these."""

    workflows: int = 0
    children: int = 0  # those that the batch's own workflow has started
    may_deliver_any: bool = False  # one is a fork of the batch, or a message of such a fork
    forked_messages: Set[int] = frozenset()  # messages of which one is a fork

    def __add__(self, other: "Active") -> "Active":
        return Active(
            self.workflows + other.workflows,
            self.children + other.children,
            self.may_deliver_any or other.may_deliver_any,
            self.forked_messages | other.forked_messages,
        )


@dataclass(frozen=True, slots=True)
class Left:
    """Numbers of undelivered messages of a batch, by what can become of them."""

    pending: int = 0
    missing: int = 0
    cancelled: int = 0

    @classmethod
    def of(cls, batch_status: str, undelivered: Mapping[str | None, int], active: Active) -> Self:
        """Divide undelivered messages into those that can still be delivered, and the others.

        The status of the batch's own workflow does not decide. A cancelled or failed batch may have
        left messages on the queue, and the next process that serves the queue delivers them.

        Args:
            batch_status: Status of the batch's workflow.
            undelivered: Number of undelivered messages by the status of the workflow that is to
                deliver each; None for messages without such a workflow.
            active: Unfinished workflows of the batch.
        """
        starts_more = batch_status in (*UNFINISHED, NOT_STARTED)
        pending = missing = cancelled = 0
        for status, count in undelivered.items():
            if status in UNFINISHED or active.may_deliver_any or (status is None and starts_more):
                pending += count
                continue
            missing += count
            # A cancellation takes back the promise to deliver.
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
    """The state of one batch."""

    id: str
    publisher: str
    guarantee: str
    status: str  # status of its workflow, as DBOS spells it, or NOT_STARTED, or DELETED
    counts: Counts
    failures: tuple[tuple[int, str], ...] = ()  # number and error of each message
    unfinished_children: int = 0  # children of its own workflow

    @property
    def is_unfinished(self) -> bool:
        """Whether one of its messages can still be delivered, for the first time or again."""
        return bool(self.counts.pending or self.counts.unfinished)

    @property
    def outlived(self) -> int:
        """The number of its unfinished workflows, if its own workflow has ended."""
        is_over = self.status not in (*UNFINISHED, NOT_STARTED)
        return self.counts.unfinished if is_over else 0

    @property
    def can_be_cancelled(self) -> bool:
        """Whether a cancellation would end all of its unfinished workflows."""
        left = self.outlived
        return bool(left) and left == self.unfinished_children and self.status != DELETED


@dataclass(frozen=True, slots=True)
class ProcessCounters:
    """The last values of the counters in memory of one process, as its deliveries stored them."""

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
    durable: int  # number of rows in `deliveries`
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
        """Whether any batch is unfinished."""
        return any(batch.is_unfinished for batch in self.batches)


def broken_promises(batch: BatchState) -> list[str]:
    """Return what happened although the guarantee of the batch forbids it; empty if nothing."""
    counts = batch.counts
    found = []
    if counts.repeated and batch.guarantee != Guarantee.AT_LEAST_ONCE:
        found.append(f"{counts.repeated} repeated")
    owed = counts.missing - counts.cancelled
    if owed and batch.guarantee != Guarantee.AT_MOST_ONCE:
        found.append(f"{owed} missing")
    return found


def verdict(state: State) -> str:
    """Return the verdict on all batches, as one line."""
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
    """Return what allows messages to be missing."""
    if totals.cancelled == totals.missing:
        return "a cancellation"
    return "at-most-once or a cancellation" if totals.cancelled else "at-most-once"
