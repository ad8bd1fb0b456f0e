"""Decide which further uninterrupted runs a difference calls for, before it is called a finding.

A difference from the baseline may occur without a crash, such as a random choice in a step.
"""

import itertools
import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from resumectl.judge.baseline import Baseline
from resumectl.judge.judge import Judge
from resumectl.judge.stability import Stability, Topic, topic_of
from resumectl.model.crash_plan import Crash, CrashPlan, Edge, Matches
from resumectl.model.observation import LATER_BASELINE
from resumectl.model.orders import Control
from resumectl.model.verdict import Judgement, Kind

# Number of uninterrupted runs of each program before any trial.
FIRST_RUNS = 2
# Pause of each run of the second stage, as a multiple of the duration of a crash. The earliest run
# pauses longest, which shows what depends on a result that varies.
_PAUSES = (6, 4, 3, 2, 1, 1)
# Number of runs of the third stage, and their maximum duration in seconds on a quiet machine. 32 runs
# in all miss something that happens one time in ten with a probability of 1/29.
_MANY_RUNS = 24
_MANY_RUNS_MAX_S = 10.0
# Number of crash plans of one difference at which time passes, if it explains none of them. A sweep of
# 20 crash points, in which every one differs, takes a fifth of the time that it takes without a limit.
_PLANS_FOR_TIME = 3
_BY_COMPARISON = frozenset({Kind.DIVERGED, Kind.UNEXPECTED, Kind.LOST, Kind.FAILED})


class Stage(IntEnum):
    """Stage of the baseline, by the number of uninterrupted runs. Each stage comes once, in this order."""

    FIRST = 0  # two runs of each program
    PAUSED = 1  # six more that pause at the crash points of different trials
    MANY = 2  # 24 more, if a difference is unstable


@dataclass(frozen=True, slots=True)
class FurtherRun:
    """One uninterrupted run.

    Attributes:
        number: Number of the run in its stage: runs take turns between the two hash seeds.
        is_later: Whether it runs the program of the later processes.
        control: Pause of the run; None for none.
    """

    number: int
    is_later: bool
    control: Control | None


