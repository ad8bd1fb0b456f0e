"""Run one trial: a fresh sandbox, a process that is killed, a snapshot, and the recovering processes.

Starts and observes processes, and judges nothing. Does not import dbos.
"""

import itertools
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from resumectl.errors import MachineFailure
from resumectl.model.codec import SchemaError
from resumectl.model.crash_plan import CrashPlan, Edge, PlannedTrial
from resumectl.model.event_file import read_events
from resumectl.model.events import (
    ClientStarted,
    Event,
    LibrariesImported,
    Phase,
    PhaseStarted,
)
from resumectl.model.observation import (
    BASELINE,
    CLIENT_RETRIES,
    LATER_BASELINE,
    TIME_CONTROL,
    Observation,
    ProcessRecord,
)
from resumectl.model.orders import Control, ProcessOrder
from resumectl.model.process_exit import DISK_FULL
from resumectl.model.schedule import Schedule, schedule_of
from resumectl.model.target import DOWNTIME_S, Client, Target
from resumectl.model.workflow_names import WorkflowNames
from resumectl.runner.fork_server_client import ForkServerClient
from resumectl.runner.sandbox import Sandbox
from resumectl.runner.trial_pool import TrialPool
from resumectl.storage.snapshot_reader import SnapshotReader

BASELINE_TIMEOUT_S = 30.0
# Time without a commit after a jump of the clock, in seconds: waits for the clock end meanwhile.
_EXPIRY_S = 0.2
# Default time without a commit after which a process checks, twice, whether it can do more.
BASELINE_PATIENCE_S = 1.0
# Maximum number of runs of a plan whose crash point is not reached. The next run may reach it if the
# program takes a random path or another thread is faster.
ATTEMPTS_MAX = 16
_USUAL_SCHEDULE = schedule_of(0)


@dataclass(frozen=True, slots=True)
class _Run:
    """Options of one run.

    Attributes:
        plan: Crash plan, or the name of an uninterrupted run.
        crashes: Crash of each process; None for no crash.
        first_server: Index of the fork server of the first process.
        control: Pause of an uninterrupted run; None for none.
        clock_ahead_s: Offset of the clock of the first process, in seconds.
        schedule: Schedule of the threads.
        client: What the client does after a crash; None for what the runner says.
    """

    plan: str
    crashes: Sequence[str | None]
    first_server: int = 0
    control: Control | None = None
    clock_ahead_s: float = 0.0
    schedule: Schedule = _USUAL_SCHEDULE
    client: Client | None = None

    def is_later(self, number: int) -> bool:
        """Return whether a process, by its number from 1, runs as the processes after a kill."""
        return number > 1 or self.plan == LATER_BASELINE


