"""Define the orders, requests and replies between resumectl and its processes.

The runner and a fork server exchange lines of JSON on a socket: the runner sends a `Request`, and the
fork server sends a `Reply` with the same number. It passes a `ProcessOrder` to each of its children.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar, get_args

from resumectl.model.crash_plan import CrashPlan
from resumectl.model.events import ClientStarted
from resumectl.model.schedule import Schedule
from resumectl.model.target import Access, Target
from resumectl.model.workflow_names import WorkflowNames

# Directory inside a sandbox for the program's temporary files.
TEMPORARY_DIRECTORY = ".tmp"
# PYTHONHASHSEED of the first process and of the next one: the order of a set after a restart is a
# classic cause of divergence.
HASH_SEEDS = (1, 2)
# Environment variable that holds the `ContainmentOrder` of a user's command.
CONTAINMENT_VARIABLE = "RESUMECTL_CONTAINMENT"


@dataclass(frozen=True, slots=True)
class Control:
    """A pause in an uninterrupted run, in place of a kill.

    Args:
        at: Crash point of the pause, in the form of a crash plan.
        pause_s: Duration of the pause, in seconds.
        jump_s: Time by which the clock is set ahead at the pause, in seconds.
    """

    at: str
    pause_s: float
    jump_s: float

    @classmethod
    def at_first_crash(cls, plan: str, pause_s: float) -> "Control":
        """Return a pause at the first crash point of a plan, without its hold.

        Args:
            plan: Crash plan, as text.
            pause_s: Duration of the pause, in seconds.
        """
        crash = CrashPlan.parse(plan).crashes[0]
        return cls(str(crash.without_hold), pause_s, jump_s=0.0)


@dataclass(frozen=True, slots=True)
class ProcessOrder:
    """Order for one target process.

    Attributes:
        sandbox: Directory of the sandbox.
        database_url: URL of the sandbox's database, with its password.
        event_file: Path of the file to which events are appended.
        target: The program.
        deployed_as: Module or file of the previous release, whose module name this one gets.
        crash: Crash of the process, in the form of a crash plan; None for none.
        cores: Numbers of the cores on which its threads run.
        schedule: Schedule of its threads.
        is_first: Whether no process of this trial precedes it.
        names: Starts of workflows without an id in the first run without a crash.
        starts: Starts of workflows by the client in the earlier processes of this trial.
        has_request: Whether the client makes its request in this process; else it has given up.
        delays_client: Whether the client retries only when the recovery can do no more.
        reports_libraries: Whether to report the libraries that the program has imported.
        patience_s: Time without a commit after which the process checks whether it can do more, in
            seconds.
        clock_ahead_s: Offset of its clock from the machine's, in seconds.
        migrates: Whether DBOS migrates the database at launch, since another release has made it.
        control: Pause of an uninterrupted run; None for none.
        time_limit_s: Maximum duration of the process, in seconds, if it reports what it waits for;
            else None.
    """

    sandbox: str
    database_url: str
    event_file: str
    target: Target
    deployed_as: str | None
    crash: str | None
    cores: tuple[int, ...]
    schedule: Schedule
    is_first: bool
    names: WorkflowNames
    starts: tuple[ClientStarted, ...]
    has_request: bool
    delays_client: bool
    reports_libraries: bool
    patience_s: float
    clock_ahead_s: float
    migrates: bool
    control: Control | None
    time_limit_s: float | None


@dataclass(frozen=True, slots=True)
class ContainmentOrder:
    """Order that keeps a command of the user's inside the sandboxes' template.

    Attributes:
        access: What the command may use outside the sandbox.
        directory: Directory that is copied into each sandbox.
        database_url: URL of the template of the trials' databases, with its password.
        event_file: Path of the file to which a refusal is appended.
    """

    access: Access
    directory: str
    database_url: str
    event_file: str


@dataclass(frozen=True, slots=True)
class CrashAfterOrder:
    """Order for the process of `crash-after`; the database's URL is in its environment.

    Attributes:
        batch_id: Id of the batch to publish.
        plan: Crash plan, as text.
        note_descriptor: Number of the open file descriptor to which the reached crash point is written.
        app_name: Application name.
        app_version: Application version.
        executor_id: Executor id; None for the first unused one.
        dbos_schema: Schema of DBOS's tables, on PostgreSQL.
        concurrency: Maximum number of messages at the same time; None for the default.
        verbose: Whether to log more.
        log_format: Name of the log format.
    """

    batch_id: str
    plan: str
    note_descriptor: int
    app_name: str
    app_version: str
    executor_id: str | None
    dbos_schema: str
    concurrency: int | None
    verbose: bool
    log_format: str


# --- requests to a fork server


@dataclass(frozen=True, slots=True)
class StartProcess:
    """Start a target process; answered by `Started`, then `Exited`."""

    KIND: ClassVar[str] = "start-process"
    number: int
    order: ProcessOrder


@dataclass(frozen=True, slots=True)
class MakeTemplate:
    """Migrate an empty database in a child process; answered by `Started`, then `Exited`.

    Attributes:
        database_url: URL of the database, with its password.
        has_publisher: Whether it gets the publisher's tables.
        error_file: Path of the file to which an error is written.
    """

    KIND: ClassVar[str] = "make-template"
    number: int
    database_url: str
    has_publisher: bool
    error_file: str


@dataclass(frozen=True, slots=True)
class KillProcess:
    """Kill the process that the request of this number has started."""

    KIND: ClassVar[str] = "kill-process"
    number: int


@dataclass(frozen=True, slots=True)
class MeasureSlowness:
    """Measure how slow this machine is; answered by `Measured`."""

    KIND: ClassVar[str] = "measure-slowness"
    number: int


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Run small workflows in the fork server itself, before all others; answered by `WarmedUp`.

    Attributes:
        database_url: URL of a copy of the template, with its password.
        directory: Working directory during the warm-up.
        publisher_queue: Queue of resumectl's publisher, if the publisher runs too; else None.
        migrates: Whether DBOS migrates the database at launch, since another release has made it.
    """

    KIND: ClassVar[str] = "warm-up"
    number: int
    database_url: str
    directory: str
    publisher_queue: str | None
    migrates: bool


