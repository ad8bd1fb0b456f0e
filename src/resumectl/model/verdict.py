"""What was found in a trial: findings, exposures and the verdict."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from resumectl.errors import Refusal
from resumectl.model.evidence import Evidence, Note
from resumectl.model.text_enum import TextEnum


class Verdict(TextEnum):
    """What a trial proves."""

    KEPT = "KEPT"
    BROKEN = "BROKEN"
    UNSTABLE = "UNSTABLE"  # a promise was broken, but not in each repetition of the trial
    VOID = "VOID"  # nothing: the process was not killed as planned, or resumectl itself failed


class Promise(TextEnum):
    """How often something happens, whichever process is killed."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"

    @classmethod
    def named(cls, text: str, *, of: str) -> "Promise":
        """Return a promise by its name, also as Python spells it: `exactly_once`.

        Args:
            text: Name of the promise.
            of: Name of the effect or step, for the error.

        Raises:
            Refusal: There is no such promise.
        """
        try:
            return cls(text.replace("_", "-"))
        except (ValueError, AttributeError):
            raise Refusal(
                f"{text!r}, promised of {of}, is none of {', '.join(cls)}",
                next_step=f"as in  {of}={cls.EXACTLY_ONCE}",
            ) from None


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
        evidence: What was seen, and what was expected.
    """

    kind: Kind
    subject: str
    evidence: Evidence


@dataclass(frozen=True, slots=True)
class Exposure:
    """A repetition that the promise allows, and that the user should know of.

    Attributes:
        subject: Effect, step, table or message.
        times: How often it happened.
        payload_differs: Whether it happened with different arguments.
        note: What else is to be known of it; None for nothing.
    """

    subject: str
    times: int
    payload_differs: bool = False
    note: Note | None = None


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the judge makes of one observation.

    Attributes:
        plan: Crash plan of the trial.
        verdict: What the trial proves.
        findings: Differences that a promise forbids.
        exposures: Repetitions that the promises allow.
        why_void: Why nothing is proved; empty unless the verdict is VOID.
        crashes_reached: Number of processes that were killed as planned.
        diverged_before_crash: What the first process had recorded otherwise than uninterrupted
            runs before it was killed: the trial is not compared with these.
        attempts: Number of runs until the crash point was reached.
        contacts: How often services on this machine were contacted.
        explained_by_time: What differs in an uninterrupted run too, in which as much time passes
            at the same point.
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


def count_verdicts(judgements: Iterable[Judgement]) -> dict[str, int]:
    """Return how many judgements have each verdict."""
    counts = Counter(str(judgement.verdict) for judgement in judgements)
    return {str(verdict): counts[str(verdict)] for verdict in Verdict}
