"""The words of the lab as frozen values: what is seen of a trial, and what is found. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Self

from resumectl.errors import Refusal

# The plan of an uninterrupted run: of the program of the first life, and of the later ones'.
BASELINE, LATER_BASELINE = "", "later"
# How the plan of an uninterrupted run begins in which time passes where a trial's process dies.
TIME_CONTROL = "time passes "

# Of a stored observation; a checker of another version refuses it.
SCHEMA_VERSION = 4


class Verdict(StrEnum):
    """What a trial proves."""

    KEPT = "KEPT"
    BROKEN = "BROKEN"
    UNSTABLE = "UNSTABLE"  # a promise was broken, and was not in each repetition of the trial
    VOID = "VOID"  # nothing: the crash never landed, or the lab itself failed


class Promise(StrEnum):
    """How often something happens, whatever dies."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"

    @classmethod
    def named(cls, text: str, *, of: str) -> Self:
        """Read a promise, also as it is spelled in Python: `exactly_once`.

        Args:
            text: What is promised.
            of: Which effect, for the error.

        Raises:
            Refusal: It is none.
        """
        try:
            return cls(text.replace("_", "-"))
        except (ValueError, AttributeError):
            raise Refusal(
                f"{text!r}, promised of {of}, is none of {', '.join(cls)}",
                next_step=f"as in  {of}={cls.EXACTLY_ONCE}",
            ) from None


class Kind(StrEnum):
    """What a finding is of."""

    LOST = "lost"
    DUPLICATED = "duplicated"
    DIVERGED = "diverged"
    STUCK = "stuck"
    FAILED = "failed"
    UNEXPECTED = "unexpected"
    RERUN = "rerun"


@dataclass(frozen=True, slots=True)
class LifeSeen:
    """One life: what it recorded, how it ended, and what it left in the database."""

    events: Sequence[Mapping[str, Any]]
    ending: str
    signal: int | None
    exit_status: int | None
    in_time: bool
    left: Mapping[str, Any]  # workflows and steps, read before anything else touched them

    @property
    def struck(self) -> str | None:
        """The death note."""
        return next((e["at"] for e in self.events if e["kind"] == "struck"), None)

    @property
    def failure(self) -> str | None:
        """Why the scenario could not be run."""
        return next((e["error"] for e in self.events if e["kind"] in ("failed", "refused")), None)

    @property
    def is_stranded(self) -> bool:
        """Whether it ended because nothing in it could go on, with what was left or with itself."""
        return self.last("stranded") is not None or self.last("stalled") is not None

    @property
    def has_settled(self) -> bool:
        """Whether it ended by itself, in time, with all of its workflows ended."""
        return self.in_time and not self.is_stranded

    @property
    def digest(self) -> str | None:
        """Of the scenario's file, as this life loaded it; None if it died before that."""
        launch = self.last("launch")
        return launch["digest"] if launch else None

    def last(self, kind: str) -> Mapping[str, Any] | None:
        """The last event of a kind."""
        return next((e for e in reversed(self.events) if e["kind"] == kind), None)

    def logged_of(self, workflow_id: str) -> str:
        """The last error that DBOS logged of a workflow; empty if it logged none."""
        errors = [each["text"] for each in self.events if each["kind"] == "logged"]
        return next((text for text in reversed(errors) if workflow_id in text), "")


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that could be seen of one trial, from outside."""

    plan: str
    lives: Sequence[LifeSeen]
    seconds: float
    attempts: int = 1  # runs until a process was killed as the plan says; the last one is this
    # By service, of runs before this one of which nothing else is kept.
    discarded_contacts: Mapping[str, int] = field(default_factory=dict)

    @property
    def contacts(self) -> Counter[str]:
        """How often services on this machine were contacted, as in `127.0.0.1:4242 connections`."""
        own = (
            f"{event['service']} {event['how']}"
            for life in self.lives
            for event in life.events
            if event["kind"] == "contacted"
        )
        return Counter(own) + Counter(self.discarded_contacts)

    @property
    def deaths(self) -> int:
        """How many of its blows fell."""
        return sum(life.struck is not None for life in self.lives)

    @property
    def final(self) -> LifeSeen:
        """The last life."""
        return self.lives[-1]

    @property
    def digest(self) -> str | None:
        """Of the scenario's file, in the first life."""
        return self.lives[0].digest

    def as_plain(self) -> dict[str, Any]:
        """Itself, for JSON."""
        return {
            "schema": SCHEMA_VERSION,
            "plan": self.plan,
            "seconds": round(self.seconds, 4),
            "attempts": self.attempts,
            "discarded_contacts": dict(self.discarded_contacts),
            "lives": [
                {
                    "events": list(life.events),
                    "ending": life.ending,
                    "signal": life.signal,
                    "exit_status": life.exit_status,
                    "in_time": life.in_time,
                    "left": life.left,
                }
                for life in self.lives
            ],
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Observation":
        """Read it back.

        Raises:
            ValueError: It was stored by another version of resumectl.
        """
        if values["schema"] != SCHEMA_VERSION:
            raise ValueError(f"an observation of schema {values['schema']}, not {SCHEMA_VERSION}")
        lives = [LifeSeen(**life) for life in values["lives"]]
        return cls(
            values["plan"],
            lives,
            values["seconds"],
            values["attempts"],
            values["discarded_contacts"],
        )


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One difference that a promise forbids."""

    kind: Kind
    subject: str  # a workflow, a step, an effect
    evidence: str


@dataclass(frozen=True, slots=True, order=True)
class Exposure:
    """A repetition that the promise allows, and the user should know of."""

    effect: str
    times: int
    payload_differs: bool = False
    note: str = ""  # what else is to be known of it


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a checker makes of one observation."""

    plan: str
    verdict: Verdict
    findings: Sequence[Finding] = ()
    exposures: Sequence[Exposure] = ()
    why_void: str = ""
    deaths: int = 0  # how many of its blows fell
    # What its first life had recorded otherwise than uninterrupted runs, before it died: the trial
    # is not compared with these.
    by_chance: Sequence[str] = ()
    attempts: int = 1
    contacts: Mapping[str, int] = field(default_factory=dict)  # see `Observation.contacts`
    # What differs in an uninterrupted run as well in which as much time passes at the same point.
    by_time: Sequence[str] = ()

    def as_plain(self) -> dict[str, Any]:
        """Itself, for JSON."""
        return {
            "plan": self.plan,
            "verdict": str(self.verdict),
            "findings": [[str(f.kind), f.subject, f.evidence] for f in self.findings],
            "exposures": [[e.effect, e.times, e.payload_differs, e.note] for e in self.exposures],
            "why_void": self.why_void,
            "deaths": self.deaths,
            "by_chance": list(self.by_chance),
            "attempts": self.attempts,
            "contacts": dict(self.contacts),
            "by_time": list(self.by_time),
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> "Judgement":
        """Read it back."""
        return cls(
            **{
                **values,
                "verdict": Verdict(values["verdict"]),
                "findings": tuple(Finding(Kind(k), *rest) for k, *rest in values["findings"]),
                "exposures": tuple(Exposure(*each) for each in values["exposures"]),
                "by_chance": tuple(values["by_chance"]),
                "by_time": tuple(values["by_time"]),
            }
        )
