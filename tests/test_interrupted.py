"""Steps that a crash interrupted, and that answered otherwise when they ran again."""

from dataclasses import replace
from typing import Any

import pytest
from observations import PLAN, Steps, crashed, life, run

from resumectl.judge.baseline import Baseline
from resumectl.judge.checker import Checker
from resumectl.model.observation import Judgement, Kind, LifeSeen, Promise

USUAL: Steps = [("acquire", "acquired"), ("work", "done")]
HELD: Steps = [("acquire", "held"), ("DBOS.sleep", ""), ("acquire", "acquired"), ("work", "done")]


def interrupted(steps: Steps, recorded: int = 0) -> LifeSeen:
    """Return a process that was killed in the last of these steps, before its record."""
    first = life(steps, status="PENDING")
    return replace(first, left={**first.left, "steps": first.left["steps"][:recorded]})


def judged(later: Steps, *, answer: str = "ok", recorded: int = 0, **promises: Any) -> Judgement:
    checker = Checker(Baseline.of([run(USUAL)] * 2, set()), set(), promises)
    first = interrupted(USUAL[: recorded + 1], recorded)
    bodies = [n for n, (name, _) in enumerate(later, start=1) if not name.startswith("DBOS.")]
    ran = [n for n in bodies if n > recorded]
    seen = crashed(first, life(later, ran=ran, answer=answer))
    judgement = checker.judge(replace(seen, plan=PLAN))
    assert not judgement.why_void
    return judgement


def test_an_interrupted_step_may_answer_otherwise_when_it_runs_again() -> None:
    """A lease with a time to live: taken before the crash, held after it, then taken again."""
    judgement = judged(HELD)
    assert judgement.findings == ()
    (exposure,) = [each for each in judgement.exposures if each.note]
    assert exposure.effect == "acquire, w-1/step-1"
    assert exposure.note == "answered held after the crash; uninterrupted, acquired"


@pytest.mark.parametrize(
    ("later", "answer", "found"),
    [
        (HELD, "gave up", {Kind.DIVERGED}),  # the outcome may not differ
        (HELD[:3], "ok", {Kind.LOST}),  # nor may a step be left out, under any number
    ],
)
def test_what_is_visible_outside_may_not_differ(
    later: Steps, answer: str, found: set[Kind]
) -> None:
    assert {each.kind for each in judged(later, answer=answer).findings} == found


def test_no_step_is_recorded_more_often_behind_a_step_that_answered_otherwise() -> None:
    twice = [*HELD, ("work", "done")]
    for judgement in (judged(twice), judged(twice, work=Promise.EXACTLY_ONCE)):
        findings = judgement.findings
        assert {(f.kind, f.subject) for f in findings} == {(Kind.DUPLICATED, "work, w-1")}


def test_a_step_that_no_uninterrupted_run_has_may_follow_another_answer() -> None:
    waiting = [HELD[0], ("tell_to_wait", ""), *HELD[1:]]
    judgement = judged(waiting)
    assert judgement.findings == ()
    (told,) = [each for each in judgement.exposures if each.effect.startswith("tell_to_wait")]
    assert told.note == "ran behind a step that answered otherwise; in no uninterrupted run"


def test_a_step_that_raised_when_it_ran_again_answered_with_its_error() -> None:
    checker = Checker(Baseline.of([run(USUAL)] * 2, set()), set(), {})
    later = life([("acquire", ""), ("work", "done")])
    later.left["steps"][0].update(output=None, error="PermissionError")
    judgement = checker.judge(replace(crashed(interrupted(USUAL[:1]), later), plan=PLAN))
    (exposure,) = [each for each in judgement.exposures if each.note]
    assert exposure.note == "answered PermissionError after the crash; uninterrupted, acquired"


def test_another_step_in_the_place_of_the_interrupted_one_is_no_answer_of_it() -> None:
    judgement = judged([("apologise", "sorry"), USUAL[1]])
    assert Kind.DIVERGED in {each.kind for each in judgement.findings}
    assert not any("answered" in each.note for each in judgement.exposures)


def test_a_step_of_the_next_release_alone_may_follow_an_interrupted_one() -> None:
    releases = [Baseline.of([run(steps)] * 2, set()) for steps in (USUAL[:1], USUAL)]
    checker = Checker(releases[0].or_as(releases[1]), set(), {})
    judgement = checker.judge(replace(crashed(interrupted(USUAL[:1]), life(USUAL)), plan=PLAN))
    assert judgement.findings == ()


def test_a_step_that_was_recorded_may_not_answer_otherwise() -> None:
    changed = [("acquire", "held"), ("work", "done")]
    assert Kind.DIVERGED in {each.kind for each in judged(changed, recorded=1).findings}


def test_behind_a_result_that_varies_no_step_is_counted_by_name() -> None:
    """What follows it is another number of steps in each run, whether or not one is interrupted."""
    paid, worked = ("pay", "ok"), ("work", "done")
    runs = [run([("look", "one"), paid, worked]), run([("look", "two"), paid, worked, worked])]
    first = interrupted([("look", "three"), paid], recorded=1)
    later = life([("look", "three"), ("pay", "other"), *[worked] * 3], ran=(2, 3, 4, 5))
    judgement = Checker(Baseline.of(runs, set()), set(), {}).judge(crashed(first, later))
    assert judgement.findings == ()