@dataclass(frozen=True, slots=True)
class Preload:
    """Import libraries in the fork server itself; answered by `Preloaded`.

    Attributes:
        modules: Full names of the modules.
        environ: Environment variables of the processes that will use them.
    """

    KIND: ClassVar[str] = "preload"
    number: int
    modules: tuple[str, ...]
    environ: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class OwnDatabases:
    """Drop the databases of an owner when the fork server ends; not answered.

    Attributes:
        server_url: URL of a database on the server, with its password.
        owner: Name of the owner.
    """

    KIND: ClassVar[str] = "own-databases"
    server_url: str
    owner: str


Request = (
    StartProcess | MakeTemplate | KillProcess | MeasureSlowness | WarmUp | Preload | OwnDatabases
)
REQUESTS = get_args(Request)
# Requests that a child process carries out.
ChildRequest = StartProcess | MakeTemplate
CHILD_REQUESTS = get_args(ChildRequest)


# --- replies of a fork server


@dataclass(frozen=True, slots=True)
class Started:
    """A child process has started."""

    KIND: ClassVar[str] = "started"
    number: int
    pid: int


@dataclass(frozen=True, slots=True)
class Exited:
    """A child process has ended.

    Attributes:
        code: Code of `waitid`, as `os.CLD_KILLED`.
        status: Its exit status, or the number of the signal.
    """

    KIND: ClassVar[str] = "exited"
    number: int
    code: int
    status: int


@dataclass(frozen=True, slots=True)
class Measured:
    """`slowness`: factor by which everything takes longer than on a quiet machine."""

    KIND: ClassVar[str] = "measured"
    number: int
    slowness: float


@dataclass(frozen=True, slots=True)
class WarmedUp:
    """The warm-up has ended.

    Attributes:
        error: Its error; empty if it succeeded.
        threads: Names of threads that are left, so that the fork server cannot fork.
    """

    KIND: ClassVar[str] = "warmed-up"
    number: int
    error: str
    threads: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Preloaded:
    """The libraries are imported, as far as they can be."""

    KIND: ClassVar[str] = "preloaded"
    number: int


Reply = Started | Exited | Measured | WarmedUp | Preloaded
REPLIES = get_args(Reply)
