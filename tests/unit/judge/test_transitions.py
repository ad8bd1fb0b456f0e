"""Which transitions uninterrupted runs have in common."""

import pytest
from builders import committed

from resumectl.judge.transitions import Transition, transitions_of


def test_transition_counts_as_often_as_every_run_has_it() -> None:
    runs = [
        [committed("a/inserted"), committed("a/inserted"), committed("w/step-1")],
        [committed("a/inserted")],
    ]
    (found,) = transitions_of(runs, imported=["a"])
    assert (found.name, found.times, found.commits, found.is_of_import) == (
        "a/inserted", 1, [1, 2], True,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("name", "fact", "varies"),
    [("w-1/step-1", "step-1", False), ("~child of w-1 by step 1/accepted", "accepted", True)],
)
def test_transition_knows_its_fact_and_whether_its_id_varies(
    name: str, fact: str, varies: bool
) -> None:
    found = Transition(name, "", [4, 7], 2)
    assert (found.fact, found.commit, found.is_of_varying_id) == (fact, 4, varies)
