"""Run one trial: a fresh sandbox, a process that is killed, a snapshot, and the processes after it.

Starts and observes, and judges nothing. Imports nothing of dbos.
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
from resumectl.model.events import Event, LibrariesImported, Phase, PhaseStarted
from resumectl.model.observation import (
    BASELINE,
    LATER_BASELINE,
    TIME_CONTROL,
    Observation,
    ProcessRecord,
)
from resumectl.model.orders import Control, ProcessOrder
from resumectl.model.process_exit import DISK_FULL
from resumectl.model.schedule import Schedule, schedule_of
from resumectl.model.target import DOWNTIME_S, Target
from resumectl.runner.fork_server_client import ForkServerClient
from resumectl.runner.sandbox import Sandbox
from resumectl.runner.trial_pool import TrialPool
from resumectl.storage.snapshot_reader import SnapshotReader

BASELINE_TIMEOUT_S = 30.0
# A process whose clock has jumped commits nothing for so long, so that what waits for the clock ends.
_EXPIRY_S = 0.2
# Without a commit for so long, twice, a process is asked whether it can go on at all.
BASELINE_PATIENCE_S = 1.0
# Runs of a plan whose crash point is not reached: where a program's path is chosen by chance and
# recorded, or a thread was faster, the next run of it may pass there.
ATTEMPTS_MAX = 16
_USUAL_SCHEDULE = schedule_of(0)


@dataclass(frozen=True, slots=True)
class _Run:
    """How one run differs from the usual one.

    Attributes:
        plan: Crash plan, or the name of an uninterrupted run.
        crashes: Where each process is killed; None for nowhere.
        first_server: Index of the fork server of the first process.
        control: Where an uninterrupted run pauses; None for nowhere.
        clock_ahead_s: How far the clock of the first process is ahead, in seconds.
        schedule: How threads get their turns.
    """

    plan: str
    crashes: Sequence[str | None]
    first_server: int = 0
    control: Control | None = None
    clock_ahead_s: float = 0.0
    schedule: Schedule = _USUAL_SCHEDULE


class TrialRunner:
    """Runs the trials of one target, any number at a time.

    Args:
        pool: Where they run.
        target: Program of the first process of each trial.
        later: Program of the processes after it; None for the same.
        downtime_s: How far the clock of each process is ahead of the one before, in seconds.

    Attributes:
        downtime_s: As given.
        timeout_s: Maximum duration of one process, in seconds.
        extensions_max: How often a process that is still at work gets as long again.
        patience_s: Time without a commit before it is asked whether a process can go on, in seconds.
        keep_at: Returns where the sandbox of a trial is kept; None keeps none.
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
        self._event_file: Path | None = None  # of the process that was started last
        self.timeout_s = BASELINE_TIMEOUT_S * self.slowness
        self.extensions_max = 0
        self.patience_s = BASELINE_PATIENCE_S * self.slowness
        self._discarding = threading.Lock()
        self._discarded_contacts: Counter[str] = Counter()
        self.keep_at: Callable[[Observation], Path | None] | None = None

    # --- uninterrupted runs

    def baseline(
        self, number: int, *, later: bool = False, control: Control | None = None
    ) -> Observation:
        """Run the program uninterrupted.

        Args:
            number: Number of the run: runs take turns between the two hash seeds.
            later: Whether to run the program of the later processes.
            control: Where it is to pause; None for nowhere.
        """
        plan = LATER_BASELINE if later else BASELINE
        return self._observe(_Run(plan, [None], first_server=number % 2, control=control))

    def time_control(self, plan: CrashPlan, at: str | None) -> Observation:
        """Run the program uninterrupted, and let as much time pass as in a trial.

        Args:
            plan: Crash plan of the trial that the run is compared with.
            at: Crash point at which time passes; None: before the program begins.
        """
        jump_s = self.downtime_s * len(plan.crashes)
        control = Control(at, _EXPIRY_S * self.slowness, jump_s) if at is not None else None
        return self._observe(
            _Run(
                f"{TIME_CONTROL}{plan}",
                [None],
                control=control,
                clock_ahead_s=jump_s if control is None else 0.0,
            ),
            is_kept=False,
        )

    @property
    def slowness(self) -> float:
        """How many times longer everything takes here than on a quiet machine."""
        return self._pool.slowness

    @property
    def phase(self) -> Phase | None:
        """What the process that was started last is doing; None before its first phase."""
        if self._event_file is None:
            return None
        phases = [
            event.phase
            for event in _readable_events(self._event_file)[0]
            if isinstance(event, PhaseStarted)
        ]
        return phases[-1] if phases else None

    def target_of(self, *, later: bool) -> Target:
        """Return the program of the first process, or of the later ones."""
        return self._targets[later]

    @property
    def is_edited(self) -> bool:
        """Whether the later processes run another program, and not only another version."""
        first, later = self._targets
        return replace(later, app_version=first.app_version) != first

    def preload(self, run: Observation) -> None:
        """Let the processes to come begin with the libraries that were imported in a run.

        Args:
            run: An uninterrupted run.
        """
        imported = run.final.last(LibrariesImported)
        first, later = (dict(target.environ) for target in self._targets)
        # What a library reads as it is imported is to be what each process has.
        is_same = first == later and not any("{" in value for value in first.values())
        if imported is not None and imported.modules and is_same:
            servers = self._pool.fork_servers
            ends = [server.preload(imported.modules, first) for server in servers]
            for end in ends:
                end()

    # --- trials

    def trial(self, planned: PlannedTrial) -> Observation:
        """Run a trial; again, up to `ATTEMPTS_MAX` times, if its crash point is not reached.

        Args:
            planned: Crash plan, and how many trials of it precede this one.
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

    def _observe(self, run: _Run, *, is_last: bool = True, is_kept: bool = True) -> Observation:
        processes: list[ProcessRecord] = []
        with self._pool.core() as core:
            began = time.monotonic()
            with self._pool.sandboxes.sandbox() as sandbox:
                for number, crash in enumerate(run.crashes, start=1):
                    server = self._pool.fork_servers[run.first_server if number == 1 else 1]
                    order = self._order(run, number, sandbox, core)
                    processes.append(self._run_process(server, order))
                    if crash is not None and processes[-1].reached is None:
                        break  # it was not killed as planned: there is nothing to recover from
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

    def _order(self, run: _Run, number: int, sandbox: Sandbox, core: int) -> ProcessOrder:
        """Return what the process of this number, from 1, is to do."""
        # By turns: the client asks again at once, or when the recovery can do no more without it.
        # The one repairs what the other shows, and races with it.
        before = run.crashes[number - 2] if number > 1 else None
        is_uninterrupted = run.crashes == [None] and run.control is None
        first = self._targets[0]
        return ProcessOrder(
            sandbox=str(sandbox.directory),
            database_url=sandbox.database_url,
            event_file=str(sandbox.event_file(number)),
            target=self._targets[number > 1 or run.plan == LATER_BASELINE],
            deployed_as=first.entry[0] if first.entry is not None else None,
            crash=run.crashes[number - 1],
            cores=(core,) if run.schedule.is_on_one_core else self._pool.cores,
            schedule=run.schedule,
            is_first=number == 1,
            delays_client=before is not None and before.startswith(Edge.AFTER),
            reports_libraries=run.plan == BASELINE and run.control is None,
            patience_s=self.patience_s,
            clock_ahead_s=run.clock_ahead_s + self.downtime_s * (number - 1),
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
        """Keep of a run only which services it contacted: the next run reports it."""
        with self._discarding:
            self._discarded_contacts += run.contacts

    def take_discarded_contacts(self) -> Counter[str]:
        """Return what discarded runs contacted, and no other run has reported."""
        with self._discarding:
            found, self._discarded_contacts = self._discarded_contacts, Counter()
        return found


class MoreTime:
    """Decides whether a process whose time is up is still at work: it has recorded something since.

    Args:
        event_file: File of its events.
        extensions_max: How often it gets more time.
    """

    def __init__(self, event_file: Path, extensions_max: int) -> None:
        self._event_file = event_file
        self._left = extensions_max
        self._bytes = 0

    def is_granted(self) -> bool:
        """Return whether it may go on; to be called each time that its time is up."""
        before = self._bytes
        with suppress(FileNotFoundError):  # it has not begun yet
            self._bytes = self._event_file.stat().st_size
        self._left -= 1
        return self._left >= 0 and self._bytes > before


def _is_decided(observation: Observation, crashes: int) -> bool:
    """Return whether another attempt could not show more."""
    is_reached = observation.crashes_reached == crashes
    return is_reached or bool(observation.final.failure) or not observation.final.has_settled


def _readable_events(event_file: Path) -> tuple[tuple[Event, ...], str]:
    """Return the events of a process; or none, and why they cannot be read."""
    try:
        return read_events(event_file), ""
    except SchemaError as error:
        return (), str(error)
