"""Define the events that a target process records: one frozen dataclass for each kind.

The target process writes each event as a line of JSON, and the runner reads it. `EVENT_SCHEMA` is the
version of everything that is recorded or stored: an observation of another version is not judged.
`at_us` is the time of an event, in microseconds of the machine's monotonic clock.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

from resumectl.model.codec import Plain
from resumectl.model.target_error import CodeLine, SetupCode, TargetError
from resumectl.model.text_enum import TextEnum

EVENT_SCHEMA = 11


class Phase(TextEnum):
    """Phase of a target process's run."""

    IMPORT = "import"
    PREPARE = "prepare"
    LAUNCH = "launch"
    AFTER_LAUNCH = "after-launch"
    REQUEST = "request"


@dataclass(frozen=True, slots=True)
class Site:
    """Location in the program where something happens.

    Attributes:
        workflow: Id of the workflow; None outside of any.
        step_number: Number of the step; None outside of any step.
        begun_in: Id of the workflow whose body started this thread; None for none.
    """

    workflow: str | None
    step_number: int | None
    begun_in: str | None

    @property
    def is_in_step(self) -> bool:
        """Whether this is inside a step of a workflow."""
        return self.workflow is not None and self.step_number is not None

    def __str__(self) -> str:
        if self.workflow is None:
            return f"a thread of {self.begun_in}" if self.begun_in else "outside of any workflow"
        if self.step_number is None:
            return f"{self.workflow}, outside of any step"
        return f"{self.workflow}/step-{self.step_number}"


@dataclass(frozen=True, slots=True)
class Argument:
    """One argument of a step's body.

    Attributes:
        text: The argument as text; a keyword argument as `name=value`.
        is_opaque: Whether it holds an object whose text differs between processes.
        without_times: The text without possible times, in one or more variants.
    """

    text: str
    is_opaque: bool
    without_times: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PhaseStarted:
    """A phase of the run begins."""

    KIND: ClassVar[str] = "phase-started"
    at_us: int
    phase: Phase


