"""Sweep a target inside the test's own process, on fork servers that all its tests share.

For tests of verdicts alone: the same trials and the same judge as `resumectl sweep`, without its
command, its store and its start.
"""

import atexit
import os
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from resumectl.judge.crash_points import crash_points
from resumectl.judge.stability import Judged
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.interpreter import Interpreters, Source
from resumectl.model.observation import Observation
from resumectl.model.target import DOWNTIME_S, Target
from resumectl.model.verdict import Exposure, Finding, Judgement, Verdict
from resumectl.runner.baseline_runs import BaselineRuns
from resumectl.runner.fork_servers import ForkServers
from resumectl.runner.interpreter_description import Candidate, describe
from resumectl.runner.trial_pool import TrialPool
from resumectl.runner.trial_runner import TrialRunner


@dataclass(frozen=True, repr=False)
class Proved:
    """What the trials of all crash points of a target proved."""

    crash_points: Sequence[str]
    judgements: Sequence[Judgement]
    not_compared: Sequence[str]

    def __repr__(self) -> str:
        """Show first what a failing test needs: what was not KEPT, and why."""
        others = (each for each in self.judgements if each.verdict is not Verdict.KEPT)
        shown = (
            f"{each.plan} {each.verdict} {each.why_void or [str(found.kind) for found in each.findings]}"
            for each in others
        )
        return f"Proved({'; '.join(shown) or 'all KEPT'})"

    @property
    def verdicts(self) -> Counter[Verdict]:
        """How many trials have each verdict."""
        return Counter(each.verdict for each in self.judgements)

    @property
    def is_kept(self) -> bool:
        """Whether every crash point was reached, and nothing was found."""
        return self.verdicts == Counter({Verdict.KEPT: len(self.crash_points)})

    @property
    def findings(self) -> list[Finding]:
        """The findings of all trials."""
        return [finding for each in self.judgements for finding in each.findings]

    @property
    def kinds(self) -> set[str]:
        """The kinds of these."""
        return {str(finding.kind) for finding in self.findings}

    @property
    def exposures(self) -> list[Exposure]:
        """The exposures of all trials."""
        return [exposure for each in self.judgements for exposure in each.exposures]

    @property
    def plans(self) -> set[str]:
        """The crash plans of trials with a finding."""
        return {each.plan for each in self.judgements if each.findings}


@cache
def shared_pool(python: str | None = None) -> TrialPool:
    """Return the fork servers and sandboxes of this test process.

    Args:
        python: Interpreter of the targets; None for the one that RESUMECTL_PYTHON names, or
            resumectl's own.
    """
    path = python or os.environ.get(Source.VARIABLE)
    interpreter = describe(Candidate(Path(path), Source.VARIABLE)) if path else None
    pool = TrialPool(ForkServers(Interpreters.alike(interpreter) if interpreter else None))
    atexit.register(pool.close)
    pool.warm_up()
    return pool


def observe(path: Path, name: str) -> Observation:
    """Return an uninterrupted run of a target."""
    return TrialRunner(shared_pool(), Target(entry=(str(path), name))).baseline(0)


def prove(
    path: Path,
    name: str,
    *,
    environ: Mapping[str, str] | None = None,
    next_path: Path | None = None,
    downtime_s: float = DOWNTIME_S,
    timeout_s: float | None = None,
    until: Collection[str] = (),
    python: str | None = None,
) -> Proved:
    """Run a trial for each crash point of a target, and judge them as a sweep does.

    Args:
        path: File of the target.
        name: Name of the workflow or scenario in it.
        environ: Environment variables of the target process.
        next_path: File of the program that recovers, under one application version; None for the
            same one under its own.
        downtime_s: As `sweep --downtime` takes it, in seconds.
        timeout_s: Maximum duration of a process on a quiet machine, in seconds; None: from the
            baseline.
        until: Kinds of findings. The first trial that is BROKEN with one of these, with its
            repetitions, is the last; none for all crash points.
        python: As `shared_pool` takes it.
    """
    pool = shared_pool(python)
    version = "1" if next_path is not None else None
    target = Target(entry=(str(path), name), environ=environ or {}, app_version=version)
    later = Target(entry=(str(next_path), name), app_version=version) if next_path else None
    runner = TrialRunner(pool, target, later, downtime_s)
    runs = BaselineRuns.of(runner, {})
    runs.discover(timeout_s and timeout_s * pool.slowness)
    plans = crash_points(runs.judge.baseline.transitions)
    judged = _judged(runner, runs, plans, frozenset(until))
    not_compared = runs.judge.baseline.described_not_compared
    return Proved(list(map(str, plans)), judged.trials, not_compared)


def _judged(
    runner: TrialRunner, runs: BaselineRuns, plans: Sequence[CrashPlan], until: frozenset[str]
) -> Judged:
    trials: list[Observation] = []
    for number, plan in enumerate(plans):
        trials.append(runner.trial(PlannedTrial(number, plan)))
        judgement = runs.judge.judge(trials[-1])
        assert judgement.verdict is not Verdict.VOID, judgement.why_void
        if until & _kinds(judgement):
            judged = runs.judged(trials[-1:])
            if any(until & _kinds(each) for each in judged.trials if _is_broken(each)):
                return judged
    judged = runs.judged(trials)
    voids = [each.why_void for each in judged.trials if each.verdict is Verdict.VOID]
    assert not voids
    return judged


def _kinds(judgement: Judgement) -> set[str]:
    return {str(finding.kind) for finding in judgement.findings}


def _is_broken(judgement: Judgement) -> bool:
    return judgement.verdict is Verdict.BROKEN
