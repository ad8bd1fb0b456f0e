"""Steps that a crash interrupted, and that answered otherwise when they ran again."""

from dataclasses import replace

import pytest
from builders import (
    Steps,
    baseline_of,
    checker_of,
    crashed,
    kinds_of,
    run,
    step_row,
    with_records,
    working,
)

from resumectl.model.evidence import AnsweredOtherwise, BehindOtherAnswer
from resumectl.model.observation import ProcessRecord
from resumectl.model.promise import Promise
from resumectl.model.verdict import Judgement, Kind

USUAL: Steps = [("acquire", "acquired"), ("work", "done")]
HELD: Steps = [("acquire", "held"), ("DBOS.sleep", ""), ("acquire", "acquired"), ("work", "done")]


def interrupted(steps: Steps, recorded: int = 0) -> ProcessRecord:
    """A process that was killed in the last of these steps, before its record."""
    return with_records(working(steps, status="PENDING"), recorded)


def judged(
    later: Steps, *, answer: str = "ok", recorded: int = 0, **promises: Promise
) -> Judgement:
    first = interrupted(USUAL[: recorded + 1], recorded)
    bodies = [n for n, (name, _) in enumerate(later, start=1) if not name.startswith("DBOS.")]
    ran = [n for n in bodies if n > recorded]
    seen = crashed(first, working(later, ran=ran, answer=answer))
    judgement = checker_of([run(USUAL)] * 2, **promises).check(seen)
    assert not judgement.why_void
    return judgement


def test_interrupted_step_may_answer_otherwise_when_it_runs_again() -> None:
    """A lease with a time to live: taken before the crash, held after it, then taken again."""
    judgement = judged(HELD)
    assert judgement.findings == ()
    (exposure,) = [each for each in judgement.exposures if each.note]
    assert exposure.subject == "acquire, w-1/step-1"
    assert exposure.note == AnsweredOtherwise("held", "acquired")


@pytest.mark.parametrize(
    ("later", "answer", "found"),
    [
        (HELD, "gave up", {Kind.DIVERGED}),  # the outcome may not differ
        (HELD[:3], "ok", {Kind.LOST}),  # nor may a step be left out, under any number
    ],
)
def test_what_is_visible_outside_may_not_differ(later: Steps, answer: str, found: set[str]) -> None:
    assert kinds_of(judged(later, answer=answer)) == found


def test_no_step_is_recorded_more_often_behind_another_answer() -> None:
    twice = [*HELD, ("work", "done")]
    for judgement in (judged(twice), judged(twice, work=Promise.EXACTLY_ONCE)):
        subjects = {(each.kind, each.subject) for each in judgement.findings}
        assert subjects == {(Kind.DUPLICATED, "work, w-1")}


def test_step_of_no_uninterrupted_run_may_follow_another_answer() -> None:
    waiting = [HELD[0], ("tell_to_wait", ""), *HELD[1:]]
    judgement = judged(waiting)
    assert judgement.findings == ()
    (found,) = [e for e in judgement.exposures if e.subject.startswith("tell_to_wait")]
    assert found.note == BehindOtherAnswer()


def test_step_that_raised_when_it_ran_again_answered_with_its_error() -> None:
    later = working([("acquire", ""), ("work", "done")])
    raised = step_row(1, "acquire", error="PermissionError")
    left = replace(later.snapshot, steps=(raised, later.snapshot.steps[1]))
    seen = crashed(interrupted(USUAL[:1]), replace(later, snapshot=left))
    judgement = checker_of([run(USUAL)] * 2).check(seen)
    (exposure,) = [each for each in judgement.exposures if each.note]
    assert exposure.note == AnsweredOtherwise("PermissionError", "acquired")


def test_another_step_in_the_place_of_the_interrupted_one_is_no_answer_of_it() -> None:
    judgement = judged([("apologise", "sorry"), USUAL[1]])
    assert Kind.DIVERGED in kinds_of(judgement)
    assert not any(isinstance(e.note, AnsweredOtherwise) for e in judgement.exposures)


def test_step_of_the_next_release_alone_may_follow_an_interrupted_one() -> None:
    old, new = (baseline_of([run(steps)] * 2) for steps in (USUAL[:1], USUAL))
    seen = crashed(interrupted(USUAL[:1]), working(USUAL))
    assert checker_of(old.or_as(new)).check(seen).findings == ()


def test_recorded_step_may_not_answer_otherwise() -> None:
    changed = [("acquire", "held"), ("work", "done")]
    assert Kind.DIVERGED in kinds_of(judged(changed, recorded=1))


def test_behind_a_varying_result_no_step_is_counted_by_name() -> None:
    """What follows it is another number of steps in each run, whether or not one is interrupted."""
    paid, worked = ("pay", "ok"), ("work", "done")
    runs = [run([("look", "one"), paid, worked]), run([("look", "two"), paid, worked, worked])]
    first = interrupted([("look", "three"), paid], recorded=1)
    later = working([("look", "three"), ("pay", "other"), *[worked] * 3], ran=(2, 3, 4, 5))
    assert checker_of(runs).check(crashed(first, later)).findings == ()
