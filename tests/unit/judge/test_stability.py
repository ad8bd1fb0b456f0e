"""Which findings are stable."""

from collections.abc import Sequence

import pytest

from resumectl.judge.stability import Shown, Stability, settled
from resumectl.model.evidence import CommittedAgain, Missing
from resumectl.model.verdict import Finding, Judgement, Kind, Verdict

LOST = Finding(Kind.LOST, "charge", Missing())
TOPIC = (Kind.LOST, "charge")


def judgement(plan: str, *findings: Finding) -> Judgement:
    verdict = Verdict.BROKEN if findings else Verdict.KEPT
    return Judgement(f"before:w-1/step-{plan}", verdict, findings)


BROKEN, KEPT = judgement("1", LOST), judgement("1")
ELSEWHERE = judgement("2", LOST)


@pytest.mark.parametrize(
    ("repeated", "verdict", "shown"),
    [
        ([], Verdict.BROKEN, None),
        ([BROKEN] * 4, Verdict.BROKEN, Shown(5, 5)),
        ([BROKEN] * 3 + [KEPT], Verdict.UNSTABLE, Shown(4, 5)),
        ([KEPT] * 4, Verdict.UNSTABLE, Shown(1, 5)),
    ],
)
def test_a_finding_that_does_not_show_each_time_makes_a_trial_unstable(
    repeated: Sequence[Judgement], verdict: Verdict, shown: Shown | None
) -> None:
    judged = settled([BROKEN], repeated)
    assert [each.verdict for each in judged.trials] == [verdict]
    assert judged.shown.get(TOPIC) == shown


def test_a_finding_that_one_plan_shows_each_time_is_stable() -> None:
    repeated = [KEPT] * 4 + [ELSEWHERE] * 4
    judged = settled([BROKEN, ELSEWHERE], repeated)
    assert {each.verdict for each in judged.trials} == {Verdict.BROKEN}
    assert judged.shown[TOPIC] == Shown(5, 5)


def test_a_stable_finding_keeps_its_trial_broken_beside_an_unstable_one() -> None:
    other = Finding(Kind.DUPLICATED, "mail", CommittedAgain(2))
    judged = settled([judgement("1", LOST, other)], [judgement("1", other)] * 4)
    assert [each.verdict for each in judged.trials] == [Verdict.BROKEN]
    assert judged.shown[TOPIC] == Shown(1, 5)


def test_plans_are_repeated_until_a_finding_is_stable_or_three_plans_are_not() -> None:
    judged = [judgement(str(n), LOST) for n in range(1, 6)]
    repeated: list[Judgement] = []
    for n in (1, 2, 3):
        assert Stability(judged, repeated).to_repeat() == [judged[n - 1].plan]
        repeated += [judgement(str(n))] * 4
    assert Stability(judged, repeated).to_repeat() == []
    repeated[-4:] = [judged[2]] * 4
    assert Stability(judged, repeated).to_repeat() == []


def test_a_plan_that_was_swept_several_times_is_a_repetition_itself() -> None:
    judged = settled([BROKEN, KEPT, BROKEN], [])
    assert [each.verdict for each in judged.trials] == [
        Verdict.UNSTABLE, Verdict.KEPT, Verdict.UNSTABLE,
    ]  # fmt: skip
    assert judged.shown[TOPIC] == Shown(2, 3)
