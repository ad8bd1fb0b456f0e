"""Gather what a sweep proved from the judgements of its trials. Renders nothing."""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from resumectl.judge.stability import Judged, Shown, Topic, topic_of
from resumectl.model.evidence import Note
from resumectl.model.verdict import Finding, Judgement, Kind, count_verdicts
from resumectl.text import natural_key

if TYPE_CHECKING:
    from resumectl.judge.target_settings import TargetSettings
    from resumectl.runner.sweep_store import StoredSweep

# Kinds of a workflow that has not ended as it should: what else differs in it follows from that.
_CAUSES = (Kind.STUCK, Kind.FAILED)
_CONSEQUENCES = (Kind.DIVERGED, Kind.LOST, Kind.UNEXPECTED, Kind.STUCK)
_STEP = re.compile(r"(?:.*, )?(.+?)(?:/step-\d+)?")
_UNSTABLE = ": unstable"
_ANSWER = "answer"  # as a finding names what the request returned


def repeated(shown: Shown | None) -> str:
    """Return how often trials showed a finding, for people; empty if none was repeated."""
    if shown is None:
        return ""
    times = f"{shown.times} of {shown.of}"
    return times if shown.times == shown.of else f"{times}{_UNSTABLE}"


@dataclass(frozen=True, slots=True)
class SeenFinding:
    """A finding of one or more trials.

    Attributes:
        finding: As the first trial shows it.
        plan: Crash plan of that trial.
        trials: How many trials show it.
        shown: How often the trials showed it that were repeated; None if none was.
        cause: Index of the finding that it follows from, in the same list; None if it stands alone.
    """

    finding: Finding
    plan: str
    trials: int
    shown: Shown | None
    cause: int | None = None

    @property
    def repeated(self) -> str:
        """How often it was shown, for people."""
        return repeated(self.shown)


@dataclass(frozen=True, slots=True)
class SeenExposure:
    """An exposure of one or more trials: the worst of them."""

    subject: str
    times: int
    payload_differs: bool
    note: Note | None
    plan: str


@dataclass(frozen=True, slots=True)
class SweepResult:
    """A sweep, and what its trials proved.

    Attributes:
        stored: The sweep.
        judged: What its trials proved.
        varying: What is compared in no trial, for people.
        settings: Settings of the target before the crash, and after it.
        is_concurrent: Whether the program does several things at once.
        contacts: How often services on this machine were contacted, in all runs.
        wall_seconds: Time from the start of the command to the verdict, in seconds; None where another
            command shows it.
    """

    stored: "StoredSweep"
    judged: Judged
    varying: Sequence[str]
    settings: tuple["TargetSettings | None", "TargetSettings | None"]
    is_concurrent: bool
    contacts: Mapping[str, int]
    wall_seconds: float | None = None

    @property
    def trials(self) -> Sequence[Judgement]:
        """What each trial proved, without those that repeat others."""
        return self.judged.trials

    @property
    def explained_by_time(self) -> list[str]:
        """What differs in an uninterrupted run too, in which as much time passes."""
        explained = {each for trial in self.trials for each in trial.explained_by_time}
        return sorted(explained, key=natural_key)

    @property
    def not_compared(self) -> list[str]:
        """What is compared in no trial, and which trials are not compared."""
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
        """How many trials have each verdict."""
        return count_verdicts(self.trials)

    @property
    def reached(self) -> int:
        """How many crash plans have a trial in which a process was killed."""
        return len({judgement.plan for judgement in self.trials if judgement.crashes_reached})

    @property
    def crashes(self) -> int:
        """How many processes were killed."""
        return sum(judgement.crashes_reached for judgement in self.trials)

    @property
    def trials_per_second(self) -> float:
        """How many trials ended per second."""
        return len(self.trials) / self.stored.seconds if self.stored.seconds else 0.0

    @property
    def tried_again(self) -> list[tuple[str, int]]:
        """Plan and number of attempts of each trial that was not killed at its first attempt."""
        return [(each.plan, each.attempts) for each in self.trials if each.attempts > 1]

    @property
    def has_one_order(self) -> bool:
        """Whether the order of threads matters, and each crash plan was tried in one order only."""
        return self.is_concurrent and self.stored.spec.repeat == 1

    @property
    def findings(self) -> list[SeenFinding]:
        """Each finding once, by kind and in the plans' order; below it those that follow from it."""
        first: dict[Topic, tuple[Finding, str]] = {}
        trials: Counter[Topic] = Counter()
        for judgement in self.trials:
            for finding in judgement.findings:
                first.setdefault(topic_of(finding), (finding, judgement.plan))
            trials.update({topic_of(finding) for finding in judgement.findings})
        shown = self.judged.shown
        seen = [
            SeenFinding(finding, plan, trials[topic], shown.get(topic))
            for topic, (finding, plan) in sorted(first.items(), key=lambda each: each[0][0])
        ]
        return _below_their_causes(seen)

    @property
    def exposures(self) -> list[SeenExposure]:
        """The worst exposure of each subject, by name."""
        worst: dict[str, SeenExposure] = {}
        for judgement in self.trials:
            for each in judgement.exposures:
                seen = SeenExposure(
                    each.subject, each.times, each.payload_differs, each.note, judgement.plan
                )
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


def _below_their_causes(seen: Sequence[SeenFinding]) -> list[SeenFinding]:
    """Return the findings with those of a workflow that is stuck or has failed below that one."""
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
    """Return the finding that this one follows from: of its workflow, or of its parent's."""
    if seen.finding.kind not in _CONSEQUENCES:
        return None
    match = _STEP.fullmatch(seen.finding.subject)
    workflow = match[1] if match else seen.finding.subject
    for cause in causes:
        if cause.repeated.endswith(_UNSTABLE) and not seen.repeated.endswith(_UNSTABLE):
            continue  # what shows each time does not follow from what shows sometimes
        whole = cause.finding.subject
        is_of_it = workflow in (whole, _ANSWER) or re.match(rf"{re.escape(whole)}-\d", workflow)
        if cause is not seen and is_of_it:
            return cause
    return None
