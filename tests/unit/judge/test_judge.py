"""What is known of the uninterrupted runs, as an immutable value."""

from dataclasses import replace

from builders import LAUNCH_OF_SCENARIO, run, target_failed, trial

from resumectl.judge.judge import Judge, unless_time_does_it
from resumectl.model.evidence import Missing
from resumectl.model.observation import LATER_BASELINE, TIME_CONTROL
from resumectl.model.promise import Promise
from resumectl.model.verdict import Finding, Judgement, Kind, Verdict

USUAL = run([("look", "usual")])
SEEN = trial([("look", "other")])


def test_more_runs_make_another_judge() -> None:
    judge = Judge({}, (USUAL, USUAL))
    assert judge.judge(SEEN).verdict is Verdict.BROKEN
    more = judge.with_run(run([("look", "other")]))
    assert more.judge(SEEN).verdict is Verdict.KEPT
    assert judge.judge(SEEN).verdict is Verdict.BROKEN


def test_stored_runs_are_told_apart_by_their_plans() -> None:
    control = replace(run([("look", "other")]), plan=f"{TIME_CONTROL}{SEEN.plan}")
    later = run([("look", "usual")], plan=LATER_BASELINE)
    judge = Judge.of_observed({}, [USUAL, USUAL, later, later, control])
    assert (len(judge.runs), dict(judge.controls)) == (4, {SEEN.plan: (control,)})
    assert judge.observed == (USUAL, USUAL, later, later, control)
    assert judge.judge(SEEN).explained_by_time == ("w-1/step-1",)


def test_run_that_failed_says_nothing_of_the_program() -> None:
    failed = run([], events=[target_failed()])
    assert Judge({}, (USUAL, USUAL, failed)).judge(SEEN).verdict is Verdict.BROKEN


def test_promise_of_the_command_line_beats_that_of_the_scenario() -> None:
    declaring = [run([("look", "usual")], events=[LAUNCH_OF_SCENARIO]) for _ in range(2)]
    twice = trial([("look", "usual")], events=[LAUNCH_OF_SCENARIO])
    first, last = twice.processes
    twice = replace(
        twice, processes=(replace(first, events=(*last.events[1:3], *first.events)), last)
    )
    assert Judge({}, tuple(declaring)).judge(twice).verdict is Verdict.BROKEN
    given = {"look": Promise.AT_LEAST_ONCE}
    assert Judge(given, tuple(declaring)).judge(twice).verdict is Verdict.KEPT


def test_only_what_time_explains_alone_is_no_finding() -> None:
    lost, failed = (Finding(kind, "w-1", Missing()) for kind in (Kind.LOST, Kind.FAILED))
    usual = Judgement("p", Verdict.BROKEN, (lost, failed))
    partly = unless_time_does_it(usual, Judgement("p", Verdict.BROKEN, (lost,)))
    assert (partly.verdict, partly.findings) == (Verdict.BROKEN, (lost,))
    wholly = unless_time_does_it(usual, Judgement("p", Verdict.KEPT))
    assert (wholly.verdict, wholly.findings, wholly.explained_by_time) == (
        Verdict.KEPT, (), ("w-1",),
    )  # fmt: skip
