"""Define the result of a trial: findings, exposures and the verdict."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from resumectl.model.evidence import Evidence, Note
from resumectl.model.text_enum import TextEnum


class Verdict(TextEnum):
    """Verdict on a trial."""

    KEPT = "KEPT"
    BROKEN = "BROKEN"
    UNSTABLE = "UNSTABLE"  # a promise was broken, but not in every repetition of the trial
    VOID = "VOID"  # nothing is proved: the process was not killed as planned, or resumectl failed


class Kind(TextEnum):
    """Kind of a finding."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    DIVERGED = "diverged"
    STUCK = "stuck"
    FAILED = "failed"
    UNEXPECTED = "unexpected"
    RERUN = "rerun"


@dataclass(frozen=True, slots=True)
class Finding:
    """A difference that a promise forbids.

    Attributes:
        kind: Its kind.
        subject: Workflow, step, effect or table.
        evidence: Observed and expected values.
    """

    kind: Kind
    subject: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Exposure:
    """Repetition that the promise allows and that the user should know of.

    Attributes:
        subject: Effect, step, table or message.
        times: Number of times that it happened.
        payload_differs: Whether it happened with different arguments.
        note: Further information about it; None for none.
    """

    subject: str
    times: int
    payload_differs: bool = False
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """Judgement of one observation.

    Attributes:
        plan: Crash plan of the trial.
        verdict: Verdict on the trial.
        findings: Differences that a promise forbids.
        exposures: Repetitions that the promises allow.
        why_void: Reason why nothing is proved; empty unless the verdict is VOID.
        crashes_reached: Number of processes that were killed as planned.
        diverged_before_crash: Records of the first process that differed from all uninterrupted runs
            before the kill; the trial is then not compared with these runs.
        attempts: Number of runs until the crash point was reached.
        contacts: Service on this machine to the number of contacts.
        explained_by_time: Differences that also occur in an uninterrupted run in which the same time
            passes at the same point.
        last_commits: The crash point after the last transition that each killed process committed;
            None for a process that committed none.
    """

    plan: str
    verdict: Verdict
    findings: tuple[Finding, ...] = ()
    exposures: tuple[Exposure, ...] = ()
    why_void: str = ""
    crashes_reached: int = 0
    diverged_before_crash: tuple[str, ...] = ()
    attempts: int = 1
    contacts: Mapping[str, int] = field(default_factory=dict)
    explained_by_time: tuple[str, ...] = ()
    last_commits: tuple[str | None, ...] = ()


def count_verdicts(judgements: Iterable[Judgement]) -> dict[str, int]:
    """Return how many judgements have each verdict."""
    counts = Counter(str(judgement.verdict) for judgement in judgements)
    return {str(verdict): counts[str(verdict)] for verdict in Verdict}
