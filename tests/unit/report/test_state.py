"""What is said of the promises, from counts written down here."""

from collections.abc import Mapping

import pytest

from resumectl.publishing.store.state import (
    Active,
    BatchState,
    Counts,
    Guarantee,
    Left,
    PublisherState,
    State,
    broken_promises,
    verdict,
)

NOTHING = Active()
DEAD_LETTERED = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"


def batch(
    guarantee: str = "exactly-once",
    *,
    delivered: int = 5,
    deliveries: int | None = None,
    status: str = "SUCCESS",
    ignored: int = 0,
    undelivered: Mapping[str | None, int] | None = None,
    active: Active = NOTHING,
) -> BatchState:
    """A batch of five messages; what was not delivered ended without it, unless told otherwise."""
    left = Left.of(status, undelivered or {None: 5 - delivered}, active)
    counts = Counts(
        expected=5,
        delivered=delivered,
        repeated=(delivered if deliveries is None else deliveries) - delivered,
        missing=left.missing,
        pending=left.pending,
        ignored=ignored,
        cancelled=left.cancelled,
        unfinished=active.workflows,
    )
    return BatchState("alpha-1", "alpha", guarantee, status, counts)


def state(*batches: BatchState) -> State:
    return State((PublisherState("alpha", batches, durable=0, processes=()),))


@pytest.mark.parametrize("guarantee", list(Guarantee))
def test_everything_delivered_once_keeps_every_promise(guarantee: str) -> None:
    assert broken_promises(batch(guarantee)) == []


@pytest.mark.parametrize(
    ("guarantee", "repetition_breaks", "loss_breaks"),
    [
        ("exactly-once", True, True),
        ("idempotent", True, True),
        ("at-least-once", False, True),
        ("at-most-once", True, False),
    ],
)
def test_each_guarantee_forbids_what_its_name_says(
    guarantee: str, repetition_breaks: bool, loss_breaks: bool
) -> None:
    assert bool(broken_promises(batch(guarantee, deliveries=6))) is repetition_breaks
    assert bool(broken_promises(batch(guarantee, delivered=4))) is loss_breaks


def test_what_is_undelivered_is_pending_until_the_batch_has_ended() -> None:
    running, ended = batch(delivered=3, status="PENDING"), batch(delivered=3)
    assert (running.counts.pending, running.counts.missing) == (2, 0)
    assert (ended.counts.pending, ended.counts.missing) == (0, 2)
    assert broken_promises(running) == []


def test_a_cancelled_batch_owes_no_delivery_but_still_no_repetition() -> None:
    assert broken_promises(batch(delivered=3, status="CANCELLED")) == []
    assert broken_promises(batch(delivered=3, deliveries=4, status="CANCELLED")) == ["1 repeated"]


@pytest.mark.parametrize("status", ["CANCELLED", "ERROR", "SUCCESS", "DELETED", DEAD_LETTERED])
@pytest.mark.parametrize("own", ["ENQUEUED", "DELAYED", "PENDING"])
def test_a_message_whose_workflow_has_not_ended_is_pending_whatever_its_batch_says(
    status: str, own: str
) -> None:
    found = batch(delivered=3, status=status, undelivered={own: 2}, active=Active(workflows=2))
    assert (found.counts.pending, found.counts.missing) == (2, 0)
    assert broken_promises(found) == []
    assert verdict(state(found)) == "unfinished: 3 of 5 delivered, 2 pending"
    assert found.outlived == 2


@pytest.mark.parametrize("own", ["SUCCESS", "ERROR", "CANCELLED", DEAD_LETTERED])
def test_a_message_that_nothing_can_deliver_is_missing_while_its_batch_runs(own: str) -> None:
    found = batch(delivered=2, status="PENDING", undelivered={own: 1, None: 2})
    assert (found.counts.pending, found.counts.missing) == (2, 1)
    assert bool(broken_promises(found)) is (own != "CANCELLED")


def test_a_message_that_was_cancelled_alone_is_not_owed() -> None:
    found = batch(delivered=3, undelivered={"CANCELLED": 2})
    assert broken_promises(found) == []
    assert verdict(state(found)) == "kept: 3 of 5 delivered, 2 missing, as a cancellation allows"
    both = batch(delivered=3, undelivered={"CANCELLED": 1, "ERROR": 1})
    assert broken_promises(both) == ["1 missing"]


def test_a_fork_of_a_batch_may_deliver_whatever_is_missing() -> None:
    fork = Active(workflows=1, may_deliver_any=True)
    found = batch(delivered=3, undelivered={"ERROR": 2}, active=fork)
    assert (found.counts.pending, found.counts.missing) == (2, 0)


def test_a_batch_is_unfinished_while_one_of_its_workflows_may_deliver_again() -> None:
    found = batch("at-least-once", status="PENDING", active=Active(workflows=2))
    assert verdict(state(found)) == "unfinished: 5 of 5 delivered, 2 workflows have not ended"
    broken = batch(deliveries=6, status="PENDING", active=Active(workflows=1))
    assert verdict(state(broken)).startswith("BROKEN")


def test_every_expected_message_is_delivered_missing_or_pending() -> None:
    for each in (batch(), batch(delivered=2), batch(delivered=2, status="PENDING")):
        counts = each.counts
        assert counts.expected == counts.delivered + counts.missing + counts.pending


@pytest.mark.parametrize(
    ("found", "words"),
    [
        (State(()), "nothing has been published yet"),
        (state(batch()), "kept: 5 of 5 delivered"),
        (state(batch(delivered=3, status="PENDING")), "unfinished: 3 of 5 delivered, 2 pending"),
        (
            state(batch(delivered=4, deliveries=6)),
            "BROKEN: alpha-1 promised exactly-once, but 2 repeated and 1 missing",
        ),
        (
            state(batch("at-least-once", deliveries=6)),
            "kept: 5 of 5 delivered, 1 repeated, as at-least-once allows",
        ),
        (
            state(batch("idempotent", ignored=2)),
            "kept: 5 of 5 delivered, 2 second attempts ignored",
        ),
    ],
)
def test_the_verdict_is_one_line_in_words(found: State, words: str) -> None:
    assert verdict(found) == words
