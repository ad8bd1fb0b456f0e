"""A message that is sent again because the client asks again, and that nobody receives."""

from collections.abc import Sequence

import pytest
from builders import baseline_of, committed, observed, process, snapshot

from resumectl.judge.resent_messages import unread_repeats
from resumectl.judge.trial_view import TrialView
from resumectl.model.observation import ProcessRecord
from resumectl.model.snapshot import NO_TOPIC, KeyedValueRow


def sending(*sent: tuple[str, str], inbox: Sequence[tuple[str, str]] = ()) -> ProcessRecord:
    """A process that committed these messages, as fact and topic, and left those, as topic and text."""
    rows = [KeyedValueRow("w-1", topic, text) for topic, text in inbox]
    return process([committed(each) for each in sent], snapshot(inbox=rows))


PAID, ITSELF = ("w-1/notified", "paid"), ("w-1/step-2", "DBOS.send")
UNTITLED = ("w-1/notified", NO_TOPIC)
ONCE, TWICE = [("paid", "order-1")], [("paid", "order-1")] * 2


@pytest.mark.parametrize(
    ("usual", "processes", "found"),
    [
        ([], [sending(PAID), sending(PAID, inbox=ONCE)], {"inbox w-1 paid": 2}),
        (ONCE, [sending(PAID), sending(PAID, inbox=TWICE)], {"inbox w-1 paid": 2}),
        (
            [],
            [sending(PAID), sending(PAID), sending(PAID, inbox=TWICE)],
            {"inbox w-1 paid": 3},
        ),
        (
            [],
            [sending(UNTITLED), sending(UNTITLED, inbox=[(NO_TOPIC, "order-1")])],
            {"inbox w-1": 2},
        ),
        # Sent once, or by a step of a workflow, or to another: nobody has repeated it.
        ([], [sending(PAID), sending(inbox=ONCE)], {}),
        ([], [sending(ITSELF), sending(ITSELF, inbox=ONCE)], {}),
        ([], [sending(UNTITLED), sending(UNTITLED, inbox=ONCE)], {}),
        (
            [],
            [sending(("w-2/notified", "paid")), sending(("w-2/notified", "paid"), inbox=ONCE)],
            {},
        ),
        # More than was sent again; and another one, in the place of what is usual.
        ([], [sending(PAID), sending(PAID, inbox=TWICE)], {}),
        (ONCE, [sending(PAID), sending(PAID, inbox=[("paid", "a"), ("paid", "b")])], {}),
        ([], [sending(PAID), sending(PAID)], {}),
    ],
)
def test_only_what_the_client_sent_again_is_a_repeat(
    usual: Sequence[tuple[str, str]], processes: Sequence[ProcessRecord], found: dict[str, int]
) -> None:
    baseline = baseline_of([observed(sending(PAID, inbox=usual)) for _ in range(2)])
    repeats = unread_repeats(TrialView(observed(*processes)), baseline)
    assert {key.name: times for key, times in repeats.items()} == found


def test_inbox_that_only_the_edited_program_fills_is_compared_with_an_empty_one() -> None:
    before, after = (
        baseline_of([observed(sending(PAID, inbox=usual)) for _ in range(2)])
        for usual in ([], ONCE)
    )
    trial = TrialView(observed(sending(PAID), sending(PAID, inbox=ONCE)))
    repeats = unread_repeats(trial, before.or_as(after))
    assert {key.name: times for key, times in repeats.items()} == {"inbox w-1 paid": 2}
