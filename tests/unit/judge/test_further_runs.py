"""Which further uninterrupted runs a difference calls for, and what they excuse."""

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from builders import PLAN, committed, process, run, target_failed, trial

from resumectl.judge.further_runs import Stage
from resumectl.judge.judge import Judge
from resumectl.judge.stability import REPETITIONS
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.evidence import Missing, OtherPath
from resumectl.model.observation import TIME_CONTROL, Observation
from resumectl.model.orders import Control
from resumectl.model.verdict import Finding, Judgement, Kind, Verdict
from resumectl.runner.baseline_runs import BaselineRuns

COMMIT = committed("w-2/step-1")
USUAL, RARE = run([("look", "usual")]), run([("look", "rare")])


class Runs:
    """Stands for a runner, whose runs are given."""

    is_edited = False
    jobs = 1
    slowness = 1.0
    downtime_s = 0.0

    def __init__(
        self,
        *paused: Observation,
        again: Sequence[Observation] = (),
        often: Sequence[Observation] = (),
    ) -> None:
        self._paused = itertools.cycle(paused)
        self._again, self._often = iter(again), itertools.cycle(often)
        self.paused_at: list[str] = []
        self.run_often = 0

    def baseline(self, _number: int, *, later: bool, control: Control | None) -> Observation:
        assert not later
        if control is None:
            self.run_often += 1
            return next(self._often)
        self.paused_at.append(control.at)
        return next(self._paused)

    def trial(self, planned: PlannedTrial) -> Observation:
        assert planned.is_check
        assert str(planned.plan) == PLAN
        return next(self._again)


def known(runner: Any, *runs: Observation) -> BaselineRuns:
    return BaselineRuns(runner, Judge({}, runs or (USUAL, USUAL)))


@pytest.mark.parametrize(
    ("paused", "verdict"),
    [
        (run([("look", "other")], answer="other"), Verdict.KEPT),
        # What a run that failed, or of an edited file, differs in is no excuse.
        (run([], events=[target_failed()]), Verdict.BROKEN),
        (run([("look", "other")], answer="other", digest="edited"), Verdict.BROKEN),
    ],
)
def test_only_a_healthy_run_excuses_a_difference(paused: Observation, verdict: Verdict) -> None:
    differing = trial([("look", "other")], answer="other")
    runner = Runs(paused, again=[differing] * REPETITIONS)
    runs = known(runner)
    (judgement,) = runs.judged([differing]).trials
    assert judgement.verdict is verdict, judgement.findings
    assert not runs.pause_where_different([judgement])  # each stage comes once
    assert set(runner.paused_at) == {PLAN}  # nothing is known of what precedes it


@pytest.mark.parametrize(
    ("again", "often", "verdict", "run_often"),
    [
        (["rare"] * 4, [], Verdict.BROKEN, 0),  # each time: the crash does it
        (["rare", "usual", "rare", "rare"], [USUAL] * 9 + [RARE], Verdict.KEPT, 10),
        (["usual"] * 4, [USUAL] * 9 + [RARE], Verdict.KEPT, 10),
        (["usual"] * 4, [USUAL], Verdict.UNSTABLE, 10),  # a race that only a crash lets be lost
    ],
)
def test_difference_that_does_not_show_again_calls_for_many_runs(
    again: Sequence[str], often: Sequence[Observation], verdict: Verdict, run_often: int
) -> None:
    trials = {text: trial([("look", text)]) for text in ("usual", "rare")}
    runner = Runs(USUAL, again=[trials[each] for each in again], often=often)
    runs = known(runner)
    judged = runs.judged([trials["rare"]])
    (judgement,) = judged.trials
    assert judgement.verdict is verdict, judgement.findings
    assert len(judged.repeated) == REPETITIONS == len(again)
    assert runner.run_often == run_often
    assert runs.stage is (Stage.MANY if run_often else Stage.PAUSED)
    if run_often:
        assert not runs.repeat_often(judged.trials, judged.repeated)  # each stage comes once


def test_early_divergence_calls_for_many_runs() -> None:
    rare = [("look", "rare")]
    runner = Runs(USUAL, often=[USUAL])
    seen = trial(rare, first=rare, ran=[], answer="other")
    (judgement,) = known(runner).judged([seen]).trials
    assert judgement.verdict is Verdict.KEPT
    assert judgement.diverged_before_crash == ("w-1/step-1: output",)
    assert (len(runner.paused_at), runner.run_often) == (6, 10)


def test_every_other_run_pauses_ahead_of_the_step() -> None:
    facts = ["w-1/accepted", "w-2/accepted", "w-1/step-1", "w-1/succeeded"]
    commits = [committed(name) for name in facts]
    usual = [run([("look", "usual")], events=commits) for _ in range(2)]
    runner = Runs(run([("look", "other")], answer="other", events=commits))
    seen = trial([("look", "other")], answer="other")
    (judgement,) = known(runner, *usual).judged([seen]).trials
    assert judgement.verdict is Verdict.KEPT, judgement.findings
    assert runner.paused_at == [PLAN, "after:w-1/accepted"] * 3


