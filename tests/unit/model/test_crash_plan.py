"""Crash plans as text: what parses prints the same, and what matches is exact."""

import pytest

from resumectl.errors import Refusal
from resumectl.model.crash_plan import Crash, CrashPlan, Edge, KillMethod, Matches, delivery_plan


@pytest.mark.parametrize(
    "text",
    [
        "after:alpha-1-3/step-1",
        "before:alpha-1-*/delivered#7",
        "after:alpha-1-*/delivered#7=term",
        "after:alpha-1-*/step-1#7=exit+hold:alpha-1-*/delivered#7",
        "after:alpha-1-*/step-1+hold:alpha-1-*/delivered#1",
        "before:a-1/accepted,after:a-1/step-2,before:a-1/succeeded#2",
        "after:6f1c0a4e-uuid/step-12",
        "after:a.b_c-1-?/delivered",
    ],
)
def test_a_plan_is_text_that_survives_being_printed(text: str) -> None:
    assert str(CrashPlan.parse(text)) == text


def test_what_is_left_out_is_the_first_match_and_a_kill() -> None:
    (crash,) = CrashPlan.parse("after:a-1/step-1").crashes
    assert crash == Crash(Edge.AFTER, Matches("a-1/step-1", 1), KillMethod.KILL, hold=None)


@pytest.mark.parametrize(
    "text",
    ["", "alpha-1/step-1", "during:a/b", "after:a", "after:a/b#0", "after:a/b=shoot", "after:a/b,"],
)
def test_what_is_no_plan_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        CrashPlan.parse(text)
    assert "as in" in refused.value.next_step


@pytest.mark.parametrize(
    ("pattern", "transition", "covered"),
    [
        ("alpha-1-*/delivered", "alpha-1-7/delivered", True),
        ("alpha-1-*/delivered", "alpha-2-7/delivered", False),
        ("alpha-1-*/delivered", "alpha-1-7/step-1", False),
        ("alpha-1-?/delivered", "alpha-1-12/delivered", False),
        ("a[1]/step-1", "a[1]/step-1", True),  # brackets are not wild
        ("a[1]/step-1", "a1/step-1", False),
        ("A/step-1", "a/step-1", False),
        ("order 1/step-1", "order%201/step-1", True),  # as `points` prints it
    ],
)
def test_only_star_and_question_mark_are_wild(pattern: str, transition: str, covered: bool) -> None:
    assert Matches(pattern).covers(transition) is covered


def test_a_crash_after_the_checkpoint_holds_further_deliveries_back() -> None:
    plan = delivery_plan("alpha-1", 7, edge=Edge.AFTER, method=KillMethod.KILL, checkpoint="step-1")
    assert str(plan) == "after:alpha-1-*/step-1#7+hold:alpha-1-*/delivered#7"
    assert CrashPlan.parse(str(plan)) == plan
