"""Decide which further uninterrupted runs a difference calls for, before it is called a finding.

What differs from the baseline may differ by itself, such as a random choice recorded in a step.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from resumectl.judge.baseline import Baseline
from resumectl.judge.judge import Judge
from resumectl.judge.stability import Stability
from resumectl.model.crash_plan import Crash, CrashPlan, Edge, Matches
from resumectl.model.observation import LATER_BASELINE
from resumectl.model.orders import Control
from resumectl.model.verdict import Judgement, Kind

# Uninterrupted runs of each program, before any trial.
FIRST_RUNS = 2
# How many times as long as a crash takes each run of the second stage pauses, the earliest longest:
# what comes behind a result that varies is seen to depend on it.
_PAUSES = (6, 4, 3, 2, 1, 1)
# So many runs has the third stage, within so many seconds on a quiet machine: of what happens one
# time in ten, 32 runs in all see nothing once in 29 times.
_MANY_RUNS = 24
_MANY_RUNS_MAX_S = 10.0
_BY_COMPARISON = frozenset({Kind.DIVERGED, Kind.UNEXPECTED, Kind.LOST, Kind.FAILED})


class Stage(IntEnum):
    """How many uninterrupted runs are known; each stage comes once, after the one before it."""

    FIRST = 0  # two runs of each program
    PAUSED = 1  # and six that pause at the crash points of trials that differ
    MANY = 2  # and 24 more, where a difference does not show each time that its trial is repeated


@dataclass(frozen=True, slots=True)
class FurtherRun:
    """One uninterrupted run.

    Attributes:
        number: Number of the run in its stage: runs take turns between the two hash seeds.
        is_later: Whether it is of the program of the later processes.
        control: Where it pauses; None for nowhere.
    """

    number: int
    is_later: bool
    control: Control | None


@dataclass(frozen=True, slots=True)
class FurtherRuns:
    """The policy for further uninterrupted runs.

    Attributes:
        judge: What is known so far.
        programs: For each program, whether it is that of the later processes.
    """

    judge: Judge
    programs: Sequence[bool]

    @property
    def stage(self) -> Stage:
        """The stage that is reached."""
        runs = self.judge.runs
        begun_with = FIRST_RUNS * len({run.plan == LATER_BASELINE for run in runs})
        if len(runs) > begun_with + len(_PAUSES):
            return Stage.MANY
        return Stage.PAUSED if len(runs) > begun_with else Stage.FIRST

    def plans_for_time(self, judgements: Sequence[Judgement]) -> list[str]:
        """Return the crash plans for which runs are called for in which time passes.

        Args:
            judgements: Of the trials so far.
        """
        differing = {each.plan for each in judgements if _differs(each)}
        return sorted(differing - self.judge.controls.keys())

    def where_time_passes(self, plan: str) -> list[str | None]:
        """Return the crash points at which as much time passes as in a trial; None: at the beginning.

        Before a commit, the step that is killed runs again later: so time may also pass ahead of it.

        Args:
            plan: Crash plan of the trial, as text.
        """
        found: list[str | None] = []
        for crash in CrashPlan.parse(plan).crashes:
            at = str(crash.without_hold)
            found.append(at)
            if crash.edge is Edge.BEFORE:
                ahead = _ahead_of(at, self.judge.baseline)
                found.append(ahead if ahead != at else None)
        return found

    def paused(self, judgements: Sequence[Judgement]) -> Iterator[FurtherRun]:
        """Yield the runs of the second stage, where a difference calls for them.

        Each pauses at the crash point of such a trial, for as long as a crash takes. Before a commit,
        every other one pauses ahead of the step instead: it is begun again, later.

        Args:
            judgements: Of the trials so far.
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
                control = replace(control, at=_ahead_of(control.at, baseline))
            yield FurtherRun(number, self.programs[program], control)

    def many(
        self, judgements: Sequence[Judgement], repeated: Sequence[Judgement], slowness: float
    ) -> Iterator[FurtherRun]:
        """Yield the runs of the third stage, where an unstable difference calls for them.

        A step may answer one time in ten what it did not answer in any uninterrupted run so far.

        Args:
            judgements: Of the trials, judged after the second stage.
            repeated: Of the trials that were run again.
            slowness: How many times longer everything takes than on a quiet machine.
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


def _ahead_of(at: str, baseline: Baseline) -> str:
    """Return the crash point right behind what the workflow does before this one, if it is known."""
    (crash,) = CrashPlan.parse(at).crashes
    ahead = baseline.ahead_of(crash.at.pattern) if crash.edge is Edge.BEFORE else None
    return str(Crash(Edge.AFTER, Matches(ahead))) if ahead else at
