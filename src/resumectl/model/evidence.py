"""Define the evidence of findings and exposures as data; `report` writes the sentences.

Values of the program are shortened texts. "usual" values are those of uninterrupted runs.
"""

from dataclasses import dataclass
from typing import ClassVar

from resumectl.model.text_enum import TextEnum


class Occurrence(TextEnum):
    """Kind of a counted thing: an effect, an execution of a step's body, a write of a workflow's body."""

    EFFECT = "effect"
    EXECUTION = "execution"
    WRITE = "write"


# --- failed


@dataclass(frozen=True, slots=True)
class EndedOtherwise:
    """A workflow ended with another status. `error`: its error; may be empty."""

    KIND: ClassVar[str] = "ended-otherwise"
    status: str
    usual: str
    error: str


@dataclass(frozen=True, slots=True)
class ProcessEnded:
    """A process that was not to be killed ended before its work; no uninterrupted run does.

    Attributes:
        how: Its exit, or the error with which it failed.
        during: Step whose body it ran last; empty if none was running.
    """

    KIND: ClassVar[str] = "process-ended"
    how: str
    during: str


# --- diverged


@dataclass(frozen=True, slots=True)
class CannotObserve:
    """The Scenario's `observe` or `effects` fails."""

    KIND: ClassVar[str] = "cannot-observe"
    error: str


@dataclass(frozen=True, slots=True)
class OtherValue:
    """Something has another value. `what`: the different part, such as `output`; may be empty."""

    KIND: ClassVar[str] = "other-value"
    what: str
    value: str
    usual: str


@dataclass(frozen=True, slots=True)
class OtherArguments:
    """A step was called, or a statement executed, with other values.

    Attributes:
        is_statement: Whether it is a statement of a workflow's body, rather than a step.
        given: The other values.
        usual: The values of uninterrupted runs.
    """

    KIND: ClassVar[str] = "other-arguments"
    is_statement: bool
    given: str
    usual: str


@dataclass(frozen=True, slots=True)
class OtherPath:
    """A workflow continues with another step, although all steps before it returned the same.

    An empty name: the workflow ends.
    """

    KIND: ClassVar[str] = "other-path"
    step: str
    usual: str


@dataclass(frozen=True, slots=True)
class OtherArgumentsAfterCrash:
    """A step was called with other arguments after a crash, although all steps before it returned the same.

    The values are left out: they differ in every trial, and `replay` shows them.

    Attributes:
        process: Number of the process.
        earlier_process: Number of the process before it.
    """

    KIND: ClassVar[str] = "other-arguments-after-crash"
    process: int
    earlier_process: int


@dataclass(frozen=True, slots=True)
class RecordChanged:
    """A record has changed since the crash. `what`: the changed part."""

    KIND: ClassVar[str] = "record-changed"
    what: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class NeverCalled:
    """A step was recorded, and after the crash the workflow ended without calling it."""

    KIND: ClassVar[str] = "never-called"
    step: str


@dataclass(frozen=True, slots=True)
class BrokenLink:
    """Two things share a generated value in uninterrupted runs, but not here. `other`: the second."""

    KIND: ClassVar[str] = "broken-link"
    other: str


# --- lost


@dataclass(frozen=True, slots=True)
class Missing:
    """Something is missing that every uninterrupted run has."""

    KIND: ClassVar[str] = "missing"


@dataclass(frozen=True, slots=True)
class TooFew:
    """Something happened less often. `promise`: its promise; empty if it has none."""

    KIND: ClassVar[str] = "too-few"
    occurrence: Occurrence
    times: int
    usual: int
    promise: str


@dataclass(frozen=True, slots=True)
class TooFewInWorkflow:
    """A workflow ran a step less often, counted by name."""

    KIND: ClassVar[str] = "too-few-in-workflow"
    times: int
    usual: int


@dataclass(frozen=True, slots=True)
class CutOff:
    """The crash interrupted a step, and it did not run again."""

    KIND: ClassVar[str] = "cut-off"


@dataclass(frozen=True, slots=True)
class RecordLost:
    """A record that existed at the crash is gone."""

    KIND: ClassVar[str] = "record-lost"


# --- duplicated


@dataclass(frozen=True, slots=True)
class TooMany:
    """Something happened more often than promised.

    Attributes:
        occurrence: Kind of the counted thing.
        times: Number of times that it happened.
        usual: Number of times that it happens in uninterrupted runs.
        promise: Its promise.
        payload_differs: Whether it happened with different arguments.
        is_outside_step: Whether the promise is strict because it happened outside of any step.
    """

    KIND: ClassVar[str] = "too-many"
    occurrence: Occurrence
    times: int
    usual: int
    promise: str
    payload_differs: bool
    is_outside_step: bool


@dataclass(frozen=True, slots=True)
class TooManyInWorkflow:
    """A workflow ran a step more often than promised, counted by name."""

    KIND: ClassVar[str] = "too-many-in-workflow"
    times: int
    usual: int
    promise: str


@dataclass(frozen=True, slots=True)
class TooManyInProcess:
    """A step ran more often within one process: the workflow was executed twice at the same time."""

    KIND: ClassVar[str] = "too-many-in-process"
    times: int
    usual: int
    process: int


