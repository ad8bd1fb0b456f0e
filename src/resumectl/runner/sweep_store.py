"""Store sweeps in resumectl's database, list them, and read them back; `trial_store` has their trials."""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Self

import sqlalchemy as sa

from resumectl.database import Snapshot, snapshot
from resumectl.model.codec import to_plain
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target
from resumectl.model.verdict import count_verdicts
from resumectl.publishing.store.models import sweeps, trials
from resumectl.runner.store_reader import StoreReader
from resumectl.runner.stored_form import pack, spec_from, spec_to_plain, unpack
from resumectl.runner.stored_sweep import StoredSweep, no_sweep
from resumectl.runner.trial_store import TrialStore

_ID_MAX = 2**31 - 1  # of an INTEGER
_SAME = ("entry", "args", "kwargs", "count", "guarantee")  # what makes two targets the same
_s, _t = sweeps.c, trials.c


class SweepStore:
    """Store of sweeps.

    Args:
        engine: Engine of a database that has resumectl's tables.
        frozen: Open snapshot in which everything is read; None to open one for each read.
    """

    def __init__(self, engine: sa.Engine, frozen: Snapshot | None = None) -> None:
        self._reader = StoreReader(engine, frozen)

    @contextmanager
    def frozen(self) -> Iterator[Self]:
        """Yield a read-only store that reads everything as of one moment."""
        with snapshot(self._reader.engine) as connection:
            yield type(self)(self._reader.engine, connection)

    def trials(self, sweep_id: int) -> TrialStore:
        """Return the store of the trials of a sweep."""
        return TrialStore(self._reader, sweep_id)

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
            started_at_ms=time.time_ns() // 1_000_000,
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
        if self.trials(sweep_id).plan(connection, round_number, plans):
            connection.execute(
                sa.update(sweeps).where(_s.id == sweep_id).values(crash_points=crash_points)
            )

    def end(self, sweep_id: int, *, round_number: int) -> None:
        """Store the end of a sweep.

        Args:
            sweep_id: Number of the sweep.
            round_number: Number of its last round.
        """
        ended = self.trials(sweep_id)
        verdicts = count_verdicts(ended.judged(round_number).trials)
        seconds = ended.busy_seconds()
        with self._reader.engine.begin() as connection:
            connection.execute(
                sa.update(sweeps)
                .where(_s.id == sweep_id)
                .values(seconds=seconds, verdicts=verdicts)
            )

    # --- its uninterrupted runs

    def spec(self, sweep_id: int) -> SweepSpec:
        """Return the spec of a sweep.

        Raises:
            Refusal: Another version of resumectl has stored it.
        """
        with self._reader.reading() as connection:
            found = connection.execute(sa.select(_s.spec).where(_s.id == sweep_id))
            return spec_from(sweep_id, found.scalar_one())

    def baselines(self, sweep_id: int) -> list[Observation]:
        """Return the runs without a crash.

        Raises:
            Refusal: Another version of resumectl has stored them.
        """
        with self._reader.reading() as connection:
            stored = connection.scalar(sa.select(_s.baselines).where(_s.id == sweep_id))
        assert stored is not None, "the sweep has no baselines yet"
        return list(unpack(sweep_id, stored, "a run without a crash"))

    def set_baselines(self, sweep_id: int, baselines: Sequence[Observation]) -> None:
        """Store the runs without a crash."""
        with self._reader.engine.begin() as connection:
            connection.execute(
                sa.update(sweeps).where(_s.id == sweep_id).values(baselines=pack(baselines))
            )

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
        with self._reader.reading() as connection:
            counts = {
                (sweep, n): (planned, run) for sweep, n, planned, run in connection.execute(rounds)
            }
            found = []
            for row in connection.execute(query):
                last_round = max((n for sweep, n in counts if sweep == row.id), default=0)
                planned, run = counts.get((row.id, last_round), (0, 0))
                found.append(
                    StoredSweep(
                        row.id, row.target, row.spec, int(row.started_at_ms), int(row.crash_points),
                        None if row.seconds is None else float(row.seconds), row.verdicts,
                        int(planned), int(run),
                    )
                )  # fmt: skip
        if sweep_id is not None and not found:
            raise no_sweep(sweep_id)
        return found
