"""What is said of the promises, from counts written down here."""

import pytest

from resumectl.publishing.state import (
    BatchState,
    Guarantee,
    PublisherState,
    State,
    broken_promises,
    verdict,
)


def batch(
    guarantee: str = "exactly-once",
    *,
    delivered: int = 5,
    deliveries: int | None = None,
    status: str = "SUCCESS",
    ignored: int = 0,
    failed: int = 0,
) -> BatchState:
    """A batch of five messages."""
    return BatchState.of(
        id="alpha-1",
        publisher="alpha",
        guarantee=guarantee,
        status=status,
        has_ended=status not in ("PENDING", "ENQUEUED", "NOT_STARTED"),
        expected=5,
        delivered=delivered,
        deliveries=delivered if deliveries is None else deliveries,
        ignored=ignored,
        failed=failed,
    )


def state(*batches: BatchState) -> State:
    return State((PublisherState("alpha", batches, durable=0, lives=()),))


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
