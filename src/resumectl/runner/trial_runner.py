"""One trial: a fresh place, a life that dies, a look at what it left, and the lives after.

The experimenter: starts and observes, and judges nothing. Imports neither dbos nor a scenario.
"""

import itertools
import json
import os
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from queue import SimpleQueue
from types import TracebackType
from typing import Any, Self

from resumectl.errors import MachineFailure
from resumectl.model.crash_plan import CrashPlan, Edge
from resumectl.model.observation import (
    BASELINE,
    LATER_BASELINE,
    TIME_CONTROL,
    LifeSeen,
    Observation,
)
from resumectl.model.schedule import Schedule, schedule_of
from resumectl.model.target import DOWNTIME_S, Subject
from resumectl.probe import event_log
from resumectl.release import require_dbos
from resumectl.runner.fork_server_client import Zygote
from resumectl.runner.redirects import make_seed
from resumectl.runner.sandbox import EMBEDDED, Place, Places
from resumectl.settings import Settings
from resumectl.storage.snapshot_reader import Evidence

TEMPLATE_TIMEOUT_S = 60.0
BASELINE_TIMEOUT_S = 30.0
# So long a process whose clock has jumped commits nothing, so that what waits for the clock ends.
_EXPIRY_S = 0.2
# Without a commit for so long, twice, a process is asked whether it can go on at all.
BASELINE_PATIENCE_S = 1.0
# At a plan whose blow had nothing to fall on: where a program's path is chosen by chance and
# recorded, or a thread was faster, the next run of it may pass there.
_ATTEMPTS = 16


_USUAL_SCHEDULE = schedule_of(0)


@dataclass(frozen=True, slots=True)
class Control:
    """A pause in an uninterrupted run, as long as a death keeps a program from working.

    Args:
        at: The death, as in a plan, that would be struck there.
        pause_s: Duration of the pause, in seconds.
        jump_s: How far the clock is set ahead there, in seconds.
    """

    at: str
    pause_s: float
    jump_s: float = 0.0

    @classmethod
    def at_first_death(cls, plan: str, pause_s: float) -> Self:
        """Where a plan's first death strikes; nobody dies, so that nothing is held either."""
        death = CrashPlan.parse(plan).deaths[0]
        return cls(str(replace(death, hold=None)), pause_s)

    def as_plain(self) -> dict[str, Any]:
        """Itself, for JSON."""
        return asdict(self)


class Lab:
    """The places and the zygotes, for any number of scenarios; close to end all of it.

    Args:
        server_url: Of the PostgreSQL server where the trials' databases are; `embedded` for one
            of their own, None for SQLite.
        isolation: `fork`, or `spawn` for a fresh interpreter for each life.
        jobs: How many trials at a time, all scenarios together.
        with_publisher: Whether every scenario is resumectl's own publisher. Another program
            may have classes of the same names, and DBOS knows one of each.
        subject: What every scenario is redirected from, and has prepared.

    Attributes:
        slowness: How many times longer everything takes here than on a quiet machine; see `pace`.

    Raises:
        MachineFailure: No place can be made.
    """

    def __init__(
        self,
        *,
        server_url: str | None = None,
        isolation: str = "fork",
        jobs: int = 1,
        with_publisher: bool = False,
        subject: Subject | None = None,
    ) -> None:
        require_dbos()
        self._subject = subject or Subject()
        self.places = Places(server_url)
        # One for each trial that may run at a time. All of a trial stays on one core: Python runs
        # one thread at a time, and five messages took a fifth longer with threads on both of two.
        self._cores: SimpleQueue[int] = SimpleQueue()
        self.cores = cores = sorted(os.sched_getaffinity(0))
        for turn in range(os.getpid(), os.getpid() + jobs):  # other labs begin with another core
            self._cores.put(cores[turn % len(cores)])
        # Two hash seeds: a set that iterates differently after the restart is a classic.
        self.zygotes = [Zygote(self.places.root, seed, isolation) for seed in (1, 2)]
        self.slowness = 1.0
        self._with_publisher = with_publisher
        self._is_warm = False
        self._warming = threading.Lock()

    @contextmanager
    def turn(self) -> Iterator[int]:
        """Wait for a turn; gives the number of the core that it has."""
        core = self._cores.get()
        try:
            yield core
        finally:
            self._cores.put(core)

    def warm_up(self) -> None:
        """Make the template, and have each zygote live a small life; once."""
        with self._warming:
            if self._is_warm:
                return
            at_death = self.places.databases.at_death
            if at_death is not None:
                for zygote in self.zygotes:
                    zygote.take_along(at_death)
            self.slowness = max([zygote.slowness() for zygote in self.zygotes])
            told = {"template": self.places.databases.template_url}
            ending = self.zygotes[0].run(told, TEMPLATE_TIMEOUT_S * self.slowness)
            if ending.exit_status != 0:
                raise self._failure(f"no database could be made: {ending}")
            make_seed(self._subject, self.places.seed, self.places.databases.template_url)
            with ExitStack() as stack:
                ends = []
                for zygote in self.zygotes:
                    place = stack.enter_context(self.places.place())
                    ends.append(
                        zygote.rehearse(
                            place.database_url,
                            place.directory,
                            with_publisher=self._with_publisher,
                        )
                    )
                for end in ends:
                    error = end()
                    if error:
                        raise self._failure(f"no life can be lived: {error}")
            self._is_warm = True

    def _failure(self, what: str) -> MachineFailure:
        where = self.places.root.parent
        return MachineFailure(what, next_step=f"see that {where} has space, and the server is up")

    def __enter__(self) -> Self:
        try:
            self.warm_up()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """End every life, and take the places away."""
        for zygote in self.zygotes:
            zygote.close()
        self.places.close()


