"""A message that is sent again because the client asks again, and that nobody receives."""

from collections.abc import Sequence
from typing import Any

import pytest

from resumectl.judge.baseline import Baseline
from resumectl.judge.resent_messages import unread_repeats
from resumectl.judge.trial_view import fields_of
from resumectl.model.observation import LifeSeen, Observation


def life(*sent: tuple[str, str], inbox: Sequence[tuple[str, str]] = ()) -> LifeSeen:
    """That committed these messages, as fact and topic, and left those, as topic and text."""
    events = [{"kind": "commit", "at_us": 1, "facts": [list(each)]} for each in sent]
    rows = [{"workflow": "w-1", "key": topic, "value": text} for topic, text in inbox]
    left: dict[str, Any] = {"workflows": [], "steps": [], "event": [], "stream": [], "inbox": rows}
    return LifeSeen(events, "ended", None, 0, True, left)


PAID, ITSELF = ("w-1/notified", "paid"), ("w-1/step-2", "DBOS.send")
UNTITLED = ("w-1/notified", "__null__topic__")
ONCE, TWICE = [("paid", "order-1")], [("paid", "order-1")] * 2


@pytest.mark.parametrize(
    ("usual", "lives", "found"),
    [
        ([], [life(PAID), life(PAID, inbox=ONCE)], {"inbox w-1 paid": 2}),
        (ONCE, [life(PAID), life(PAID, inbox=TWICE)], {"inbox w-1 paid": 2}),
        ([], [life(PAID), life(PAID), life(PAID, inbox=TWICE)], {"inbox w-1 paid": 3}),
        (
            [],
            [life(UNTITLED), life(UNTITLED, inbox=[("__null__topic__", "order-1")])],
            {"inbox w-1": 2},
        ),
        # Sent once, or by a step of a workflow, or to another: nobody has repeated it.
        ([], [life(PAID), life(inbox=ONCE)], {}),
        ([], [life(ITSELF), life(ITSELF, inbox=ONCE)], {}),
        ([], [life(UNTITLED), life(UNTITLED, inbox=ONCE)], {}),
        ([], [life(("w-2/notified", "paid")), life(("w-2/notified", "paid"), inbox=ONCE)], {}),
        # More than was sent again; and another one, in the place of what is usual.
        ([], [life(PAID), life(PAID, inbox=TWICE)], {}),
        (ONCE, [life(PAID), life(PAID, inbox=[("paid", "a"), ("paid", "b")])], {}),
        ([], [life(PAID), life(PAID)], {}),
    ],
)
def test_what_the_client_sent_again_is_told_from_what_should_not_be_there(
    usual: Sequence[tuple[str, str]], lives: Sequence[LifeSeen], found: dict[str, int]
) -> None:
    runs = [Observation("", [life(PAID, inbox=usual)], 1.0) for _ in range(2)]
    trial = Observation("after:w-1/notified", lives, 1.0)
    repeats = unread_repeats(trial, fields_of(trial), Baseline.of(runs, set()))
    assert {key.name: times for key, times in repeats.items()} == found
