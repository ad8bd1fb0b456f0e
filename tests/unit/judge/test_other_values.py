"""A number that an interrupted step returned in place of the usual one may stand wherever that stood."""

import pytest
from builders import checker_of, crashed, kinds_of, run, with_records, working

from resumectl.judge.fields import Field, FieldKind
from resumectl.judge.interrupted_steps import OtherAnswer
from resumectl.judge.other_values import OtherValues
from resumectl.model.verdict import Kind

ANSWER = Field(FieldKind.ANSWER, "")


def values_of(usual: str, answer: str) -> OtherValues:
    return OtherValues.of([OtherAnswer("insert", "w-1", 1, answer, usual)])


@pytest.mark.parametrize(
    ("usual", "answer", "pairs"),
    [
        ("1", "2", {("1", "2")}),
        ("{'id': 7, 'who': 'ann'}", "{'id': 8, 'who': 'ann'}", {("7", "8")}),
        ("acquired", "held", set()),  # another answer, no other number
        ("True", "False", set()),
        ("order1", "nothing", set()),
        ("[1]", "[1, 2]", set()),  # of another shape
        ("(7, 'new')", "(8, 'old')", {("7", "8")}),
    ],
)
def test_only_words_with_a_digit_are_followed(
    usual: str, answer: str, pairs: set[tuple[str, str]]
) -> None:
    assert values_of(usual, answer).pairs == pairs


@pytest.mark.parametrize(
    ("value", "usual", "is_explained"),
    [
        ("order 2 of ann", "order 1 of ann", True),
        (["2"], ["1"], True),
        ({"order": 2}, {"order": 1}, True),
        (2, 1, True),
        ("order 3 of ann", "order 1 of ann", False),
        ("order 2 of bob", "order 1 of ann", False),
        ("order 2 of ann, order 2 of ann", "order 1 of ann", False),
        ("order 1 of ann", "order 2 of ann", False),  # the other way round
        (None, "order 1 of ann", False),
    ],
)
def test_field_may_differ_in_these_words_only(
    value: object, usual: object, is_explained: bool
) -> None:
    assert values_of("1", "2").explain(ANSWER, value, ["other", usual]) == is_explained


def test_outside_world_is_compared_as_it_is() -> None:
    """A second row has another number too, and is a repetition."""
    observed = Field(FieldKind.OBSERVED, "orders")
    assert not values_of("1", "2").explain(observed, [2], [[1]])


@pytest.mark.parametrize(
    ("answer", "found"), [("order 2", set()), ("order 1", set()), ("order 3", {Kind.DIVERGED})]
)
def test_number_of_an_interrupted_step_may_be_in_the_answer(answer: str, found: set[Kind]) -> None:
    """As of a row that was inserted again: a sequence of PostgreSQL does not take numbers back."""
    usual, later = [("insert", "1"), ("notify", "sent")], [("insert", "2"), ("notify", "sent")]
    first = with_records(working(usual[:1], status="PENDING"), 0)
    baseline = [run(usual, answer="order 1")] * 2
    judgement = checker_of(baseline).check(crashed(first, working(later, answer=answer)))
    assert kinds_of(judgement) == found
    assert [each.subject for each in judgement.exposures if each.note] == ["insert, w-1/step-1"]