def open_lab(
    settings: Settings,
    on: str,
    isolation: str,
    *,
    jobs: int,
    subject: Subject,
    with_publisher: bool,
) -> Lab:
    """A lab for trials on SQLite, or on the configured server, or on one of their own.

    Args:
        settings: Where the configured server is.
        on: `sqlite` or `postgres`.
        isolation: As `Lab` takes it.
        jobs: Likewise.
        subject: Likewise.
        with_publisher: Likewise.
    """
    server_url = None
    if on == "postgres":
        server_url = EMBEDDED if settings.is_sqlite else settings.secret_url
    return Lab(
        server_url=server_url,
        isolation=isolation,
        jobs=jobs,
        with_publisher=with_publisher,
        subject=subject,
    )


class Runner:
    """Runs the trials of one scenario, any number at a time.

    Args:
        lab: Where.
        subject: What is under test.
        later: What runs in the lives after the first, where it is another.
        downtime_s: How far the clock of each process is ahead of the one before, in seconds.

    Attributes:
        timeout_s: Seconds for a life.
        extensions_max: How often a process that is still at work gets as long again.
        patience_s: Time without a commit before it is looked whether a process can go on, in
            seconds.
        keeper: Asked of each trial whether its place is to be kept, and where; None keeps none.
    """

    def __init__(
        self,
        lab: Lab,
        subject: Subject,
        later: Subject | None = None,
        downtime_s: float = DOWNTIME_S,
    ) -> None:
        self._lab = lab
        self.downtime_s = downtime_s
        self._subjects = (subject, later or subject)
        self._record: Path | None = None  # of the process that was begun last
        self.timeout_s = BASELINE_TIMEOUT_S * self.slowness
        self.extensions_max = 0
        self.patience_s = BASELINE_PATIENCE_S * self.slowness
        self._discarding = threading.Lock()
        self._discarded_contacts: Counter[str] = Counter()
        self.keeper: Callable[[Observation], Path | None] | None = None

    def baseline(
        self, number: int, *, later: bool = False, control: Control | None = None
    ) -> Observation:
        """An uninterrupted run; by turns under either hash seed.

        Args:
            number: Of the run.
            later: Whether of the program of the later lives.
            control: Where it is to pause.
        """
        plan = LATER_BASELINE if later else BASELINE
        return self._run(plan, [None], first_zygote=number % 2, control=control)

    @property
    def slowness(self) -> float:
        """How many times longer everything takes here than on a quiet machine."""
        return self._lab.slowness

    @property
    def phase(self) -> str:
        """Return what the process that was begun last is doing, as `import`; empty at first."""
        events = _events(self._record) if self._record is not None else []
        return next((e["what"] for e in reversed(events) if e["kind"] == "began"), "")

    def time_control(self, plan: CrashPlan, at: str | None) -> Observation:
        """Run the program uninterrupted, and let as much time pass as in a trial.

        Args:
            plan: Of the trial that the run is held against.
            at: The crash point at which time passes; None: before the program begins.
        """
        jump_s = self.downtime_s * len(plan.deaths)
        control = Control(at, _EXPIRY_S * self.slowness, jump_s) if at is not None else None
        return self._run(
            f"{TIME_CONTROL}{plan}",
            [None],
            control=control,
            clock_ahead_s=jump_s if control is None else 0.0,
            is_kept=False,
        )

    def preload(self, run: Observation) -> None:
        """Have the lives to come begin with the libraries that were imported in this one."""
        told = run.final.last("libraries")
        first, later = (dict(subject.environ) for subject in self._subjects)
        # What a library reads as it is imported is to be what each life has.
        is_same = first == later and not any("{" in value for value in first.values())
        if told is not None and told["names"] and is_same:
            ends = [zygote.preload(told["names"], first) for zygote in self._lab.zygotes]
            for end in ends:
                end()

    @property
    def is_edited(self) -> bool:
        """Whether the later lives run another program, and not only another version."""
        first, later = self._subjects
        return replace(later, app_version=first.app_version) != first

    def trial(self, plan: CrashPlan, repetition: int = 0, *, is_check: bool = False) -> Observation:
        """Die as the plan says, live on, and see; again where the blow had nothing to fall on.

        Args:
            plan: Where to die.
            repetition: How many trials of this plan precede it: each has a schedule of its own.
            is_check: Whether it repeats another trial, whose sandbox is kept already.
        """
        deaths = [str(death) for death in plan.deaths]
        for attempt in itertools.count(1):
            is_last = attempt == _ATTEMPTS
            seen = self._run(
                str(plan),
                [*deaths, None],
                is_last=is_last,
                is_kept=not is_check,
                schedule=schedule_of(repetition),
            )
            if is_last or _is_decided(seen, len(deaths)):
                break
            self.discard(seen)
        return replace(seen, attempts=attempt)

    def _run(
        self,
        plan: str,
        deaths: Sequence[str | None],
        *,
        first_zygote: int = 0,
        control: Control | None = None,
        clock_ahead_s: float = 0.0,
        schedule: Schedule = _USUAL_SCHEDULE,
        is_last: bool = True,
        is_kept: bool = True,
    ) -> Observation:
        lives: list[LifeSeen] = []
        with self._lab.turn() as core:
            began = time.monotonic()
            with self._lab.places.place() as place:
                for number, death in enumerate(deaths, start=1):
                    zygote = self._lab.zygotes[first_zygote if number == 1 else 1]
                    subject = self._subjects[number > 1 or plan == LATER_BASELINE]
                    # By turns: the client asks again at once, or when the recovery can do no
                    # more without it. The one repairs what the other shows, and races with it.
                    before = deaths[number - 2] if number > 1 else None
                    order = {
                        "subject": subject.as_plain(),
                        "deployed_as": (self._subjects[0].target or (None,))[0],
                        "app_version": subject.app_version,
                        "death": death,
                        "cores": [core] if schedule.is_on_one_core else self._lab.cores,
                        "schedule": schedule.as_plain(),
                        "is_first": number == 1,
                        "comes_back_late": before is not None and before.startswith(Edge.AFTER),
                        "tells_libraries": plan == BASELINE and control is None,
                        "patience_s": self.patience_s,
                        "clock_ahead_s": clock_ahead_s + self.downtime_s * (number - 1),
                        "control": control.as_plain() if control is not None else None,
                        "time_limit_s": (
                            self.timeout_s if deaths == [None] and control is None else None
                        ),
                    }
                    lives.append(self._life(zygote, place, number, order))
                    if death is not None and lives[-1].struck is None:
                        break  # it never died as planned: there is nothing to recover from
                contacts = self.take_discarded_contacts()
                seen = Observation(
                    plan, lives, time.monotonic() - began, discarded_contacts=contacts
                )
                is_kept &= is_last or _is_decided(seen, len(deaths) - 1)
                keep_at = self.keeper(seen) if self.keeper is not None and is_kept else None
                if keep_at is not None:
                    self._lab.places.keep(place, keep_at)
        return seen

    def discard(self, run: Observation) -> None:
        """Keep of a run only which services it contacted: the next one tells it."""
        with self._discarding:
            self._discarded_contacts += run.contacts

    def take_discarded_contacts(self) -> Counter[str]:
        """Return what runs that were discarded contacted, and that no other run has told."""
        with self._discarding:
            found, self._discarded_contacts = self._discarded_contacts, Counter()
        return found

    def _life(self, zygote: Zygote, place: Place, number: int, more: Mapping[str, Any]) -> LifeSeen:
        record = self._record = place.record(number)
        order = {
            "place": str(place.directory),
            "database_url": place.database_url,
            "record": str(record),
            **more,
        }
        is_uninterrupted = order["time_limit_s"] is not None
        more_time = MoreTime(record, 0 if is_uninterrupted else self.extensions_max)
        ending = zygote.run({"order": order}, self.timeout_s, more_time.is_granted)
        if ending.exit_status == event_log.DISK_FULL_STATUS:
            raise MachineFailure(
                f"the disk under a trial is full: {place.directory}",
                next_step="free some space; then  resumectl resume  goes on with a sweep",
            )
        evidence = Evidence(place.database_url)
        try:
            evidence.wait_for_server(self.timeout_s, self.slowness)
            left = evidence.read()
        finally:
            evidence.close()
        return LifeSeen(
            events=_events(record),
            ending=str(ending),
            signal=ending.signal,
            exit_status=ending.exit_status,
            in_time=ending.in_time,
            left=left,
        )


class MoreTime:
    """Tells whether a process whose time is up is still at work: it has recorded something since.

    Args:
        record: File of its events.
        extensions_max: How often it gets more time.
    """

    def __init__(self, record: Path, extensions_max: int) -> None:
        self._record = record
        self._left = extensions_max
        self._bytes = 0

    def is_granted(self) -> bool:
        """Return whether it may go on; to be asked each time that its time is up."""
        before = self._bytes
        with suppress(FileNotFoundError):  # it has not begun yet
            self._bytes = self._record.stat().st_size
        self._left -= 1
        return self._left >= 0 and self._bytes > before


def _is_decided(seen: Observation, deaths: int) -> bool:
    """Whether another attempt could not show more."""
    return seen.deaths == deaths or bool(seen.final.failure) or not seen.final.has_settled


def _events(record: Path) -> list[dict[str, Any]]:
    try:
        return event_log.read(record)
    except FileNotFoundError:
        return []
    except json.JSONDecodeError as error:
        raise MachineFailure(f"the record {record} is broken", next_step="report it") from error
