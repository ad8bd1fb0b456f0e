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
from resumectl.judge.client import started_by_retry
from resumectl.judge.client_names import named, named_workflows, names_of
from resumectl.judge.stability import topic_of
from resumectl.judge.trial_view import TrialView, effects_by_site
from resumectl.judge.workflow_aliases import aliased, stable_ids
from resumectl.model.crash_plan import (
    STARTED,
    Crash,
    CrashPlan,
    Edge,
    Matches,
    subject_of,
)
from resumectl.model.events import LaunchStarted
from resumectl.model.observation import (
    BASELINE,
    CLIENT_RETRIES,
    LATER_BASELINE,
    TIME_CONTROL,
    Observation,
)
from resumectl.model.promise import Promise
from resumectl.model.target import Client
from resumectl.model.verdict import Exposure, Judgement, Verdict
from resumectl.model.workflow_names import WorkflowNames


@dataclass(frozen=True)
class Judge:
    """Judge of the trials of one target.

    Attributes:
        promises: Effect, step or table to promise, from the command line.
        runs: Uninterrupted runs.
        controls: Crash plan to uninterrupted runs in which time passes at its crash point.
        retried: Trial whose client asks again although its request fixes no id; None if none was run.
    """

    promises: Mapping[str, Promise]
    runs: tuple[Observation, ...] = ()
    controls: Mapping[str, tuple[Observation, ...]] = field(default_factory=dict)
    retried: Observation | None = None

    @classmethod
    def of_observed(
        cls, promises: Mapping[str, Promise], observed: Iterable[Observation]
    ) -> "Judge":
        """Return the judge of stored runs without a crash; see `observed`."""
        runs: list[Observation] = []
        controls: defaultdict[str, tuple[Observation, ...]] = defaultdict(tuple)
        retried: Observation | None = None
        for each in observed:
            if each.plan.startswith(CLIENT_RETRIES):
                retried = each
            elif each.plan.startswith(TIME_CONTROL):
                controls[each.plan.removeprefix(TIME_CONTROL)] += (each,)
            else:
                runs.append(each)
        return cls(promises, tuple(runs), dict(controls), retried)

    @property
    def observed(self) -> tuple[Observation, ...]:
        """All runs that are compared with trials, in the order in which they are stored."""
        retried = () if self.retried is None else (self.retried,)
        return (*self.runs, *itertools.chain.from_iterable(self.controls.values()), *retried)

    def with_run(self, run: Observation) -> "Judge":
        """Return a judge with one more uninterrupted run."""
        return replace(self, runs=(*self.runs, run))

    def with_controls(self, controls: Mapping[str, tuple[Observation, ...]]) -> "Judge":
        """Return a judge with more runs in which time passes."""
        more = {plan: (*self.controls.get(plan, ()), *runs) for plan, runs in controls.items()}
        return replace(self, controls={**self.controls, **more})

    # --- facts of the runs

    @cached_property
    def names(self) -> WorkflowNames:
        """Names of the workflows that the client starts without an id."""
        first = {run.plan: run for run in reversed(self.runs)}
        return names_of([first[plan] for plan in (BASELINE, LATER_BASELINE) if plan in first])

    def with_names(self, run: Observation) -> Observation:
        """Return a run with names for the workflows that the client starts without an id."""
        return named(run, self.names)

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
        return Checker(baseline, by_site, self.all_promises)

    def _comparable(self, plan: str) -> list[Observation]:
        """Return the runs of a program that can be compared: those that did not fail."""
        own = [run for run in self.runs if run.plan == plan]
        comparable = (run for run in own if run is own[0] or not problem_beside(run, own[0]))
        return list(map(self.with_names, comparable))

    @property
    def all_promises(self) -> dict[str, Promise]:
        """Promises that the Scenario declares, and those of the command line in their place."""
        launches = (run.final.last(LaunchStarted) for run in self.runs)
        declared = {
            name: Promise.named(promise, of=name)
            for launch in launches
            if launch is not None
            for name, promise in launch.promises.items()
        }
        return {**declared, **self.promises}

    @property
    def baseline(self) -> Baseline:
        """Baseline of the uninterrupted runs."""
        return self._checker.baseline

    # --- trials

    def judge(self, trial: Observation) -> Judgement:
        """Judge a trial."""
        renamed = self.with_aliases(trial)
        judgement = self._checker.check(renamed)
        if judgement.verdict is Verdict.BROKEN:
            for control in self.controls.get(trial.plan, ()):
                after_time = self._checker_after_time(control).check(renamed)
                judgement = unless_time_does_it(judgement, after_time)
        return judgement

    def with_aliases(self, trial: Observation) -> Observation:
        """Return a trial with names and aliases for the workflows whose ids vary."""
        run = self.with_names(trial)
        return aliased(run, self._stable | named_workflows(run))

    @property
    def usual_client(self) -> Client:
        """What the client does after a crash by default: it gives up if its request fixes no id."""
        return Client.GIVES_UP if self.names.starts else Client.RETRIES

    @property
    def plan_for_retry(self) -> CrashPlan | None:
        """Crash plan of the trial whose client asks again; None if every request fixes its ids."""
        if not self.names.starts:
            return None
        accepted = (
            each.name
            for each in self.baseline.transitions
            if each.fact in STARTED and subject_of(each.name) in self.baseline.client_starts
        )
        name = next(accepted, None)
        return CrashPlan((Crash(Edge.AFTER, Matches(name)),)) if name is not None else None

    @property
    def retry_exposure(self) -> tuple[Exposure, str] | None:
        """What a client that asks again starts once more, and the crash plan; None if nothing."""
        if self.retried is None:
            return None
        view = TrialView(self.with_aliases(self.retried), self._checker.effects_by_site)
        plan = self.retried.plan.removeprefix(CLIENT_RETRIES)
        workflow = subject_of(CrashPlan.parse(plan).crashes[0].at.pattern)
        exposure = started_by_retry(view, self.baseline, workflow)
        return (exposure, plan) if exposure is not None else None

    def _checker_after_time(self, control: Observation) -> Checker:
        """Return a checker for which this run is the only uninterrupted one.

        The other runs still define what varies.
        """
        usual = self._checker
        view = TrialView(self.with_aliases(control), usual.effects_by_site)
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
