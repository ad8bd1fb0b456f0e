"""What survived, as frozen values, and what that says of the promises. Pure.

`records` asks the database for them; `report` shows them; nothing here opens anything.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from enum import StrEnum
from typing import Self

from resumectl.text import counted

# Between writing a batch down and starting its workflow; resumectl's word, not DBOS's.
NOT_STARTED = "NOT_STARTED"
SUCCESS = "SUCCESS"
CANCELLED = "CANCELLED"


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
    missing: int = 0  # undelivered messages of batches that have ended
    failed: int = 0  # messages whose failure was recorded
    pending: int = 0  # undelivered messages of batches that have not
    ignored: int = 0  # second attempts that changed nothing

    def __add__(self, other: "Counts") -> "Counts":
        return Counts(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(Counts)))


@dataclass(frozen=True, slots=True)
class BatchState:
    """One batch, as it stands."""

    id: str
    publisher: str
    guarantee: str
    status: str  # of its workflow, as DBOS spells it, or NOT_STARTED
    counts: Counts
    failures: tuple[tuple[int, str], ...] = ()  # message number, why

    @classmethod
    def of(
        cls,
        *,
        id: str,
        publisher: str,
        guarantee: str,
        status: str,
        has_ended: bool,
        expected: int,
        delivered: int,
        deliveries: int,
        ignored: int,
        failed: int,
        failures: tuple[tuple[int, str], ...] = (),
    ) -> Self:
        """Derive what is missing and what is pending from what was counted."""
        undelivered = expected - delivered
        counts = Counts(
            expected=expected,
            delivered=delivered,
            repeated=deliveries - delivered,
            missing=undelivered if has_ended else 0,
            failed=failed,
            pending=0 if has_ended else undelivered,
            ignored=ignored,
        )
        return cls(id, publisher, guarantee, status, counts, failures)


@dataclass(frozen=True, slots=True)
class LifeCounters:
    """What the counters in memory had come to in one life, as its last delivery kept it."""

    life: int
    pid: int
    host: str
    executor: str
    command: str
    ended: str  # running, died, or how it ended
    local: int
    total: int


@dataclass(frozen=True, slots=True)
class PublisherState:
    """One publisher: its batches, and its counters, durable and in memory."""

    name: str
    batches: tuple[BatchState, ...]
    durable: int  # deliveries, counted in their table
    lives: tuple[LifeCounters, ...]


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


def broken_promises(batch: BatchState) -> list[str]:
    """What the batch's guarantee forbids, and happened; empty if it was kept so far."""
    counts = batch.counts
    found = []
    if counts.repeated and batch.guarantee != Guarantee.AT_LEAST_ONCE:
        found.append(f"{counts.repeated} repeated")
    # Whoever cancels a batch takes back its promise to deliver.
    if counts.missing and batch.guarantee != Guarantee.AT_MOST_ONCE and batch.status != CANCELLED:
        found.append(f"{counts.missing} missing")
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
        parts.append(f"{totals.missing} missing, as at-most-once or a cancellation allows")
    if totals.ignored:
        parts.append(f"{counted(totals.ignored, 'second attempt')} ignored")
    if totals.pending:
        return f"unfinished: {', '.join(parts)}, {totals.pending} pending"
    return f"kept: {', '.join(parts)}"
