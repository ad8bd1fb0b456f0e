"""Judge the trials of a target against its uninterrupted runs.

Judging is a function of recorded data, so stored trials can be judged again. A `Judge` is immutable:
further runs make another one.
"""

import itertools
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property

from resumectl.judge.baseline import Baseline
from resumectl.judge.baseline_health import problem_beside
from resumectl.judge.checker import Checker
from resumectl.judge.stability import topic_of
from resumectl.judge.trial_view import TrialView, effects_by_site
from resumectl.judge.workflow_aliases import aliased, stable_ids
from resumectl.model.events import LaunchStarted
from resumectl.model.observation import BASELINE, LATER_BASELINE, TIME_CONTROL, Observation
from resumectl.model.promise import Promise
from resumectl.model.verdict import Judgement, Verdict


@dataclass(frozen=True)
class Judge:
    """Judge of the trials of one target.

    Attributes:
        promises: Effect, step or table to promise, from the command line.
        runs: Uninterrupted runs.
        controls: Crash plan to uninterrupted runs in which time passes at its crash point.
    """

    promises: Mapping[str, Promise]
    runs: tuple[Observation, ...] = ()
    controls: Mapping[str, tuple[Observation, ...]] = field(default_factory=dict)

    @classmethod
    def of_observed(
        cls, promises: Mapping[str, Promise], observed: Iterable[Observation]
    ) -> "Judge":
        """Return the judge of stored runs without a crash; see `observed`."""
        runs: list[Observation] = []
        controls: defaultdict[str, tuple[Observation, ...]] = defaultdict(tuple)
        for each in observed:
            if each.plan.startswith(TIME_CONTROL):
                controls[each.plan.removeprefix(TIME_CONTROL)] += (each,)
            else:
                runs.append(each)
        return cls(promises, tuple(runs), dict(controls))

    @property
    def observed(self) -> tuple[Observation, ...]:
        """All runs without a crash, in the order in which they are stored."""
        return (*self.runs, *itertools.chain.from_iterable(self.controls.values()))

    def with_run(self, run: Observation) -> "Judge":
        """Return a judge with one more uninterrupted run."""
        return replace(self, runs=(*self.runs, run))

    def with_controls(self, controls: Mapping[str, tuple[Observation, ...]]) -> "Judge":
        """Return a judge with more runs in which time passes."""
        return replace(self, controls={**self.controls, **controls})

    # --- facts of the runs

    @cached_property
    def _stable(self) -> set[str]:
        programs = (self._comparable(plan) for plan in (BASELINE, LATER_BASELINE))
        return set().union(*(stable_ids(program) for program in programs if program))

    @cached_property
    def _checker(self) -> Checker:
        programs = [
            [aliased(run, self._stable) for run in program]
            for plan in (BASELINE, LATER_BASELINE)
            if (program := self._comparable(plan))
        ]
        by_site = frozenset(set().union(*map(effects_by_site, programs)))
        baseline, *later = (
            Baseline.of([TrialView(run, by_site) for run in program]) for program in programs
        )
        for each in later:
            baseline = baseline.or_as(each)
        return Checker(baseline, by_site, {**self._declared, **self.promises})

    def _comparable(self, plan: str) -> list[Observation]:
        """Return the runs of a program that can be compared: those that did not fail."""
        own = [run for run in self.runs if run.plan == plan]
        return [run for run in own if run is own[0] or not problem_beside(run, own[0])]

    @property
    def _declared(self) -> dict[str, Promise]:
        """Promises that the Scenario declares."""
        launches = (run.final.last(LaunchStarted) for run in self.runs)
        return {
            name: Promise.named(promise, of=name)
            for launch in launches
            if launch is not None
            for name, promise in launch.promises.items()
        }

    @property
    def baseline(self) -> Baseline:
        """Baseline of the uninterrupted runs."""
        return self._checker.baseline

    # --- trials

    def judge(self, trial: Observation) -> Judgement:
        """Judge a trial."""
        named = self.renamed(trial)
        judgement = self._checker.check(named)
        if judgement.verdict is Verdict.BROKEN:
            for control in self.controls.get(trial.plan, ()):
                after_time = self._checker_after_time(control).check(named)
                judgement = unless_time_does_it(judgement, after_time)
        return judgement

    def renamed(self, trial: Observation) -> Observation:
        """Return a trial with aliases for the workflows whose ids vary."""
        return aliased(trial, self._stable)

    def _checker_after_time(self, control: Observation) -> Checker:
        """Return a checker for which this run is the only uninterrupted one.

        The other runs still define what varies.
        """
        usual = self._checker
        view = TrialView(self.renamed(control), usual.effects_by_site)
        return replace(usual, baseline=Baseline.of([view]).varying_as(usual.baseline))


def unless_time_does_it(usual: Judgement, after_time: Judgement) -> Judgement:
    """Return a judgement without the findings that the passing of time explains alone.

    Args:
        usual: Judgement of a trial against the uninterrupted runs.
        after_time: Judgement of the same trial against a run in which time passes at the same point.
    """
    topics = {topic_of(finding) for finding in after_time.findings}
    findings = tuple(each for each in usual.findings if topic_of(each) in topics)
    explained = {each.subject for each in usual.findings} - {each.subject for each in findings}
    return replace(
        usual,
        findings=findings,
        verdict=usual.verdict if findings else Verdict.KEPT,
        explained_by_time=tuple(sorted({*usual.explained_by_time, *explained})),
    )
