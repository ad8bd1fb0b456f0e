"""Verdicts are counted with those that nothing has."""

from resumectl.model.verdict import Judgement, Verdict, count_verdicts


def test_every_verdict_is_counted() -> None:
    judgements = [Judgement("a", Verdict.KEPT), Judgement("b", Verdict.VOID)]
    judgements.append(Judgement("c", Verdict.KEPT))
    assert count_verdicts(judgements) == {"KEPT": 2, "BROKEN": 0, "UNSTABLE": 0, "VOID": 1}
    assert set(count_verdicts([]).values()) == {0}
