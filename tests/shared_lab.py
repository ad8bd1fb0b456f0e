"""Sweep a target inside the test's own process, on fork servers that all its tests share.

For tests of verdicts alone: the same trials and the same judge as `resumectl sweep`, without its
command, its archive and its start.
"""

import atexit
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from resumectl.judge.crash_points import crash_points
from resumectl.judge.experiment import Experiment
from resumectl.model.crash_plan import PlannedTrial
from resumectl.model.observation import Exposure, Finding, Judgement, Observation, Verdict
from resumectl.model.target import DOWNTIME_S, Subject
from resumectl.runner.trial_pool import run_trials
from resumectl.runner.trial_runner import Lab, Runner


@dataclass(frozen=True)
class Proved:
    """What the trials of all crash points of a target proved."""

    crash_points: Sequence[str]
    judgements: Sequence[Judgement]
    masked: Sequence[str]  # what was not compared

    @property
    def verdicts(self) -> Counter[Verdict]:
        """How many trials came out how."""
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
def _lab() -> Lab:
    lab = Lab()
    atexit.register(lab.close)
    lab.warm_up()
    return lab


def observe(path: Path, name: str) -> Observation:
    """Return an uninterrupted run of a target."""
    return Runner(_lab(), Subject(target=(str(path), name))).baseline(0)


def prove(
    path: Path,
    name: str,
    *,
    environ: Mapping[str, str] | None = None,
    next_path: Path | None = None,
    downtime_s: float = DOWNTIME_S,
    timeout_s: float | None = None,
) -> Proved:
    """Run a trial for each crash point of a target, and judge them as a sweep does.

    Args:
        path: The target's file.
        name: The workflow or scenario in it.
        environ: Environment variables of the target process.
        next_path: File of the program that recovers, under one application version; None for the
            same one under its own.
        downtime_s: As `sweep --downtime` takes it, in seconds.
        timeout_s: Longest duration of a process on a quiet machine, in seconds; None: from the
            baseline.
    """
    lab = _lab()
    version = "1" if next_path is not None else None
    subject = Subject(target=(str(path), name), environ=environ or {}, app_version=version)
    later = Subject(target=(str(next_path), name), app_version=version) if next_path else None
    experiment = Experiment(runner := Runner(lab, subject, later, downtime_s), {})
    experiment.discover(timeout_s and timeout_s * lab.slowness)
    trials: list[Observation] = []

    def on_trial(_number: int, trial: Observation) -> bool:
        trials.append(trial)
        return True

    plans = crash_points(experiment.baseline.transitions)
    planned = [PlannedTrial(number, plan) for number, plan in enumerate(plans)]
    run_trials(runner, planned, jobs=1, on_trial=on_trial)
    judged = experiment.judged(trials)
    voids = [each.why_void for each in judged.trials if each.verdict is Verdict.VOID]
    assert not voids
    return Proved(list(map(str, plans)), judged.trials, experiment.baseline.not_compared)
