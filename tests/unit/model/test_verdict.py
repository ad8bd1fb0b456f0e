"""Promises have names, and verdicts are counted with those that nothing has."""

import pytest

from resumectl.errors import Refusal
from resumectl.model.verdict import Judgement, Promise, Verdict, count_verdicts


@pytest.mark.parametrize("text", ["exactly-once", "exactly_once"])
def test_promise_is_named_as_a_user_or_as_python_spells_it(text: str) -> None:
    assert Promise.named(text, of="charge") is Promise.EXACTLY_ONCE


@pytest.mark.parametrize("text", ["", "once", "Exactly-Once", None])
def test_unknown_promise_is_refused_with_all_names(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        Promise.named(text, of="charge")
    for name in ("charge", "exactly-once", "at-least-once", "at-most-once"):
        assert name in str(refused.value)
    assert refused.value.next_step == "as in  charge=exactly-once"


def test_every_verdict_is_counted() -> None:
    judgements = [Judgement("a", Verdict.KEPT), Judgement("b", Verdict.VOID)]
    judgements.append(Judgement("c", Verdict.KEPT))
    assert count_verdicts(judgements) == {"KEPT": 2, "BROKEN": 0, "UNSTABLE": 0, "VOID": 1}
    assert set(count_verdicts([]).values()) == {0}
