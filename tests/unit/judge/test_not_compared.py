"""What is not compared, and where it is: the whole rule."""

import pytest

from resumectl.judge.fields import Count, Field, FieldKind, numbered_field
from resumectl.judge.not_compared import NotCompared, earliest
from resumectl.model.evidence import Occurrence

STATUS = Field(FieldKind.WORKFLOW, "w-1", "status")
WRITE = Field(FieldKind.WRITE, "orders/updated by w-1", "values", "w-1")
OPEN = NotCompared(frozenset(), {"w-1": 2})


@pytest.mark.parametrize(
    ("key", "is_covered"),
    [
        (numbered_field("w-1", 2, "output"), False),
        (numbered_field("w-1", 3, "output"), True),
        (numbered_field("w-2", 3, "output"), False),
        (STATUS, False),
        (WRITE, True),  # no number tells behind which step it is
        (Field(FieldKind.WORKFLOW, "w-1-2", "status"), False),
        (Field(FieldKind.WORKFLOW, "w-1-3", "status"), True),  # begun by a step behind it
        (Field(FieldKind.WORKFLOW, "w-1-3-1", "status"), True),
        (Field(FieldKind.WORKFLOW, "w-10", "status"), False),
    ],
)
def test_steps_behind_an_open_one_are_not_compared(key: Field, is_covered: bool) -> None:
    assert OPEN.covers(key) is is_covered


@pytest.mark.parametrize(
    ("site", "is_covered"),
    [("w-1/step-2", False), ("w-1/step-3", True), ("outside of any workflow", False)],
)
def test_what_happens_in_a_step_is_covered_as_the_step_is(site: str, is_covered: bool) -> None:
    assert OPEN.covers_site(site) is is_covered
    assert NotCompared(frozenset(), {}, is_everything=True).covers_site(site)


def test_workflow_of_a_schedule_is_compared_only_where_the_trial_has_it() -> None:
    absent = NotCompared(frozenset(), {}, absent=frozenset({"w-1"}))
    assert absent.covers(STATUS)
    assert absent.covers_site("w-1/step-1")
    assert not absent.covers(Field(FieldKind.WORKFLOW, "w-2", "status"))


def test_everything_is_not_compared_after_an_early_divergence() -> None:
    assert NotCompared(frozenset(), {}, is_everything=True).covers(STATUS)
    assert not NotCompared(frozenset(), {}).covers(STATUS)


def test_earliest_open_step_counts() -> None:
    assert OPEN.opened_at({"w-1": 1, "w-2": 5}).open_steps == {"w-1": 1, "w-2": 5}
    assert OPEN.opened_at({"w-1": 9}).open_steps == {"w-1": 2}
    assert earliest({"a": 2}, {"a": 1}, {}) == {"a": 1}


def test_what_is_not_compared_is_told_without_what_follows_from_it() -> None:
    varying: set[Field | Count] = {
        STATUS,
        numbered_field("w-1", 3, "output"),  # behind the open step
        Count(Occurrence.EXECUTION, "charge", "w-1/step-1"),
        Count(Occurrence.EXECUTION, "charge", "w-1/step-3"),
        Count(Occurrence.EFFECT, "paid", "1"),
    }
    said = list(NotCompared(frozenset(varying), {"w-1": 2, "w-2": 0}).described())
    assert said == [
        "effect paid(1)",
        "executions of charge w-1/step-1",
        "workflow w-1: status",
        "the steps of w-1 after step 2",
        "the steps of w-2, which is cancelled",
    ]
