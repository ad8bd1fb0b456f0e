"""Gather the result of a sweep from the judgements of its trials, for every kind of report."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resumectl.judge.concurrency import is_concurrent
from resumectl.judge.judge import Judge
from resumectl.judge.stability import Judged, Shown, Topic, topic_of
from resumectl.judge.target_settings import TargetSettings, settings_of_target
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.events import StepDefinition
from resumectl.model.evidence import Note
from resumectl.model.observation import Observation
from resumectl.model.target import Client
from resumectl.model.verdict import Exposure, Finding, Judgement, Kind, count_verdicts
from resumectl.report.source_lines import definition_of, step_definitions
from resumectl.text import natural_key

if TYPE_CHECKING:
    from resumectl.runner.stored_sweep import StoredSweep

# Findings of a workflow that did not end as it should. Its other differences follow from these.
_CAUSES = (Kind.STUCK, Kind.FAILED)
_CONSEQUENCES = (Kind.DIVERGED, Kind.LOST, Kind.UNEXPECTED, Kind.STUCK)
_STEP = re.compile(r"(?:.*, )?(.+?)(?:/step-\d+)?", re.DOTALL)
_UNSTABLE = ": unstable"
_ANSWER = "answer"  # the subject of findings about the request's result


def repeated(shown: Shown | None) -> str:
    """Return how often repeated trials showed a finding; empty if none was repeated."""
    if shown is None:
        return ""
    times = f"{shown.times} of {shown.of}"
    return times if shown.times == shown.of else f"{times}{_UNSTABLE}"


@dataclass(frozen=True, slots=True)
class SeenFinding:
    """A finding of one or more trials.

    Attributes:
        finding: Finding of the first trial that shows it.
        plan: Crash plan of that trial.
        trials: Number of trials that show it.
        shown: Number of repeated trials that showed it; None if none was repeated.
        cause: Index of its cause in the same list of findings; None if it has none.
    """

    finding: Finding
    plan: str
    trials: int
    shown: Shown | None
    cause: int | None = None

    @property
    def repeated(self) -> str:
        """How often repeated trials showed it, for people."""
        return repeated(self.shown)


@dataclass(frozen=True, slots=True)
class SeenExposure:
    """The worst exposure of a subject in one or more trials."""

    subject: str
    times: int
    payload_differs: bool
    note: Note | None
    plan: str


@dataclass(frozen=True, slots=True)
class SweepResult:
    """The result of a sweep.

    Attributes:
        stored: The stored sweep.
        judged: Judgements of its trials.
        varying: Names of values that are compared in no trial, for people.
        settings: Settings of the target before and after the crash.
        is_concurrent: Whether the target does several things at once.
        contacts: Number of contacts with each service on this machine, in all runs.
        client: What the client does after a crash.
        retry: What a client that asks again would start once more, and its crash plan; None if nothing.
        seconds: Crash plan to the durations of its trials, in seconds.
        locations: Finding to where the step that it is about is defined.
        left_out: Crash plans that were planned, and not run since the budget was used up.
        wall_seconds: Time from the start of the command to the verdict, in seconds; None if another
            command shows the result.
    """

    stored: "StoredSweep"
    judged: Judged
    varying: Sequence[str]
    settings: tuple[TargetSettings | None, TargetSettings | None]
    is_concurrent: bool
    contacts: Mapping[str, int]
    client: Client
    retry: tuple[Exposure, str] | None
    seconds: Mapping[str, Sequence[float]]
    locations: Mapping[Topic, StepDefinition]
    left_out: Sequence[str]
    wall_seconds: float | None = None

    @property
    def trials(self) -> Sequence[Judgement]:
        """The judgements of all trials except repetitions."""
        return self.judged.trials

    @property
    def explained_by_time(self) -> list[str]:
        """Differences that a run without a crash shows too, if as much time passes in it."""
        explained = {each for trial in self.trials for each in trial.explained_by_time}
        return sorted(explained, key=natural_key)

    @property
    def not_compared(self) -> list[str]:
        """Names of values that are compared in no trial, and of trials that are not compared."""
        return [
            *self.varying,
            *(
                f"all of {each.plan} (it diverged before the crash: "
                f"{', '.join(each.diverged_before_crash)})"
                for each in self.trials
                if each.diverged_before_crash
            ),
        ]

    @property
    def verdicts(self) -> dict[str, int]:
        """The number of trials by verdict."""
        return count_verdicts(self.trials)

    @property
    def reached(self) -> int:
        """The number of crash plans with a trial in which a process was killed."""
        return len({judgement.plan for judgement in self.trials if judgement.crashes_reached})

    @property
    def crashes(self) -> int:
        """The number of processes that were killed."""
        return sum(judgement.crashes_reached for judgement in self.trials)

    @property
    def trials_per_second(self) -> float:
        """The number of trials per second."""
        return len(self.trials) / self.stored.seconds if self.stored.seconds else 0.0

    @property
    def tried_again(self) -> list[tuple[str, int]]:
        """Plan and number of attempts of each trial that was not killed at its first attempt."""
        return [(each.plan, each.attempts) for each in self.trials if each.attempts > 1]

    @property
    def not_reached(self) -> frozenset[str]:
        """The plans whose crash points no attempt reached."""
        return frozenset(
            each.plan
            for each in self.trials
            if each.crashes_reached < len(CrashPlan.parse(each.plan).crashes)
        )

    @property
    def has_one_order(self) -> bool:
        """Whether threads race, and each crash plan was tried in one order of them only."""
        return self.is_concurrent and self.stored.spec.repeat == 1

    @property
    def findings(self) -> list[SeenFinding]:
        """Each finding once, by kind and in the order of the plans, followed by its consequences."""
        return seen_findings(self.judged)

    @property
    def exposures(self) -> list[SeenExposure]:
        """The worst exposure of each subject, by name."""
        every = [(each, trial.plan) for trial in self.trials for each in trial.exposures]
        worst: dict[str, SeenExposure] = {}
        for each, plan in [*([self.retry] if self.retry else []), *every]:
            seen = SeenExposure(each.subject, each.times, each.payload_differs, each.note, plan)
            before = worst.get(each.subject, seen)
            times, plan = max(
                (before.times, before.plan), (seen.times, seen.plan), key=lambda pair: pair[0]
            )
            worst[each.subject] = SeenExposure(
                each.subject,
                times,
                before.payload_differs or seen.payload_differs,
                before.note or seen.note,
                plan,
            )
        return [worst[subject] for subject in sorted(worst, key=natural_key)]


def seen_findings(judged: Judged) -> list[SeenFinding]:
    """Return each finding once, by kind and in the order of the plans, followed by its consequences.

    Args:
        judged: Judgements of the trials and of their repetitions.
    """
    first: dict[Topic, tuple[Finding, str]] = {}
    trials: Counter[Topic] = Counter()
    for judgement in judged.trials:
        for finding in judgement.findings:
            first.setdefault(topic_of(finding), (finding, judgement.plan))
        trials.update({topic_of(finding) for finding in judgement.findings})
    shown = judged.shown
    seen = [
        SeenFinding(finding, plan, trials[topic], shown.get(topic))
        for topic, (finding, plan) in sorted(first.items(), key=lambda each: each[0][0])
    ]
    return _below_their_causes(seen)


def sweep_result(
    stored: "StoredSweep",
    judged: Judged,
    judge: Judge,
    trials: Mapping[str, Observation],
    contacts: Mapping[str, int],
) -> SweepResult:
    """Return the result of trials, without their durations and what the budget left out.

    Args:
        stored: The sweep.
        judged: Judgements of its trials, and of their repetitions.
        judge: Judge of the trials.
        trials: Crash plan to the observation of a trial, for each plan that a finding names.
        contacts: Number of contacts with each service on this machine, in all runs.
    """
    definitions = step_definitions(judge.runs)
    found = (
        (
            topic_of(each.finding),
            definition_of(each.finding, judge.with_names(trials[each.plan]), definitions),
        )
        for each in seen_findings(judged)
    )
    return SweepResult(
        stored=stored,
        judged=judged,
        varying=judge.baseline.described_not_compared,
        settings=(settings_of_target(judge.runs), settings_of_target(judge.runs, later=True)),
        is_concurrent=any(map(is_concurrent, judge.runs)),
        contacts=contacts,
        client=stored.spec.target.client or judge.usual_client,
        retry=judge.retry_exposure,
        seconds={},
        locations={topic: step for topic, step in found if step is not None},
        left_out=(),
    )


def _below_their_causes(seen: Sequence[SeenFinding]) -> list[SeenFinding]:
    """Return the findings, with consequences of a stuck or failed workflow below their cause."""
    causes = [each for each in seen if each.finding.kind in _CAUSES]
    roots = [each for each in causes if _cause_of(each, causes) is None]
    ordered: list[SeenFinding] = []
    for each in seen:
        if _cause_of(each, roots) is not None:
            continue
        at = len(ordered)
        ordered.append(each)
        if each in roots:
            for other in seen:
                if _cause_of(other, roots) is each:
                    ordered.append(
                        SeenFinding(other.finding, other.plan, other.trials, other.shown, at)
                    )
    return ordered


def _cause_of(seen: SeenFinding, causes: Sequence[SeenFinding]) -> SeenFinding | None:
    """Return the cause of a finding: a finding of its workflow, or of the parent."""
    if seen.finding.kind not in _CONSEQUENCES:
        return None
    match = _STEP.fullmatch(seen.finding.subject)
    workflow = match[1] if match else seen.finding.subject
    for cause in causes:
        if cause.repeated.endswith(_UNSTABLE) and not seen.repeated.endswith(_UNSTABLE):
            continue  # a finding of each trial does not follow from one of some trials
        whole = cause.finding.subject
        is_of_it = workflow in (whole, _ANSWER) or re.match(rf"{re.escape(whole)}-\d", workflow)
        if cause is not seen and is_of_it:
            return cause
    return None