@dataclass(frozen=True, slots=True)
class StartedWorkflow:
    """A workflow that the import of the program has started."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class TargetImported:
    """The program is imported. `started`: workflows that its import has started."""

    KIND: ClassVar[str] = "target-imported"
    at_us: int
    started: tuple[StartedWorkflow, ...]


@dataclass(frozen=True, slots=True)
class LaunchStarted:
    """DBOS is about to be launched.

    Attributes:
        promises: Promises of the Scenario, by name.
        digest: Digest of the target's file; empty if it has none.
    """

    KIND: ClassVar[str] = "launch-started"
    at_us: int
    promises: Mapping[str, str]
    digest: str


@dataclass(frozen=True, slots=True)
class Launched:
    """DBOS is launched.

    Attributes:
        app_version: Application version of the process.
        is_version_computed: Whether DBOS computed it from the sources of the workflows.
        executor_id: Executor id of the process.
        clock_ms: Time of the process's clock, in milliseconds since the epoch.
        replaced_settings: Names of the program's DBOS settings that the trial replaces.
        database: System database that the program itself sets; empty if it sets none.
    """

    KIND: ClassVar[str] = "launched"
    at_us: int
    app_version: str
    is_version_computed: bool
    executor_id: str
    clock_ms: int
    replaced_settings: tuple[str, ...]
    database: str


@dataclass(frozen=True, slots=True)
class RequestStarted:
    """The client makes its request."""

    KIND: ClassVar[str] = "request-started"
    at_us: int


@dataclass(frozen=True, slots=True)
class ClientGaveUp:
    """The client makes no request in this process: an earlier process has accepted a workflow of it."""

    KIND: ClassVar[str] = "client-gave-up"
    at_us: int


@dataclass(frozen=True, slots=True)
class ClientStarted:
    """The client's request has started a workflow.

    Attributes:
        workflow: Id of the workflow.
        function: Name of the workflow function, as DBOS stores it.
        is_id_generated: Whether the id is a random UUID, as DBOS makes it for a workflow without an id.
        arguments: Text by which later runs recognize its arguments.
        turn: Place among the starts that the main thread makes, or hands to another thread; None for a
            start that another thread decides on.
    """

    KIND: ClassVar[str] = "client-started"
    at_us: int
    workflow: str
    function: str
    is_id_generated: bool
    arguments: str
    turn: int | None


@dataclass(frozen=True, slots=True)
class RequestEnded:
    """The client's request has returned, or failed.

    Attributes:
        value: Returned value.
        error: Error; None if it succeeded.
    """

    KIND: ClassVar[str] = "request-ended"
    at_us: int
    value: Plain
    error: TargetError | None


@dataclass(frozen=True, slots=True)
class BecameQuiet:
    """All workflows have ended.

    Attributes:
        still_running: Number of the program's threads and tasks that still run.
        has_own_concurrency: Whether a step or a body had two threads, jobs or tasks at once.
    """

    KIND: ClassVar[str] = "became-quiet"
    at_us: int
    still_running: int
    has_own_concurrency: bool


@dataclass(frozen=True, slots=True)
class LibrariesImported:
    """The libraries that the program has imported, in the order of their import."""

    KIND: ClassVar[str] = "libraries-imported"
    at_us: int
    modules: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """Where the body of a step is defined.

    Attributes:
        step: Name of the step.
        file: Path of the file.
        line: Number of its first line after the decorators, from 1; 0 if it is not known.
        digest: SHA-256 digest of its text; empty if the text is not known.
    """

    step: str
    file: str
    line: int
    digest: str


@dataclass(frozen=True, slots=True)
class ProgramDescribed:
    """The files that the program consists of, without libraries, and the steps that they define.

    Attributes:
        sources: Path of each imported file to the SHA-256 digest of its text.
        steps: Steps of the program.
    """

    KIND: ClassVar[str] = "program-described"
    at_us: int
    sources: Mapping[str, str]
    steps: tuple[StepDefinition, ...]


@dataclass(frozen=True, slots=True)
class OutsideObserved:
    """The Scenario's `observe` has returned or failed.

    Attributes:
        value: Returned value.
        error: Error; None if it succeeded.
    """

    KIND: ClassVar[str] = "outside-observed"
    at_us: int
    value: Plain
    error: str | None


@dataclass(frozen=True, slots=True)
class EffectsCounted:
    """The Scenario's `effects` has returned or failed.

    Attributes:
        counts: Effect to its identifying text to how often it happened.
        error: Error; None if it succeeded.
    """

    KIND: ClassVar[str] = "effects-counted"
    at_us: int
    counts: Mapping[str, Mapping[str, int]]
    error: str | None


@dataclass(frozen=True, slots=True)
class CommittedFact:
    """One transition that a commit made durable.

    Attributes:
        name: Name of the transition, such as `alpha-1-7/step-1`.
        detail: Name of the step or queue, or topic of the message, for people; may be empty.
    """

    name: str
    detail: str


@dataclass(frozen=True, slots=True)
class BodyInsert:
    """Write by a workflow's body, outside of any step, that adds something each time.

    Attributes:
        fact: Name of the transition.
        workflow: Id of the workflow.
    """

    fact: str
    workflow: str


@dataclass(frozen=True, slots=True)
class BodyUpdate:
    """Write by a workflow's body, outside of any step, that may be repeated.

    Attributes:
        fact: Name of the transition.
        workflow: Id of the workflow.
        values: Parameters and text of the statement.
    """

    fact: str
    workflow: str
    values: str


@dataclass(frozen=True, slots=True)
class Committed:
    """A transaction is committed.

    Attributes:
        facts: Transitions that the transaction made durable.
        inserts: Writes of workflow bodies that add something each time.
        updates: Other writes of workflow bodies.
    """

    KIND: ClassVar[str] = "committed"
    at_us: int
    facts: tuple[CommittedFact, ...]
    inserts: tuple[BodyInsert, ...]
    updates: tuple[BodyUpdate, ...]


@dataclass(frozen=True, slots=True)
class SentMessage:
    """A message to a workflow.

    Attributes:
        destination: Id of the workflow.
        content: The message, serialized.
    """

    destination: str
    content: str


@dataclass(frozen=True, slots=True)
class MessagesSent:
    """A workflow's step has sent messages.

    Attributes:
        workflow: Id of the sender.
        step_number: Number of its step.
        messages: The messages.
    """

    KIND: ClassVar[str] = "messages-sent"
    at_us: int
    workflow: str
    step_number: int
    messages: tuple[SentMessage, ...]


@dataclass(frozen=True, slots=True)
class WorkflowRaised:
    """A workflow has failed."""

    KIND: ClassVar[str] = "workflow-raised"
    at_us: int
    workflow: str
    error: TargetError


@dataclass(frozen=True, slots=True)
class CrashPointReached:
    """The process is about to be killed. `crash_point`: such as `after:alpha-1-7/step-1`."""

    KIND: ClassVar[str] = "crash-point-reached"
    at_us: int
    crash_point: str


@dataclass(frozen=True, slots=True)
class ControlReached:
    """An uninterrupted run pauses. `crash_point`: such as `after:alpha-1-7/step-1`."""

    KIND: ClassVar[str] = "control-reached"
    at_us: int
    crash_point: str


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step's body begins to run.

    Attributes:
        step: Name of the step.
        site: Location of the step.
        is_transaction: Whether it is a datasource's transaction.
        is_retry: Whether DBOS retries it in this process after a failure.
        arguments: Arguments of the body.
    """

    KIND: ClassVar[str] = "step-started"
    at_us: int
    step: str
    site: Site
    is_transaction: bool
    is_retry: bool
    arguments: tuple[Argument, ...]