class TrialRunner:
    """Runner of the trials of one target, any number at the same time.

    Args:
        pool: Pool in which trials run.
        target: Program of the first process of each trial.
        later: Program of the later processes; None for the same.
        downtime_s: Offset of the clock of each process from that of the process before it, in seconds.

    Attributes:
        downtime_s: Same as the argument.
        timeout_s: Maximum duration of one process, in seconds.
        extensions_max: Maximum number of extensions of the time limit for a process that makes progress.
        patience_s: Time without a commit after which a process checks whether it can do more, in
            seconds.
        client: What the client does after a crash.
        names: Starts of workflows without an id in the first uninterrupted run.
        keep_at: Function that returns the directory to keep a sandbox in; None to keep none.
    """

    def __init__(
        self,
        pool: TrialPool,
        target: Target,
        later: Target | None = None,
        downtime_s: float = DOWNTIME_S,
    ) -> None:
        self._pool = pool
        self.downtime_s = downtime_s
        self._targets = (target, later or target)
        self._event_file: Path | None = None  # event file of the process that was started last
        self.timeout_s = BASELINE_TIMEOUT_S * self.slowness
        self.extensions_max = 0
        self.patience_s = BASELINE_PATIENCE_S * self.slowness
        self.client = target.client or Client.RETRIES
        self.names = WorkflowNames()
        self._discarding = threading.Lock()
        self._discarded_contacts: Counter[str] = Counter()
        self.keep_at: Callable[[Observation], Path | None] | None = None

    # --- uninterrupted runs

    def baseline(
        self, number: int, *, later: bool = False, control: Control | None = None
    ) -> Observation:
        """Run the program uninterrupted.

        Args:
            number: Number of the run; runs alternate between the two hash seeds.
            later: Whether to run the program of the later processes.
            control: Pause of the run; None for none.
        """
        plan = LATER_BASELINE if later else BASELINE
        return self._observe(_Run(plan, [None], first_server=number % 2, control=control))

    def time_control(self, plan: CrashPlan, at: str | None, repetition: int = 0) -> Observation:
        """Run the program uninterrupted, and let the time of a trial's outage pass.

        Args:
            plan: Crash plan of the trial that the run is compared with.
            at: Crash point at which time passes; None for before the start of the program.
            repetition: Number of the run, from 0; each has another schedule of the threads.
        """
        jump_s = self.downtime_s * len(plan.crashes)
        control = Control(at, _EXPIRY_S * self.slowness, jump_s) if at is not None else None
        return self._observe(
            _Run(
                f"{TIME_CONTROL}{plan}",
                [None],
                control=control,
                clock_ahead_s=jump_s if control is None else 0.0,
                schedule=schedule_of(repetition),
            ),
            is_kept=False,
        )

    @property
    def slowness(self) -> float:
        """Factor by which everything takes longer here than on a quiet machine."""
        return self._pool.slowness

    @property
    def jobs(self) -> int:
        """Maximum number of runs at the same time."""
        return self._pool.jobs

    @property
    def phase(self) -> Phase | None:
        """Phase of the process that was started last; None before its first phase."""
        if self._event_file is None:
            return None
        phases = [
            event.phase
            for event in _readable_events(self._event_file)[0]
            if isinstance(event, PhaseStarted)
        ]
        return phases[-1] if phases else None

    def target_of(self, *, later: bool) -> Target:
        """Return the program of the first process or of the later ones."""
        return self._targets[later]

    @property
    def is_edited(self) -> bool:
        """Whether the later processes run another program, or another release of what it uses."""
        first, later = self._targets
        is_same = replace(later, app_version=first.app_version) == first
        return not is_same or self._pool.has_two_interpreters

    def preload(self, run: Observation) -> None:
        """Make the fork servers import the libraries that a run has imported.

        Args:
            run: Uninterrupted run.
        """
        imported = run.final.last(LibrariesImported)
        first, later = (dict(target.environ) for target in self._targets)
        # A library may read the environment at its import: use that of the target processes.
        is_same = first == later and not any("{" in value for value in first.values())
        if imported is not None and imported.modules and is_same:
            servers = self._pool.fork_servers
            ends = [server.preload(imported.modules, first) for server in servers]
            for end in ends:
                end()

    # --- trials

    def trial(self, planned: PlannedTrial) -> Observation:
        """Run a trial, up to `ATTEMPTS_MAX` times until its crash point is reached.

        Args:
            planned: Trial to run.
        """
        plan = planned.plan
        crashes = [str(crash) for crash in plan.crashes]
        run = _Run(str(plan), [*crashes, None], schedule=schedule_of(planned.repetition))
        for attempt in itertools.count(1):
            is_last = attempt == ATTEMPTS_MAX
            observation = self._observe(run, is_last=is_last, is_kept=not planned.is_check)
            if is_last or _is_decided(observation, len(crashes)):
                break
            self.discard(observation)
        return replace(observation, attempts=attempt)

    def trial_of_retrying_client(self, plan: CrashPlan) -> Observation:
        """Run a trial whose client asks again after the crash, although its request fixes no id.

        Args:
            plan: Crash plan of the trial.
        """
        crashes = [*map(str, plan.crashes), None]
        run = _Run(f"{CLIENT_RETRIES}{plan}", crashes, client=Client.RETRIES)
        return self._observe(run, is_kept=False)

    def _observe(self, run: _Run, *, is_last: bool = True, is_kept: bool = True) -> Observation:
        processes: list[ProcessRecord] = []
        with self._pool.core() as core:
            began = time.monotonic()
            with self._pool.sandboxes.sandbox() as sandbox:
                for number, crash in enumerate(run.crashes, start=1):
                    order = self._order(run, processes, sandbox, core)
                    server = self._pool.fork_server(
                        run.first_server if order.is_first else 1, later=run.is_later(number)
                    )
                    processes.append(self._run_process(server, order))
                    if crash is not None and processes[-1].reached is None:
                        break  # it was not killed as planned, so there is no recovery
                observation = Observation(
                    plan=run.plan,
                    processes=tuple(processes),
                    seconds=round(time.monotonic() - began, 4),
                    attempts=1,
                    discarded_contacts=self.take_discarded_contacts(),
                )
                is_kept &= is_last or _is_decided(observation, len(run.crashes) - 1)
                keep_at = (
                    self.keep_at(observation) if self.keep_at is not None and is_kept else None
                )
                if keep_at is not None:
                    self._pool.sandboxes.keep(sandbox, keep_at)
        return observation

    def _order(
        self, run: _Run, earlier: Sequence[ProcessRecord], sandbox: Sandbox, core: int
    ) -> ProcessOrder:
        """Return the order for the process after these."""
        number = len(earlier) + 1
        starts = tuple(start for process in earlier for start in process.all(ClientStarted))
        has_given_up = bool(starts) and (run.client or self.client) is Client.GIVES_UP
        # After a crash before a commit, the client retries at once; after one behind a commit, when the
        # recovery can do no more without it. An early retry may repair, and so hide, a failed recovery.
        last_crash = run.crashes[number - 2] if number > 1 else None
        is_uninterrupted = run.crashes == [None] and run.control is None
        first = self._targets[0]
        return ProcessOrder(
            sandbox=str(sandbox.directory),
            database_url=sandbox.database_url,
            event_file=str(sandbox.event_file(number)),
            target=self._targets[run.is_later(number)],
            deployed_as=first.entry[0] if first.entry is not None else None,
            crash=run.crashes[number - 1],
            cores=(core,) if run.schedule.is_on_one_core else self._pool.cores,
            schedule=run.schedule,
            is_first=number == 1,
            names=self.names,
            starts=starts,
            has_request=not has_given_up,
            delays_client=last_crash is not None and last_crash.startswith(Edge.AFTER),
            reports_libraries=run.plan == BASELINE and run.control is None,
            patience_s=self.patience_s,
            clock_ahead_s=run.clock_ahead_s + self.downtime_s * (number - 1),
            migrates=self._pool.migrates(later=run.is_later(number)),
            control=run.control,
            time_limit_s=self.timeout_s if is_uninterrupted else None,
        )

    def _run_process(self, server: ForkServerClient, order: ProcessOrder) -> ProcessRecord:
        event_file = self._event_file = Path(order.event_file)
        extensions_max = 0 if order.time_limit_s is not None else self.extensions_max
        more_time = MoreTime(event_file, extensions_max)
        process_exit = server.run(order, self.timeout_s, more_time.is_granted)
        if process_exit.exit_status == DISK_FULL:
            raise MachineFailure(
                f"the disk under a trial is full: {order.sandbox}",
                next_step="free some space; then  resumectl resume  goes on with a sweep",
            )
        reader = SnapshotReader(order.database_url)
        try:
            reader.wait_for_server(self.timeout_s, self.slowness)
            snapshot = reader.read()
        finally:
            reader.close()
        events, unreadable = _readable_events(event_file)
        return ProcessRecord(events, unreadable, process_exit, snapshot)

    # --- runs of which nothing else is kept

    def discard(self, run: Observation) -> None:
        """Discard a run, and keep only its contacts, which the next run reports."""
        with self._discarding:
            self._discarded_contacts += run.contacts

    def take_discarded_contacts(self) -> Counter[str]:
        """Return the contacts of discarded runs that no run has reported yet, and forget them."""
        with self._discarding:
            found, self._discarded_contacts = self._discarded_contacts, Counter()
        return found


class MoreTime:
    """Policy for a process at its time limit: it gets more time while it records events.

    Args:
        event_file: Path of its event file.
        extensions_max: Maximum number of extensions.
    """

    def __init__(self, event_file: Path, extensions_max: int) -> None:
        self._event_file = event_file
        self._left = extensions_max
        self._bytes = 0

    def is_granted(self) -> bool:
        """Return whether the process gets more time; call this each time that it reaches its limit."""
        before = self._bytes
        with suppress(FileNotFoundError):  # it has not started yet
            self._bytes = self._event_file.stat().st_size
        self._left -= 1
        return self._left >= 0 and self._bytes > before


def _is_decided(observation: Observation, crashes: int) -> bool:
    """Return whether another attempt is useless."""
    is_reached = observation.crashes_reached == crashes
    return is_reached or bool(observation.final.failure) or not observation.final.has_settled


def _readable_events(event_file: Path) -> tuple[tuple[Event, ...], str]:
    """Return the events of a process, or no events and the reason why they cannot be read."""
    try:
        return read_events(event_file), ""
    except SchemaError as error:
        return (), str(error)
