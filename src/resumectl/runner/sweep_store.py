"""Store sweeps and their trials in resumectl's database, list them, and read them back.

An observation is stored once, as soon as its trial has ended, so a killed sweep loses no trial and counts
none twice.
"""

import json
import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import sqlalchemy as sa

from resumectl.database import Snapshot, snapshot
from resumectl.errors import MachineFailure
from resumectl.judge.stability import Judged, settled
from resumectl.model.codec import to_plain
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target
from resumectl.model.verdict import Judgement, count_verdicts
from resumectl.publishing.store.models import sweeps, trials
from resumectl.runner.stored_form import judgement_from, pack, spec_from, spec_to_plain, unpack
from resumectl.runner.stored_sweep import StoredSweep, no_sweep

_ID_MAX = 2**31 - 1  # of an INTEGER
# A longer pause, such as that of a sweep that was killed, does not count as time of the sweep.
_PAUSE_MIN_MS = 1_000
# Round number of the trials that repeat others.
REPEATED = 0
_SAME = ("entry", "args", "kwargs", "count", "guarantee")  # what makes two targets the same
_s, _t = sweeps.c, trials.c


class SweepStore:
    """Store of sweeps.

    Args:
        engine: Engine of a database that has resumectl's tables.
    """

    def __init__(self, engine: sa.Engine) -> None:
        self._engine = engine
        self._frozen: Snapshot | None = None

    @contextmanager
    def frozen(self) -> Iterator[Self]:
        """Yield a read-only store that reads everything as of one moment."""
        with snapshot(self._engine) as connection:
            found = type(self)(self._engine)
            found._frozen = connection
            yield found

    @contextmanager
    def _reading(self) -> Iterator[Snapshot]:
        try:
            if self._frozen is not None:
                yield self._frozen
                return
            with snapshot(self._engine) as connection:
                yield connection
        except json.JSONDecodeError as error:  # in a column of JSON
            raise MachineFailure(
                f"the stored sweeps are damaged: a row holds no JSON ({error})",
                next_step="restore the database; or  resumectl reset  deletes everything in it",
            ) from error

    # --- a sweep begins, is planned, and ends

    def begin(
        self,
        connection: sa.Connection,
        spec: SweepSpec,
        *,
        baselines: Sequence[Observation],
    ) -> int:
        """Store a new sweep, and return its number.

        Args:
            connection: Connection with an open transaction.
            spec: Spec of the sweep.
            baselines: Observations of the uninterrupted runs.
        """
        statement = sa.insert(sweeps).values(
            target=str(spec.target),
            spec=spec_to_plain(spec),
            crash_points=0,
            started_at_ms=_now_ms(),
            baselines=pack(baselines),
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
        """Store the trials of a round, unless they are stored already.

        Args:
            connection: Connection with an open transaction.
            sweep_id: Number of the sweep.
            round_number: Number of crashes of each plan.
            plans: Crash plans of the trials, in their order.
            crash_points: Number of all crash points.
        """
        if connection.scalar(self._planned(sweep_id, round_number)) is not None:
            return
        self._append(connection, sweep_id, round_number, plans)
        connection.execute(
            sa.update(sweeps).where(_s.id == sweep_id).values(crash_points=crash_points)
        )

    def plan_again(self, sweep_id: int, plans: Sequence[CrashPlan]) -> None:
        """Store further trials that repeat others of the sweep."""
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
    def _planned(sweep_id: int, round_number: int) -> sa.Select[tuple[int]]:
        return (
            sa.select(_t.number)
            .where(_t.sweep_id == sweep_id, _t.round == round_number)
            .order_by(_t.number)
        )

    def numbers(self, sweep_id: int, round_number: int) -> list[int]:
        """Return the numbers of the trials of a round."""
        with self._reading() as connection:
            return list(connection.scalars(self._planned(sweep_id, round_number)))

    def judged(self, sweep_id: int, round_number: int) -> Judged:
        """Return the judgements of the trials of a round and of their repetitions."""
        found = self._judgements(sweep_id, (round_number, REPEATED))
        trials, repeated = (
            [each for of_round, each in found if of_round == wanted]
            for wanted in (round_number, REPEATED)
        )
        return settled(trials, repeated)

    def end(self, sweep_id: int, *, round_number: int) -> None:
        """Store the end of a sweep.

        Args:
            sweep_id: Number of the sweep.
            round_number: Number of its last round.
        """
        verdicts = count_verdicts(self.judged(sweep_id, round_number).trials)
        with self._engine.begin() as connection:
            seconds = _busy_seconds(connection, sweep_id)
            connection.execute(
                sa.update(sweeps)
                .where(_s.id == sweep_id)
                .values(seconds=seconds, verdicts=verdicts)
            )

    def busy_seconds(self, sweep_id: int) -> float:
        """Return the time in which trials of a sweep have been running so far, in seconds."""
        with self._reading() as connection:
            return _busy_seconds(connection, sweep_id)

    # --- its uninterrupted runs

    def spec(self, sweep_id: int) -> SweepSpec:
        """Return the spec of a sweep.

        Raises:
            Refusal: Another version of resumectl has stored it.
        """
        with self._reading() as connection:
            found = connection.execute(sa.select(_s.spec).where(_s.id == sweep_id))
            return spec_from(sweep_id, found.scalar_one())

    def baselines(self, sweep_id: int) -> list[Observation]:
        """Return the runs without a crash.

        Raises:
            Refusal: Another version of resumectl has stored them.
        """
        with self._reading() as connection:
            stored = connection.scalar(sa.select(_s.baselines).where(_s.id == sweep_id))
        assert stored is not None, "the sweep has no baselines yet"
        return list(unpack(sweep_id, stored, "a run without a crash"))

    def set_baselines(self, sweep_id: int, baselines: Sequence[Observation]) -> None:
        """Store the runs without a crash."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(sweeps).where(_s.id == sweep_id).values(baselines=pack(baselines))
            )

    # --- its trials

    def to_run(self, sweep_id: int, first: int, last: int) -> list[PlannedTrial]:
        """Return the trials with these numbers that have not been run, in their order."""
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
        """Store one trial that has ended, unless a trial with its number is stored already."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(trials)
                .where(_t.sweep_id == sweep_id, _t.number == number, _t.ended_at_ms.is_(None))
                .values(
                    observation=pack([trial]),
                    verdict=str(judgement.verdict),
                    judgement=to_plain(judgement),
                    seconds=trial.seconds,
                    ended_at_ms=_now_ms(),
                )
            )

    def judge_again(self, sweep_id: int, number: int, judgement: Judgement) -> None:
        """Replace the judgement of one trial."""
        with self._engine.begin() as connection:
            connection.execute(
                sa.update(trials)
                .where(_t.sweep_id == sweep_id, _t.number == number)
                .values(verdict=str(judgement.verdict), judgement=to_plain(judgement))
            )

    def judgements(self, sweep_id: int, round_number: int) -> list[Judgement]:
        """Return the judgement of each trial of a round, in the order of the plans."""
        return [each for _, each in self._judgements(sweep_id, (round_number,))]

    def _judgements(self, sweep_id: int, rounds: Sequence[int]) -> list[tuple[int, Judgement]]:
        """Return the round and judgement of each trial of these rounds, read in one statement."""
        query = (
            sa.select(_t.round, _t.judgement)
            .where(_t.sweep_id == sweep_id, _t.round.in_(rounds), _t.ended_at_ms.is_not(None))
            .order_by(_t.number)
        )
        with self._reading() as connection:
            return [
                (row.round, judgement_from(sweep_id, row.judgement))
                for row in connection.execute(query)
            ]

    def observations(self, sweep_id: int, round_number: int) -> Iterator[tuple[int, Observation]]:
        """Return the number and observation of each trial of a round, decoded one at a time.

        Raises:
            Refusal: Another version of resumectl has stored them.
        """
        query = (
            sa.select(_t.number, _t.observation)
            .where(_t.sweep_id == sweep_id, _t.round == round_number, _t.ended_at_ms.is_not(None))
            .order_by(_t.number)
        )
        with self._reading() as connection:
            stored = connection.execute(query).all()
        return (
            (number, each)
            for number, packed in stored
            for each in unpack(sweep_id, packed, f"trial {number}")
        )

    def seconds(self, sweep_id: int, round_number: int) -> dict[str, list[float]]:
        """Return the durations of the trials of a round, by crash plan, in seconds."""
        query = (
            sa.select(_t.plan, _t.seconds)
            .where(_t.sweep_id == sweep_id, _t.round == round_number, _t.seconds.is_not(None))
            .order_by(_t.number)
        )
        found: defaultdict[str, list[float]] = defaultdict(list)
        with self._reading() as connection:
            for plan, seconds in connection.execute(query):
                found[plan].append(float(seconds))
        return dict(found)

    def not_run(self, sweep_id: int, round_number: int) -> list[str]:
        """Return the crash plans of the trials of a round that have not been run, in their order."""
        query = (
            sa.select(_t.plan)
            .where(_t.sweep_id == sweep_id, _t.round == round_number, _t.ended_at_ms.is_(None))
            .order_by(_t.number)
        )
        with self._reading() as connection:
            return list(connection.scalars(query))

    def observations_of(self, sweep_id: int, plans: Collection[str]) -> dict[str, Observation]:
        """Return the first observation of each of these crash plans.

        Raises:
            Refusal: Another version of resumectl has stored them.
        """
        query = (
            sa.select(_t.plan, _t.observation)
            .where(_t.sweep_id == sweep_id, _t.plan.in_(plans), _t.ended_at_ms.is_not(None))
            .order_by(_t.number.desc())
        )
        with self._reading() as connection:
            stored = {row.plan: row.observation for row in connection.execute(query)}
        return {
            plan: next(unpack(sweep_id, packed, f"the trial of {plan}"))
            for plan, packed in stored.items()
        }

    def verdicts(
        self, sweep_id: int, *, with_repetitions: bool = True
    ) -> tuple[int, dict[str, int]]:
        """Return the number of planned trials, and the number of trials with each verdict so far.

        Args:
            sweep_id: Number of the sweep.
            with_repetitions: Whether to count the trials that repeat others.
        """
        query = (
            sa.select(_t.verdict, sa.func.count())
            .where(_t.sweep_id == sweep_id)
            .group_by(_t.verdict)
        )
        if not with_repetitions:
            query = query.where(_t.round != REPEATED)
        with self._reading() as connection:
            found = {verdict: int(n) for verdict, n in connection.execute(query)}
        planned = sum(found.values())
        found.pop(None, None)
        return planned, found

    # --- earlier sweeps

    def last_of(self, target: Target) -> StoredSweep | None:
        """Return the newest sweep of a target with the same arguments; None if there is none.

        Args:
            target: The target.
        """
        wanted = to_plain(target)
        for each in self.stored():
            own = each.stored_spec.get("target")
            if not each.is_readable or not isinstance(own, dict):
                continue
            if all(own.get(key) == wanted[key] for key in _SAME):
                return each
        return None

    # --- the list

    def stored(self, sweep_id: int | None = None, *, limit: int | None = None) -> list[StoredSweep]:
        """Return all sweeps, newest first, or one sweep.

        Args:
            sweep_id: Number of the only sweep to return; None for all.
            limit: Maximum number of sweeps; None for all.

        Raises:
            Refusal: There is no sweep of that number.
        """
        rounds = sa.select(
            _t.sweep_id, _t.round, sa.func.count(), sa.func.count(_t.ended_at_ms)
        ).group_by(_t.sweep_id, _t.round)
        query = sa.select(
            _s.id, _s.target, _s.spec, _s.started_at_ms, _s.crash_points, _s.seconds,
            _s.verdicts,
        ).order_by(_s.id.desc())  # fmt: skip
        if sweep_id is not None:
            if sweep_id > _ID_MAX:
                raise no_sweep(sweep_id)
            query, rounds = query.where(_s.id == sweep_id), rounds.where(_t.sweep_id == sweep_id)
        if limit is not None:
            newest = sa.select(_s.id).order_by(_s.id.desc()).limit(limit)
            query, rounds = query.limit(limit), rounds.where(_t.sweep_id.in_(newest))
        with self._reading() as connection:
            counts = {
                (sweep, n): (planned, run) for sweep, n, planned, run in connection.execute(rounds)
            }
            found = []
            for row in connection.execute(query):
                last_round = max((n for sweep, n in counts if sweep == row.id), default=0)
                planned, run = counts.get((row.id, last_round), (0, 0))
                found.append(
                    StoredSweep(
                        row.id, row.target, row.spec, row.started_at_ms,
                        row.crash_points, row.seconds, row.verdicts, int(planned), int(run),
                    )
                )  # fmt: skip
        if sweep_id is not None and not found:
            raise no_sweep(sweep_id)
        return found


def _busy_seconds(connection: sa.Connection, sweep_id: int) -> float:
    rows = connection.execute(
        sa.select(_t.seconds, _t.ended_at_ms).where(
            _t.sweep_id == sweep_id, _t.ended_at_ms.is_not(None)
        )
    ).all()
    return _busy_ms([(r.ended_at_ms - 1000 * r.seconds, r.ended_at_ms) for r in rows]) / 1000


def _busy_ms(spans: Sequence[tuple[float, float]]) -> float:
    """Return the time in which trials were running, including short pauses, in milliseconds.

    Args:
        spans: Start and end time of each trial, in milliseconds.
    """
    total, until = 0.0, 0.0
    for began, ended in sorted(spans):
        total += max(0.0, ended - (began if began > until + _PAUSE_MIN_MS else until))
        until = max(until, ended)
    return total


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
