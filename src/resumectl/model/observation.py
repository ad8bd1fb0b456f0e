"""Define the observation of a trial: events, exits and snapshots of its processes."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from resumectl.model.codec import Plain, SchemaError, from_plain, to_plain
from resumectl.model.crash_plan import Crash, Edge, KillMethod, Matches
from resumectl.model.events import (
    EVENT_SCHEMA,
    AccessRefused,
    BecameQuiet,
    Committed,
    CrashPointReached,
    ErrorLogged,
    Event,
    LaunchStarted,
    ServiceContacted,
    Stalled,
    StepEnded,
    StepStarted,
    Stranded,
    TargetFailed,
)
from resumectl.model.process_exit import ProcessExit
from resumectl.model.snapshot import Snapshot

# Plan of an uninterrupted run of the first process's program, and of the later processes' program.
BASELINE, LATER_BASELINE = "", "later"
# Plan prefix of an uninterrupted run in which time passes at a crash point of a trial.
TIME_CONTROL = "time passes "

# Plan prefix of a trial whose client asks again, although its request fixes no id.
CLIENT_RETRIES = "client retries "

E = TypeVar("E")


@dataclass(frozen=True, slots=True)
class ProcessRecord:
    """Record of one process: its events, its exit, and the rows that it left in the database.

    Attributes:
        events: Its events, in their order.
        unreadable: Reason why its events cannot be read; empty if they can.
        exit: Its exit, as the kernel reports it.
        snapshot: Rows of the database, read before another process used it.
    """

    events: tuple[Event, ...]
    unreadable: str
    exit: ProcessExit
    snapshot: Snapshot

    def all(self, kind: type[E]) -> Iterator[E]:
        """Yield the events of a kind, in their order.

        Args:
            kind: Class of the events.
        """
        return (event for event in self.events if isinstance(event, kind))

    def last(self, kind: type[E]) -> E | None:
        """Return the last event of a kind; None if there is none.

        Args:
            kind: Class of the event.
        """
        return next((event for event in reversed(self.events) if isinstance(event, kind)), None)

    @property
    def reached(self) -> str | None:
        """Crash point at which it was killed; None if it reached none."""
        event = self.last(CrashPointReached)
        return event.crash_point if event else None

    @property
    def failure(self) -> str | None:
        """Error because of which the target could not be run; None if it ran."""
        if self.unreadable:
            return f"its events cannot be read: {self.unreadable}"
        refused, failed = self.last(AccessRefused), self.last(TargetFailed)
        if refused is not None:
            return refused.error
        return failed.error.summary if failed is not None else None

    @property
    def is_stranded(self) -> bool:
        """Whether it was ended because it could do no more for its workflows."""
        return self.last(Stranded) is not None or self.last(Stalled) is not None

    @property
    def has_settled(self) -> bool:
        """Whether it exited within its time limit, and was not ended because it could do no more."""
        return self.exit.in_time and not self.is_stranded

    @property
    def last_commit(self) -> str | None:
        """Crash point after the last transition that it committed; None if it committed none."""
        names = [fact.name for commit in self.all(Committed) for fact in commit.facts]
        return str(Crash(Edge.AFTER, Matches(names[-1], names.count(names[-1])))) if names else None

    @property
    def running_step(self) -> str:
        """Step whose body began last and did not end, with its site; empty if there is none."""
        ended = {(event.step, event.site) for event in self.all(StepEnded)}
        running = [e for e in self.all(StepStarted) if (e.step, e.site) not in ended]
        return f"{running[-1].step}, {running[-1].site}" if running else ""

    @property
    def has_failed(self) -> bool:
        """Whether the program ended it: it failed, or exited before its work.

        A SIGKILL comes from outside, for example where memory is short, and a refused access or an
        unreadable event is no failure of the program.
        """
        if (
            self.unreadable
            or self.last(AccessRefused) is not None
            or self.exit.is_by(KillMethod.KILL)
        ):
            return False
        is_early = self.has_settled and self.last(BecameQuiet) is None
        return is_early or self.last(TargetFailed) is not None

    @property
    def digest(self) -> str | None:
        """Digest of the target's file that this process loaded; None if it ended before."""
        launch = self.last(LaunchStarted)
        return launch.digest if launch else None

    def logged_of(self, workflow_id: str) -> str:
        """Return the last error that DBOS logged about a workflow; empty if it logged none."""
        texts = [event.text for event in self.all(ErrorLogged)]
        return next((text for text in reversed(texts) if workflow_id in text), "")


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything that was observed in one trial.

    Attributes:
        plan: Crash plan; for another run than a trial, what it is, such as `BASELINE`.
        processes: Its processes, in their order.
        seconds: Duration of the trial, in seconds.
        attempts: Number of runs until the crash point was reached, including this one.
        discarded_contacts: Service to the number of its contacts in discarded runs.
    """

    plan: str
    processes: tuple[ProcessRecord, ...]
    seconds: float
    attempts: int
    discarded_contacts: Mapping[str, int]

    def all(self, kind: type[E]) -> Iterator[E]:
        """Yield the events of a kind, of all processes, in their order.

        Args:
            kind: Class of the events.
        """
        return (event for process in self.processes for event in process.all(kind))

    @property
    def contacts(self) -> Counter[str]:
        """Service, such as `127.0.0.1:4242 connections`, to how often it was contacted."""
        own = (f"{event.service} {event.how}" for event in self.all(ServiceContacted))
        return Counter(own) + Counter(self.discarded_contacts)

    @property
    def crashes_reached(self) -> int:
        """Number of processes that reached their crash point."""
        return sum(process.reached is not None for process in self.processes)

    @property
    def final(self) -> ProcessRecord:
        """The last process."""
        return self.processes[-1]

    @property
    def digest(self) -> str | None:
        """Digest of the target's file, in the first process."""
        return self.processes[0].digest

    def as_plain(self) -> dict[str, Plain]:
        """Encode the observation as plain data, with its schema."""
        return {"schema": EVENT_SCHEMA, **to_plain(self)}


def observation_from_plain(plain: Mapping[str, Plain]) -> Observation:
    """Decode a stored observation.

    Args:
        plain: Result of `Observation.as_plain`.

    Raises:
        SchemaError: The observation has another schema, or is damaged.
    """
    schema, *rest = plain.get("schema"), {k: v for k, v in plain.items() if k != "schema"}
    if schema != EVENT_SCHEMA:
        raise SchemaError(
            f"an observation of schema {schema}, and this resumectl reads {EVENT_SCHEMA}"
        )
    return from_plain(Observation, rest[0])
