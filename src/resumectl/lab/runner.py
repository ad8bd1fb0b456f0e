"""One trial: a fresh place, a life that dies, a look at what it left, and the lives after.

The experimenter: starts and observes, and judges nothing. Imports neither dbos nor a scenario.
"""

import json
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from resumectl.errors import MachineFailure
from resumectl.lab import recorder
from resumectl.lab.evidence import Evidence
from resumectl.lab.places import EMBEDDED, Place, Places
from resumectl.lab.plan import CrashPlan
from resumectl.lab.subject import Subject
from resumectl.lab.trial import LifeSeen, Observation
from resumectl.lab.zygotes import Zygote
from resumectl.settings import Settings

TEMPLATE_TIMEOUT_S = 60.0
BASELINE_TIMEOUT_S = 30.0


class Lab:
    """The places and the zygotes, for any number of scenarios; close to end all of it.

    Args:
        server_url: Of the PostgreSQL server where the trials' databases are; `embedded` for one
            of their own, None for SQLite.
        isolation: `fork`, or `spawn` for a fresh interpreter for each life.
        jobs: How many trials at a time, all scenarios together.
        with_publisher: Whether every scenario is resumectl's own publisher. Another program
            may have classes of the same names, and DBOS knows one of each.

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
    ) -> None:
        self.places = Places(server_url)
        self.turn = threading.BoundedSemaphore(jobs)
        # Two hash seeds: a set that iterates differently after the restart is a classic.
        self.zygotes = [Zygote(self.places.root, seed, isolation) for seed in (1, 2)]
        self._with_publisher = with_publisher
        self._is_warm = False
        self._warming = threading.Lock()

    def warm_up(self) -> None:
        """Make the template, and have each zygote live a small life; once."""
        with self._warming:
            if self._is_warm:
                return
            at_death = self.places.databases.at_death
            if at_death is not None:
                for zygote in self.zygotes:
                    zygote.take_along(at_death)
            told = {"template": self.places.databases.template_url}
            ending = self.zygotes[0].run(told, TEMPLATE_TIMEOUT_S)
            if ending.exit_status != 0:
                raise self._failure(f"no database could be made: {ending}")
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
    settings: Settings, on: str, isolation: str, *, jobs: int, with_publisher: bool
) -> Lab:
    """A lab for trials on SQLite, or on the configured server, or on one of their own.

    Args:
        settings: Where the configured server is.
        on: `sqlite` or `postgres`.
        isolation: As `Lab` takes it.
        jobs: Likewise.
        with_publisher: Likewise.
    """
    if on == "sqlite":
        return Lab(isolation=isolation, jobs=jobs, with_publisher=with_publisher)
    server_url = EMBEDDED if settings.is_sqlite else settings.secret_url
    return Lab(server_url=server_url, isolation=isolation, jobs=jobs, with_publisher=with_publisher)


class Runner:
    """Runs the trials of one scenario, any number at a time.

    Args:
        lab: Where.
        subject: What is under test.
        later: What runs in the lives after the first, where it is another.

    Attributes:
        timeout_s: Seconds for a life.
        keeper: Asked of each trial whether its place is to be kept, and where; None keeps none.
    """

    def __init__(
        self,
        lab: Lab,
        subject: Subject,
        later: Subject | None = None,
    ) -> None:
        self._lab = lab
        self._subjects = (subject, later or subject)
        self.timeout_s = BASELINE_TIMEOUT_S
        self.keeper: Callable[[Observation], Path | None] | None = None

    def baseline(self, number: int) -> Observation:
        """An uninterrupted run; by turns under either hash seed."""
        return self._run("", [None], first_zygote=number % 2)

    def trial(self, plan: CrashPlan) -> Observation:
        """Die as the plan says, live on, and see."""
        deaths = [str(death) for death in plan.deaths]
        return self._run(str(plan), [*deaths, None])

    def _run(
        self,
        plan: str,
        deaths: Sequence[str | None],
        *,
        first_zygote: int = 0,
    ) -> Observation:
        lives: list[LifeSeen] = []
        with self._lab.turn:
            began = time.monotonic()
            with self._lab.places.place() as place:
                for number, death in enumerate(deaths, start=1):
                    zygote = self._lab.zygotes[first_zygote if number == 1 else 1]
                    lives.append(self._life(zygote, place, number, death))
                    if death is not None and lives[-1].struck is None:
                        break  # it never died as planned: there is nothing to recover from
                seen = Observation(plan, lives, time.monotonic() - began)
                keep_at = self.keeper(seen) if self.keeper is not None else None
                if keep_at is not None:
                    self._lab.places.keep(place, keep_at)
        return seen

    def _life(self, zygote: Zygote, place: Place, number: int, death: str | None) -> LifeSeen:
        subject = self._subjects[0 if number == 1 else 1]
        record = place.record(number)
        order: dict[str, Any] = {
            "place": str(place.directory),
            "database_url": place.database_url,
            "record": str(record),
            "subject": subject.as_plain(),
            "death": death,
            "app_version": subject.app_version,
            "is_first": number == 1,
        }
        ending = zygote.run({"order": order}, self.timeout_s)
        if ending.exit_status == recorder.DISK_FULL_STATUS:
            raise MachineFailure(
                f"the disk under a trial is full: {place.directory}",
                next_step="free some space; then  resumectl resume  goes on with a sweep",
            )
        evidence = Evidence(place.database_url)
        try:
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


def _events(record: Path) -> list[dict[str, Any]]:
    try:
        return recorder.read(record)
    except FileNotFoundError:
        return []
    except json.JSONDecodeError as error:
        raise MachineFailure(f"the record {record} is broken", next_step="report it") from error