@dataclass(frozen=True, slots=True)
class TooManyRecords:
    """A workflow recorded a step more often."""

    KIND: ClassVar[str] = "too-many-records"
    times: int
    usual: int


@dataclass(frozen=True, slots=True)
class CommittedAgain:
    """A transition that becomes true once was committed more often."""

    KIND: ClassVar[str] = "committed-again"
    times: int


# --- unexpected


@dataclass(frozen=True, slots=True)
class NotInBaseline:
    """Something exists that no uninterrupted run has."""

    KIND: ClassVar[str] = "not-in-baseline"


@dataclass(frozen=True, slots=True)
class NeverInBaseline:
    """An effect happened that never happens in uninterrupted runs."""

    KIND: ClassVar[str] = "never-in-baseline"
    times: int


# --- rerun


@dataclass(frozen=True, slots=True)
class RanAgain:
    """A step was recorded before the crash, and ran again. `process`: number of the process."""

    KIND: ClassVar[str] = "ran-again"
    process: int


@dataclass(frozen=True, slots=True)
class NeverRecorded:
    """A step ran in several processes, and DBOS has no record of it."""

    KIND: ClassVar[str] = "never-recorded"
    processes: tuple[int, ...]


# --- stuck


@dataclass(frozen=True, slots=True)
class WorkflowStuck:
    """A workflow has not ended, and its process can do no more.

    Attributes:
        status: Status of the workflow.
        executor: Executor id of the workflow.
        queue: Queue of the workflow; empty for none.
        version: Application version of the workflow; empty unless the process has another one.
        process_version: Application version of the process; empty unless the workflow has another one.
        process_executor: Executor id of the process; empty unless it prevents the recovery.
        is_time_up: Whether the process was ended at its time limit.
        deleted_children: Deleted workflows that it has started.
        logged: Last error that DBOS logged about it; may be empty.
        waiting: Other workflows that wait for it.
    """

    KIND: ClassVar[str] = "workflow-stuck"
    status: str
    executor: str
    queue: str
    version: str
    process_version: str
    process_executor: str
    is_time_up: bool
    deleted_children: tuple[str, ...]
    logged: str
    waiting: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NoAnswer:
    """All workflows have ended, and the request has not returned."""

    KIND: ClassVar[str] = "no-answer"


@dataclass(frozen=True, slots=True)
class OtherDatabase:
    """The program sets another system database in each process; empty for none."""

    KIND: ClassVar[str] = "other-database"
    before: str
    after: str


Evidence = (
    EndedOtherwise
    | ProcessEnded
    | CannotObserve
    | OtherValue
    | OtherArguments
    | OtherPath
    | OtherArgumentsAfterCrash
    | RecordChanged
    | NeverCalled
    | BrokenLink
    | Missing
    | TooFew
    | TooFewInWorkflow
    | CutOff
    | RecordLost
    | TooMany
    | TooManyInWorkflow
    | TooManyInProcess
    | TooManyRecords
    | CommittedAgain
    | NotInBaseline
    | NeverInBaseline
    | RanAgain
    | NeverRecorded
    | WorkflowStuck
    | NoAnswer
    | OtherDatabase
)


# --- notes of exposures


@dataclass(frozen=True, slots=True)
class RowsNotCompared:
    """Rows of the table are compared only where a Scenario's `observe` returns them."""

    KIND: ClassVar[str] = "rows-not-compared"


@dataclass(frozen=True, slots=True)
class BehindOtherAnswer:
    """The step ran behind a step that returned another result, and in no uninterrupted run."""

    KIND: ClassVar[str] = "behind-other-answer"


@dataclass(frozen=True, slots=True)
class StartedByImport:
    """The import of the program starts one more workflow in each process, under another id."""

    KIND: ClassVar[str] = "started-by-import"


@dataclass(frozen=True, slots=True)
class TimedOut:
    """DBOS cancelled the workflow: its timeout passed while no process was up."""

    KIND: ClassVar[str] = "timed-out"


@dataclass(frozen=True, slots=True)
class AnsweredOtherwise:
    """The step was interrupted, and returned another result when it ran again."""

    KIND: ClassVar[str] = "answered-otherwise"
    answer: str
    usual: str


@dataclass(frozen=True, slots=True)
class NeverStarted:
    """The client gave up before it had started the workflow."""

    KIND: ClassVar[str] = "never-started"


@dataclass(frozen=True, slots=True)
class StartedByRetry:
    """A client that asks again starts more workflows, since its request fixes no id.

    Attributes:
        workflows: Names of the further workflows.
        steps: Steps that run in them.
        effects: Effects that then happen more often.
    """

    KIND: ClassVar[str] = "started-by-retry"
    workflows: tuple[str, ...]
    steps: tuple[str, ...]
    effects: tuple[str, ...]


Note = (
    RowsNotCompared
    | BehindOtherAnswer
    | StartedByImport
    | TimedOut
    | AnsweredOtherwise
    | NeverStarted
    | StartedByRetry
)