class Clocks(Runs):
    """Stands for a runner in whose uninterrupted runs time can pass."""

    downtime_s = 3600.0

    def __init__(self, *controls: Observation, **more: Sequence[Observation]) -> None:
        super().__init__(USUAL, **more)
        self._controls = controls
        self.passed_at: list[str | None] = []

    def time_control(self, plan: CrashPlan, at: str | None, repetition: int) -> Observation:
        self.passed_at.append(at)
        control = self._controls[min(repetition, len(self._controls) - 1)]
        return replace(control, plan=f"{TIME_CONTROL}{plan}")


def after_time(control: Observation, seen: Observation) -> Judgement:
    runner = Clocks(control)
    runs = known(runner)
    assert runs.let_time_pass([runs.judge.judge(seen)])
    # Where it is killed, and, as nothing is known of what precedes that, from the beginning.
    assert runner.passed_at == [PLAN, None]
    stored = Judge.of_observed({}, runs.judge.observed)
    assert stored.judge(seen) == runs.judge.judge(seen)  # as `check` judges it
    return runs.judge.judge(seen)


def test_time_passes_where_each_process_is_killed() -> None:
    """A timeout that begins in the second process is over in the third."""
    plan = f"{PLAN},after:w-1/step-1"
    runner = Clocks(run([("look", "rare")]))
    finding = Finding(Kind.DIVERGED, "answer", Missing())
    assert known(runner).let_time_pass([Judgement(plan, Verdict.BROKEN, (finding,))])
    assert runner.passed_at == [PLAN, None, "after:w-1/step-1"]


def test_time_passes_after_the_last_commit_of_the_killed_process() -> None:
    """What the baseline commits last before that point may have been another transition."""
    killed = process([committed("w-1/accepted"), committed("w-2/x", "w-2/x")])
    assert killed.last_commit == "after:w-2/x#2"
    finding = Finding(Kind.DIVERGED, "answer", Missing())
    plan = "before:w-1/step-1"
    broken = Judgement(plan, Verdict.BROKEN, (finding,), last_commits=(killed.last_commit,))
    runner = Clocks(run([("look", "rare")]))
    assert known(runner).let_time_pass([broken])
    assert runner.passed_at == [plan, None, "after:w-2/x#2"]


def differing(number: int, *explained: str) -> Judgement:
    finding = Finding(Kind.DIVERGED, "answer", Missing())
    return Judgement(
        f"after:w-{number}/accepted", Verdict.BROKEN, (finding,), explained_by_time=explained
    )


@pytest.mark.parametrize(("explained", "expected"), [((), 3), (("answer",), 5)])
def test_time_passes_at_three_plans_of_a_difference_that_it_does_not_explain(
    explained: tuple[str, ...], expected: int
) -> None:
    runner = Clocks(run([("look", "rare")]))
    first = Judgement("after:w-0/accepted", Verdict.KEPT, explained_by_time=explained)
    known(runner).let_time_pass([first, *map(differing, range(1, 6))])
    assert runner.passed_at == [f"after:w-{number}/accepted" for number in range(1, expected + 1)]


def test_difference_that_the_passing_of_time_explains_is_no_finding() -> None:
    rare = trial([("look", "rare")], answer="late")
    judgement = after_time(run([("look", "rare")], answer="late"), rare)
    assert judgement.verdict is Verdict.KEPT
    assert judgement.explained_by_time == ("answer", "w-1/step-1")
    other = after_time(run([("look", "other")], answer="other"), rare)
    assert {each.subject for each in other.findings} == {"answer", "w-1/step-1"}


@pytest.mark.parametrize(
    ("late_runs", "verdict"), [([0, 0, 0, 0], Verdict.KEPT), ([1, 1, 1, 1], Verdict.BROKEN)]
)
def test_more_time_passes_where_a_difference_is_unstable(
    late_runs: Sequence[int], verdict: Verdict
) -> None:
    """What has begun to wait when time passes differs from run to run."""
    kept, late = trial([("look", "usual")]), trial([("look", "rare")], answer="late")
    again = [(kept, late)[is_late] for is_late in late_runs]
    runner = Clocks(USUAL, run([("look", "rare")], answer="late"), again=again, often=[USUAL])
    (judgement,) = known(runner).judged([late]).trials
    assert judgement.verdict is verdict
    assert len(runner.passed_at) == (10 if verdict is Verdict.KEPT else 2)


def test_no_passing_of_time_excuses_another_path_from_the_same_records() -> None:
    judgement = after_time(run([("tell", "x")]), trial([("tell", "x")]))
    assert {each.kind for each in judgement.findings} == {Kind.DIVERGED}
    assert OtherPath("tell", "look") in {each.evidence for each in judgement.findings}


def test_more_time_passes_after_the_last_commit_too() -> None:
    """A third point does not look like runs that were made before."""
    kept, late = (
        replace(each, processes=(replace(first, events=(COMMIT, *first.events)), last))
        for each in (trial([("look", "usual")]), trial([("look", "rare")], answer="late"))
        for first, last in (each.processes,)
    )
    runner = Clocks(USUAL, again=[kept] * REPETITIONS, often=[USUAL])
    known(runner).judged([late])
    points = [PLAN, None, "after:w-2/step-1"]
    assert runner.passed_at == points * 5
