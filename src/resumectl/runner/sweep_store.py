"""Sweeps and their trials in resumectl's database: planned, kept, listed, and read back.

An observation is JSON, compressed: some two kilobytes, and what the program's own values take. Each is durable as soon as its trial
has ended, and once only, so that a sweep that is killed has lost none and counts none twice.
"""

import json
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Self

import sqlalchemy as sa

from resumectl.database import Snapshot, snapshot
from resumectl.errors import Refusal
from resumectl.judge.stability import Judged, settled
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.observation import Judgement, Observation, Verdict
from resumectl.model.sweep_spec import Specification
from resumectl.publishing.models import sweeps, trials

# A pause longer than this, as of a sweep that was dead, is no part of the time that it took.
_PAUSE_MIN_MS = 1_000
# The round of the trials that repeat others.
REPEATED = 0
_s, _t = sweeps.c, trials.c


@dataclass(frozen=True, slots=True)
class SweepKept:
    """One sweep, as it is listed. Trials are those of its last round."""

    id: int
    scenario: str
    specification: Specification
    started_at_ms: int
    crash_points: int
    seconds: float | None  # None until it has ended
    verdicts: Mapping[str, int] | None
    planned: int
    trials: int


class Archive:
    """Reads and writes sweeps.

    Args:
        engine: On a database with resumectl's tables.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._frozen: Snapshot | None = None

    @contextmanager
    def frozen(self) -> Iterator[Self]:
        """Yield an archive that reads everything as it is at one moment, and writes nothing."""
        with snapshot(self._engine) as connection:
            found = type(self)(self._engine)
            found._frozen = connection
            yield found

    @contextmanager
    def _reading(self) -> Iterator[Snapshot]:
        if self._frozen is not None:
            yield self._frozen
            return
        with snapshot(self._engine) as connection:
            yield connection

    # --- a sweep begins, is planned, and ends

    def begin(
        self,
        connection: sa.Connection,
        specification: Specification,
        *,
        baselines: Sequence[Observation],
    ) -> int:
        """Write down that a sweep has begun; returns its id.

        Args:
            connection: In whose transaction.
            specification: What it was told.
            baselines: The uninterrupted runs.
        """
        statement = sa.insert(sweeps).values(
            scenario=str(specification.subject),
            specification=specification.as_plain(),
            crash_points=0,
            started_at_ms=_now_ms(),
            baselines=_packed(baselines),
        )
        return int(connection.execute(statement.returning(_s.id)).scalar_one())

    def plan(
        self,
        connection: sa.Connection,
        sweep_id: int,
        round_number: int,
        plans: Sequence[CrashPlan],
        *,
        crash_points: int,
    ) -> None:
        """Write down the trials of a round, unless they are written down already.

        Args:
            connection: In whose transaction.
            sweep_id: Of the sweep.
            round_number: How many deaths each plan has.
            plans: In their order.
            crash_points: Of which they are, or are a sample.
        """
        if connection.scalar(self._planned(sweep_id, round_number)) is not None:
            return
        self._append(connection, sweep_id, round_number, plans)
        connection.execute(
            sa.update(sweeps).where(_s.id == sweep_id).values(crash_points=crash_points)
        )

    def plan_again(self, sweep_id: int, plans: Sequence[CrashPlan]) -> None:
        """Write down trials that repeat others of the sweep, in addition to those there are."""
        with self._engine.begin() as connection:
            self._append(connection, sweep_id, REPEATED, plans)

    @staticmethod
    def _append(
        connection: sa.Connection, sweep_id: int, round_number: int, plans: Sequence[CrashPlan]
    ) -> None:
        last = connection.scalar(sa.select(sa.func.max(_t.number)).where(_t.sweep_id == sweep_id))
        if plans:
            connection.execute(
                sa.insert(trials),
                [
                    {"sweep_id": sweep_id, "number": n, "round": round_number, "plan": str(plan)}
                    for n, plan in enumerate(plans, start=(last or 0) + 1)
                ],
            )

    @staticmethod
    def _planned(sweep_id: int, round_number: int) -> sa.Select[Any]:
        return (
            sa.select(_t.number)
            .where(_t.sweep_id == sweep_id, _t.round == round_number)
            .order_by(_t.number)
        )

    def numbers(self, sweep_id: int, round_number: int) -> list[int]:
        """The numbers of the trials of a round."""
        with self._reading() as connection:
            return list(connection.scalars(self._planned(sweep_id, round_number)))

    def judged(self, sweep_id: int, round_number: int) -> Judged:
        """Return what the trials of a round proved, and what the repeated ones did."""
        found = self._judgements(sweep_id, (round_number, REPEATED))
        trials, repeated = (
            [each for of_round, each in found if of_round == wanted]
            for wanted in (round_number, REPEATED)
        )
        return settled(trials, repeated)

    def end(self, sweep_id: int, *, round_number: int) -> None:
        """Write down how it ended."""
        found = Counter(str(each.verdict) for each in self.judged(sweep_id, round_number).trials)
        with self._engine.begin() as connection:
            rows = connection.execute(
                sa.select(_t.seconds, _t.ended_at_ms).where(
                    _t.sweep_id == sweep_id, _t.ended_at_ms.is_not(None)
                )
            ).all()
            verdicts = {str(verdict): found[verdict] for verdict in Verdict}
            seconds = _busy_ms([(r.ended_at_ms - 1000 * r.seconds, r.ended_at_ms) for r in rows])
            connection.execute(
                sa.update(sweeps)
                .where(_s.id == sweep_id)
                .values(seconds=seconds / 1000, verdicts=verdicts)
            )

    # --- its uninterrupted runs

    def specification(self, sweep_id: int) -> Specification:
        """What it was told."""
        with self._reading() as connection:
            found = connection.execute(sa.select(_s.specification).where(_s.id == sweep_id))
            return Specification.from_plain(found.scalar_one())

    def baselines(self, sweep_id: int) -> list[Observation]:
        """The uninterrupted runs.

        Raises:
            Refusal: They were stored by another version.
        """
        with self._reading() as connection:
            stored = connection.scalar(sa.select(_s.baselines).where(_s.id == sweep_id))
        return list(_read(sweep_id, stored))

    def set_baselines(self, sweep_id: int, baselines: Sequence[Observation]) -> None:
        """Keep those that were asked since."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(sweeps).where(_s.id == sweep_id).values(baselines=_packed(baselines))
            )

    # --- its trials

    def to_run(self, sweep_id: int, first: int, last: int) -> list[PlannedTrial]:
        """The trials of these numbers that have not been run, in their order."""
        turn = sa.func.row_number().over(partition_by=(_t.round, _t.plan), order_by=_t.number)
        every = (
            sa.select(_t.number, _t.plan, _t.round, _t.ended_at_ms, turn.label("turn"))
            .where(_t.sweep_id == sweep_id)
            .subquery()
        )
        query = (
            sa.select(every.c.number, every.c.plan, every.c.round, every.c.turn)
            .where(every.c.number.between(first, last), every.c.ended_at_ms.is_(None))
            .order_by(every.c.number)
        )
        with self._reading() as connection:
            return [
                PlannedTrial(number, CrashPlan.parse(plan), int(turn) - 1)
                if round_number != REPEATED
                else PlannedTrial(number, CrashPlan.parse(plan), is_check=True)
                for number, plan, round_number, turn in connection.execute(query)
            ]

    def keep(self, sweep_id: int, number: int, trial: Observation, judgement: Judgement) -> None:
        """Keep one trial, as soon as it has ended; of a number that is kept, the first stands."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(trials)
                .where(_t.sweep_id == sweep_id, _t.number == number, _t.ended_at_ms.is_(None))
                .values(
                    observation=_packed([trial]),
                    verdict=str(judgement.verdict),
                    judgement=judgement.as_plain(),
                    seconds=trial.seconds,
                    ended_at_ms=_now_ms(),
                )
            )

    def judge_again(self, sweep_id: int, number: int, judgement: Judgement) -> None:
        """Replace what was made of one trial."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(trials)
                .where(_t.sweep_id == sweep_id, _t.number == number)
                .values(verdict=str(judgement.verdict), judgement=judgement.as_plain())
            )

    def judgements(self, sweep_id: int, round_number: int) -> list[Judgement]:
        """What was made of each trial of a round, in the order of the plans."""
        return [each for _, each in self._judgements(sweep_id, (round_number,))]

    def _judgements(self, sweep_id: int, rounds: Sequence[int]) -> list[tuple[int, Judgement]]:
        """Return round and judgement of each trial of these rounds, read in one statement."""
        query = (
            sa.select(_t.round, _t.judgement)
            .where(_t.sweep_id == sweep_id, _t.round.in_(rounds), _t.ended_at_ms.is_not(None))
            .order_by(_t.number)
        )
        with self._reading() as connection:
            return [
                (row.round, Judgement.from_plain(row.judgement))
                for row in connection.execute(query)
            ]

    def observations(self, sweep_id: int, round_number: int) -> Iterator[tuple[int, Observation]]:
        """Number and observation of each trial of a round, unpacked one at a time.

        Raises:
            Refusal: They were stored by another version.
        """
        query = (
            sa.select(_t.number, _t.observation)
            .where(_t.sweep_id == sweep_id, _t.round == round_number, _t.observation.is_not(None))
            .order_by(_t.number)
        )
        with self._reading() as connection:
            stored = connection.execute(query).all()
        return ((number, each) for number, packed in stored for each in _read(sweep_id, packed))

    def verdicts(self, sweep_id: int) -> tuple[int, dict[str, int]]:
        """How many trials are planned, and how many came out how so far."""
        query = (
            sa.select(_t.verdict, sa.func.count())
            .where(_t.sweep_id == sweep_id)
            .group_by(_t.verdict)
        )
        with self._reading() as connection:
            found = {verdict: int(n) for verdict, n in connection.execute(query)}
        planned = sum(found.values())
        found.pop(None, None)
        return planned, found

    # --- the list

    def kept(self, sweep_id: int | None = None) -> list[SweepKept]:
        """Every sweep, newest first; or one.

        Raises:
            Refusal: There is none of that id.
        """
        rounds = sa.select(
            _t.sweep_id, _t.round, sa.func.count(), sa.func.count(_t.ended_at_ms)
        ).group_by(_t.sweep_id, _t.round)
        query = sa.select(
            _s.id, _s.scenario, _s.specification, _s.started_at_ms, _s.crash_points, _s.seconds,
            _s.verdicts,
        ).order_by(_s.id.desc())  # fmt: skip
        if sweep_id is not None:
            query, rounds = query.where(_s.id == sweep_id), rounds.where(_t.sweep_id == sweep_id)
        with self._reading() as connection:
            counts = {
                (sweep, n): (planned, run) for sweep, n, planned, run in connection.execute(rounds)
            }
            found = []
            for row in connection.execute(query):
                told = Specification.from_plain(row.specification)
                planned, run = counts.get((row.id, told.deaths), (0, 0))
                found.append(
                    SweepKept(
                        row.id, row.scenario, told, row.started_at_ms, row.crash_points,
                        row.seconds, row.verdicts, int(planned), int(run),
                    )
                )  # fmt: skip
        if sweep_id is not None and not found:
            raise no_sweep(sweep_id)
        return found


def no_sweep(sweep_id: int) -> Refusal:
    """Return the refusal of a sweep that is not there."""
    return Refusal(f"there is no sweep {sweep_id}", next_step="resumectl sweeps")


def _busy_ms(spans: Sequence[tuple[float, float]]) -> float:
    """How long trials were running, with the short pauses between them.

    Args:
        spans: Beginning and end of each, in milliseconds.
    """
    total, until = 0.0, 0.0
    for began, ended in sorted(spans):
        total += max(0.0, ended - (began if began > until + _PAUSE_MIN_MS else until))
        until = max(until, ended)
    return total


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _packed(observations: Sequence[Observation]) -> bytes:
    plain = [each.as_plain() for each in observations]
    return zlib.compress(json.dumps(plain, separators=(",", ":")).encode())


def _read(sweep_id: int, stored: Any) -> Iterator[Observation]:
    try:
        yield from map(Observation.from_plain, json.loads(zlib.decompress(stored)))
    except (ValueError, KeyError, TypeError) as error:
        # An observation says of which schema it is; one that lacks a field does not know itself.
        what = error if isinstance(error, ValueError) else "observations of another version"
        raise Refusal(
            f"sweep {sweep_id} holds {what}", next_step="sweep again, with this version"
        ) from error
