"""Which crash plans are made of the transitions of a baseline."""

import pytest
from builders import committed, crashed, observed, process, working

from resumectl.errors import NothingProved, Refusal
from resumectl.judge.crash_points import (
    crash_points,
    refuse_none,
    refuse_unknown,
    sample,
    second_crashes,
)
from resumectl.judge.transitions import Transition
from resumectl.model.crash_plan import CrashPlan, Edge

ACCEPTED = Transition("w-1/accepted", "work", [1], 1)
STEP = Transition("w-1/step-1", "charge", [2], 1)
TWICE = Transition("orders/inserted", "", [2, 3], 2)


def plans(*transitions: Transition, **chosen: object) -> list[str]:
    return list(map(str, crash_points(transitions, **chosen)))  # type: ignore[arg-type]


def test_each_edge_of_each_transition_is_a_crash_point() -> None:
    assert plans(ACCEPTED, STEP) == [
        "before:w-1/accepted", "after:w-1/accepted", "before:w-1/step-1", "after:w-1/step-1",
    ]  # fmt: skip
    assert plans(ACCEPTED, STEP, edge=Edge.AFTER, only="*/step-*") == ["after:w-1/step-1"]


def test_transitions_of_one_commit_are_one_crash_point_under_the_name_that_is_given_once() -> None:
    assert plans(TWICE, STEP, edge=Edge.AFTER) == ["after:w-1/step-1", "after:orders/inserted#2"]


def test_claims_are_crash_points_of_their_own() -> None:
    claims = [Transition(f"w-{n}/claimed", "", [5], 1) for n in (1, 2)]
    assert plans(*claims, edge=Edge.AFTER) == ["after:w-1/claimed", "after:w-2/claimed"]


def test_children_with_varying_ids_are_named_by_their_turn() -> None:
    child = Transition("~child of w-1 by step 1/step-1", "charge", [3], 1)
    of_client = Transition("~work of the client no. 1/step-1", "charge", [4], 1)
    found = plans(STEP, child, of_client, edge=Edge.AFTER)
    assert found == ["after:w-1/step-1", *(f"after:*/step-1{n}" for n in ("", "#2", "#3"))]
    assert plans(of_client) == []  # it is another workflow when the client asks again


def test_sample_is_the_same_for_one_seed_and_keeps_the_order() -> None:
    every = crash_points([Transition(f"w-{n}/step-1", "", [n], 1) for n in range(1, 21)])
    chosen = sample(every, 5, seed=1)
    assert len(chosen) == 5
    assert chosen == sample(every, 5, seed=1) != sample(every, 5, seed=2)
    assert [every.index(plan) for plan in chosen] == sorted(map(every.index, chosen))
    assert sample(every, None, seed=1) == every == sample(every, 99, seed=1)


def test_recovery_is_killed_at_each_of_its_transitions() -> None:
    recovery = process([committed("w-1/requeued"), committed("w-1/step-1")])
    first = observed(crashed(working([]), recovery).processes[0], recovery, plan="after:w-1/step-1")
    assert list(map(str, second_crashes([first], edge=Edge.BEFORE))) == [
        "after:w-1/step-1,before:w-1/requeued", "after:w-1/step-1,before:w-1/step-1",
    ]  # fmt: skip
    assert second_crashes([observed(recovery, plan="after:w-1/step-1")]) == []


@pytest.mark.parametrize(
    ("transitions", "only", "said"),
    [
        ([], None, "makes nothing durable"),
        (
            [Transition("~x of the client no. 1/step-1", "", [1], 1)],
            None,
            "a different id in each run",
        ),
        ([STEP], "w-2/*", "the nearest are w-1/step-1"),
        ([STEP], "before:w-1/*", "begins with an edge"),
    ],
)
def test_program_without_a_crash_point_is_refused(
    transitions: list[Transition], only: str | None, said: str
) -> None:
    with pytest.raises(Refusal, match=said) as refusal:
        refuse_none([], transitions, only, points_line="resumectl points")
    assert isinstance(refusal.value, NothingProved) is (only is None)
    refuse_none(crash_points([STEP]), [STEP], None, points_line="")


@pytest.mark.parametrize(
    ("plan", "said"),
    [
        ("after:w-1/step-2", "no transition of the baseline matches"),
        ("after:w-1/step-1#2", "2 times"),
    ],
)
def test_plan_that_matches_nothing_is_refused(plan: str, said: str) -> None:
    with pytest.raises(Refusal, match=said):
        refuse_unknown(CrashPlan.parse(plan), [STEP], points_line="resumectl points")
    refuse_unknown(CrashPlan.parse("before:w-*/step-1"), [STEP], points_line="")