@dataclass(frozen=True, slots=True)
class FurtherRuns:
    """Policy for further uninterrupted runs.

    Attributes:
        judge: Judge with the runs so far.
        programs: Whether each program is the one of the later processes.
    """

    judge: Judge
    programs: Sequence[bool]

    @property
    def stage(self) -> Stage:
        """Stage that has been reached."""
        runs = self.judge.runs
        begun_with = FIRST_RUNS * len({run.plan == LATER_BASELINE for run in runs})
        if len(runs) > begun_with + len(_PAUSES):
            return Stage.MANY
        return Stage.PAUSED if len(runs) > begun_with else Stage.FIRST

    def plans_for_time(self, judgements: Sequence[Judgement]) -> list[str]:
        """Return the crash plans that need runs in which time passes.

        These are the first three plans of each difference, and all of them once time explains one.

        Args:
            judgements: Judgements of the trials so far.
        """
        explained = {subject for each in judgements for subject in each.explained_by_time}
        plans: defaultdict[Topic, list[str]] = defaultdict(list)
        for judgement in judgements:
            for finding in judgement.findings:
                found = plans[topic_of(finding)]
                is_needed = len(found) < _PLANS_FOR_TIME or finding.subject in explained
                if finding.kind in _BY_COMPARISON and is_needed and judgement.plan not in found:
                    found.append(judgement.plan)
        needed = set(itertools.chain.from_iterable(plans.values()))
        return sorted(needed - self.judge.controls.keys())

    def plans_for_more_time(
        self, judgements: Sequence[Judgement], repeated: Sequence[Judgement]
    ) -> list[str]:
        """Return the crash plans that need more runs in which time passes: those with unstable findings.

        What has begun to wait when time passes differs from run to run.

        Args:
            judgements: Judgements of the trials.
            repeated: Judgements of the repeated trials.
        """
        unstable = Stability(judgements, repeated).unstable
        judged = (*judgements, *repeated)
        plans = {
            each.plan
            for each in judged
            if any(topic_of(f) in unstable and f.kind in _BY_COMPARISON for f in each.findings)
        }
        return sorted(plan for plan in plans if self._has_one_run_each(plan, judged))

    def _has_one_run_each(self, plan: str, judgements: Sequence[Judgement]) -> bool:
        """Return whether time has passed at each point of a plan, and not yet more often."""
        controls = len(self.judge.controls.get(plan, ()))
        return 0 < controls <= len(self.where_time_passes(plan, judgements))

    def where_time_passes(self, plan: str, judgements: Iterable[Judgement]) -> list[str | None]:
        """Return the crash points at which runs let the time of a trial pass; None for the beginning.

        A step that is killed before its commit runs again later, so time may also pass before the step.
        Another workflow may have begun to wait after that, so time may also pass after the last commit
        of the killed process.

        Args:
            plan: Crash plan of the trial, as text.
            judgements: Judgements of the trials so far, and of their repetitions.
        """
        found: list[str | None] = []
        for number, crash in enumerate(CrashPlan.parse(plan).crashes):
            at = str(crash.without_hold)
            found.append(at)
            if crash.edge is Edge.BEFORE:
                ahead = _previous_crash_point(at, self.judge.baseline)
                found.append(ahead if ahead != at else None)
                found.extend(
                    each.last_commits[number]
                    for each in judgements
                    if each.plan == plan and each.findings and number < len(each.last_commits)
                )
        return list(dict.fromkeys(found))

    def paused(self, judgements: Sequence[Judgement]) -> Iterator[FurtherRun]:
        """Yield the runs of the second stage, if a difference needs them.

        Each pauses at the crash point of a different trial, for the duration of a crash. If the crash
        point is before a commit, every second run pauses before the step: a crash would repeat the step.

        Args:
            judgements: Judgements of the trials so far.
        """
        plans = [each.plan for each in judgements if each.diverged_before_crash or _differs(each)]
        if not plans or self.stage is not Stage.FIRST:
            return
        baseline = self.judge.baseline
        chosen = [plans[n * len(plans) // len(_PAUSES)] for n in range(len(_PAUSES))]
        for number, (plan, times) in enumerate(zip(chosen, _PAUSES, strict=True)):
            control = Control.at_first_crash(plan, times * baseline.away_s)
            turn, program = divmod(number, len(self.programs))
            if turn % 2:
                control = replace(control, at=_previous_crash_point(control.at, baseline))
            yield FurtherRun(number, self.programs[program], control)

    def many(
        self, judgements: Sequence[Judgement], repeated: Sequence[Judgement], slowness: float
    ) -> Iterator[FurtherRun]:
        """Yield the runs of the third stage, if an unstable difference needs them.

        A step may return a result one time in ten that no uninterrupted run has shown so far.

        Args:
            judgements: Judgements of the trials, after the second stage.
            repeated: Judgements of the repeated trials.
            slowness: Factor by which everything takes longer than on a quiet machine.
        """
        if self.stage is not Stage.PAUSED:
            return
        unstable = Stability(judgements, repeated).unstable
        varies = any(kind in _BY_COMPARISON for kind, _ in unstable)
        if not varies and not any(each.diverged_before_crash for each in judgements):
            return
        limit_s = _MANY_RUNS_MAX_S * slowness
        times = min(_MANY_RUNS, math.ceil(limit_s / self.judge.baseline.seconds))
        for number, is_later in itertools.product(range(times), self.programs):
            yield FurtherRun(number, is_later, control=None)


def _differs(judgement: Judgement) -> bool:
    return any(finding.kind in _BY_COMPARISON for finding in judgement.findings)


def _previous_crash_point(at: str, baseline: Baseline) -> str:
    """Return the crash point after the previous transition of the workflow, if it is known."""
    (crash,) = CrashPlan.parse(at).crashes
    ahead = baseline.ahead_of(crash.at.pattern) if crash.edge is Edge.BEFORE else None
    return str(Crash(Edge.AFTER, Matches(ahead))) if ahead else at