@dataclass(frozen=True, slots=True)
class StepEnded:
    """A step's body has returned, or failed.

    Attributes:
        step: Name of the step.
        site: Location of the step.
        is_transaction: Whether it is a datasource's transaction.
    """

    KIND: ClassVar[str] = "step-ended"
    at_us: int
    step: str
    site: Site
    is_transaction: bool


@dataclass(frozen=True, slots=True)
class StepReplayed:
    """DBOS answers a step from its record.

    Attributes:
        step: Name of the step that the body calls.
        site: Location of the step.
        recorded: Name of the recorded step; DBOS refuses to continue if the two names differ.
    """

    KIND: ClassVar[str] = "step-replayed"
    at_us: int
    step: str
    site: Site
    recorded: str

    @property
    def is_refused(self) -> bool:
        """Whether DBOS refuses to continue because another step is recorded."""
        return self.recorded != self.step


@dataclass(frozen=True, slots=True)
class EffectHappened:
    """The program called `effect`.

    Attributes:
        name: Name of the effect.
        site: Location of the step.
        about: Values that identify one effect, as text.
    """

    KIND: ClassVar[str] = "effect-happened"
    at_us: int
    name: str
    site: Site
    about: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ErrorLogged:
    """DBOS has logged an error."""

    KIND: ClassVar[str] = "error-logged"
    at_us: int
    text: str


@dataclass(frozen=True, slots=True)
class ServiceContacted:
    """The program uses a service on this machine.

    Attributes:
        service: `HOST:PORT`, or the path of a socket.
        how: `connections` or `datagrams`.
    """

    KIND: ClassVar[str] = "service-contacted"
    at_us: int
    service: str
    how: str


@dataclass(frozen=True, slots=True)
class AccessRefused:
    """The program accessed something outside its sandbox, and the process is ended.

    Attributes:
        error: Description of the access.
        next_step: Option or command that the user can type next.
    """

    KIND: ClassVar[str] = "access-refused"
    at_us: int
    error: str
    next_step: str


@dataclass(frozen=True, slots=True)
class UnregisteredQueue:
    """A workflow waits on a queue that no process registers.

    Attributes:
        workflow: Id of the workflow.
        queue: Name of the queue.
        setup: Code of the program that registers it; None if none was found.
    """

    workflow: str
    queue: str
    setup: SetupCode | None


@dataclass(frozen=True, slots=True)
class Stranded:
    """This process can do no more for its workflows, and is ended.

    Attributes:
        workflows: Ids of the workflows that the process will never execute.
        unregistered: Those of the workflows that wait on an unregistered queue.
    """

    KIND: ClassVar[str] = "stranded"
    at_us: int
    workflows: tuple[str, ...]
    unregistered: tuple[UnregisteredQueue, ...]


@dataclass(frozen=True, slots=True)
class Stalled:
    """The program does not reach the launch of DBOS, and the process is ended.

    Attributes:
        is_serving: Whether it serves requests; else it hangs at one line.
        where: Line of the user's code; None if there is none.
    """

    KIND: ClassVar[str] = "stalled"
    at_us: int
    is_serving: bool
    where: CodeLine | None


@dataclass(frozen=True, slots=True)
class TimeRunsOut:
    """The run is still going on shortly before its time limit.

    Attributes:
        where: Line of the user's code that the main thread executes; None if there is none.
        others: Lines of the user's code that other threads execute.
    """

    KIND: ClassVar[str] = "time-runs-out"
    at_us: int
    where: CodeLine | None
    others: tuple[CodeLine, ...]


@dataclass(frozen=True, slots=True)
class TargetFailed:
    """The target could not be run."""

    KIND: ClassVar[str] = "target-failed"
    at_us: int
    error: TargetError


Event = (
    PhaseStarted
    | TargetImported
    | LaunchStarted
    | Launched
    | RequestStarted
    | ClientGaveUp
    | ClientStarted
    | RequestEnded
    | BecameQuiet
    | LibrariesImported
    | ProgramDescribed
    | OutsideObserved
    | EffectsCounted
    | Committed
    | MessagesSent
    | WorkflowRaised
    | CrashPointReached
    | ControlReached
    | StepStarted
    | StepEnded
    | StepReplayed
    | EffectHappened
    | ErrorLogged
    | ServiceContacted
    | AccessRefused
    | Stranded
    | Stalled
    | TimeRunsOut
    | TargetFailed
)
EVENTS = get_args(Event)


def now_us() -> int:
    """Return the time for `at_us`, in microseconds of the machine's monotonic clock."""
    return time.monotonic_ns() // 1000
