"""Store the trials of one sweep, and read them back.

An observation is stored once, as soon as its trial has ended, so a killed sweep loses no trial and counts
none twice.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import sqlalchemy as sa

from resumectl.judge.stability import Judged, settled
from resumectl.model.codec import to_plain
from resumectl.model.crash_plan import CrashPlan, PlannedTrial
from resumectl.model.observation import Observation
from resumectl.model.verdict import Judgement
from resumectl.publishing.store.models import trials
from resumectl.runner.store_reader import StoreReader
from resumectl.runner.stored_form import judgement_from, pack, unpack

# A longer pause, such as that of a sweep that was killed, does not count as time of the sweep.
_PAUSE_MIN_MS = 1_000
# Round number of the trials that repeat others.
REPEATED = 0
_t = trials.c


class TrialStore:
    """Store of the trials of one sweep.

    Args:
        reader: Reader of the database.
        sweep_id: Number of the sweep.
    """

    def __init__(self, reader: StoreReader, sweep_id: int) -> None:
        self._reader = reader
        self._sweep_id = sweep_id
        self._own = _t.sweep_id == sweep_id

    # --- planned

    def plan(
        self, connection: sa.Connection, round_number: int, plans: Sequence[CrashPlan]
    ) -> bool:
        """Store the trials of a round; return False if they are stored already.

        Args:
            connection: Connection with an open transaction.
            round_number: Number of crashes of each plan.
            plans: Crash plans of the trials, in their order.
        """
        if connection.scalar(self._of_round(_t.number, round_number)) is not None:
            return False
        self._append(connection, round_number, plans)
        return True

    def plan_again(self, plans: Sequence[CrashPlan]) -> None:
        """Store further trials that repeat others."""
        with self._reader.engine.begin() as connection:
            self._append(connection, REPEATED, plans)

    def _append(
        self, connection: sa.Connection, round_number: int, plans: Sequence[CrashPlan]
    ) -> None:
        last = connection.scalar(sa.select(sa.func.max(_t.number)).where(self._own)) or 0
        rows = [
            {"sweep_id": self._sweep_id, "number": n, "round": round_number, "plan": str(plan)}
            for n, plan in enumerate(plans, start=last + 1)
        ]
        if rows:
            connection.execute(sa.insert(trials), rows)

    def numbers(self, round_number: int) -> list[int]:
        """Return the numbers of the trials of a round."""
        with self._reader.reading() as connection:
            return list(connection.scalars(self._of_round(_t.number, round_number)))

    def to_run(self, first: int, last: int) -> list[PlannedTrial]:
        """Return the trials with these numbers that have not been run, in their order."""
        turn = sa.func.row_number().over(partition_by=(_t.round, _t.plan), order_by=_t.number)
        every = (
            sa.select(_t.number, _t.plan, _t.round, _t.ended_at_ms, turn.label("turn"))
            .where(self._own)
            .subquery()
        )
        query = (
            sa.select(every.c.number, every.c.plan, every.c.round, every.c.turn)
            .where(every.c.number.between(first, last), every.c.ended_at_ms.is_(None))
            .order_by(every.c.number)
        )
        with self._reader.reading() as connection:
            return [
                PlannedTrial(number, CrashPlan.parse(plan), int(turn) - 1)
                if round_number != REPEATED
                else PlannedTrial(number, CrashPlan.parse(plan), is_check=True)
                for number, plan, round_number, turn in connection.execute(query)
            ]

    def not_run(self, round_number: int) -> list[str]:
        """Return the crash plans of the trials of a round that have not been run, in their order."""
        query = self._of_round(_t.plan, round_number).where(_t.ended_at_ms.is_(None))
        with self._reader.reading() as connection:
            return list(connection.scalars(query))

    def verdicts(self, *, with_repetitions: bool = True) -> tuple[int, dict[str, int]]:
        """Return the number of planned trials, and the number of trials with each verdict so far.

        Args:
            with_repetitions: Whether to count the trials that repeat others.
        """
        query = sa.select(_t.verdict, sa.func.count()).where(self._own).group_by(_t.verdict)
        if not with_repetitions:
            query = query.where(_t.round != REPEATED)
        with self._reader.reading() as connection:
            found = {verdict: int(n) for verdict, n in connection.execute(query)}
        planned = sum(found.values())
        found.pop(None, None)
        return planned, found

    # --- ended

    def keep(self, number: int, trial: Observation, judgement: Judgement) -> None:
        """Store one trial that has ended, unless a trial with its number is stored already."""
        with self._reader.engine.begin() as connection:
            connection.execute(
                sa.update(trials)
                .where(self._own, _t.number == number, _t.ended_at_ms.is_(None))
                .values(
                    observation=pack([trial]),
                    verdict=str(judgement.verdict),
                    judgement=to_plain(judgement),
                    seconds=trial.seconds,
                    ended_at_ms=time.time_ns() // 1_000_000,
                )
            )

    def judge_again(self, number: int, judgement: Judgement) -> None:
        """Replace the judgement of one trial."""
        with self._reader.engine.begin() as connection:
            connection.execute(
                sa.update(trials)
                .where(self._own, _t.number == number)
                .values(verdict=str(judgement.verdict), judgement=to_plain(judgement))
            )

    def judged(self, round_number: int) -> Judged:
        """Return the judgements of the trials of a round and of their repetitions."""
        found = self._judgements((round_number, REPEATED))
        first, repeated = (
            [each for of_round, each in found if of_round == wanted]
            for wanted in (round_number, REPEATED)
        )
        return settled(first, repeated)

    def judgements(self, round_number: int) -> list[Judgement]:
        """Return the judgement of each trial of a round, in the order of the plans."""
        return [each for _, each in self._judgements((round_number,))]

    def _judgements(self, rounds: Sequence[int]) -> list[tuple[int, Judgement]]:
        """Return the round and judgement of each trial of these rounds, read in one statement."""
        query = (
            sa.select(_t.round, _t.judgement)
            .where(self._own, _t.round.in_(rounds), _t.ended_at_ms.is_not(None))
            .order_by(_t.number)
        )
        with self._reader.reading() as connection:
            return [
                (row.round, judgement_from(self._sweep_id, row.judgement))
                for row in connection.execute(query)
            ]

    def observations(self, round_number: int) -> Iterator[tuple[int, Observation]]:
        """Return the number and observation of each trial of a round, decoded one at a time.

        Raises:
            Refusal: Another version of resumectl has stored them.
        """
        query = self._ended(_t.number, _t.observation).where(_t.round == round_number)
        with self._reader.reading() as connection:
            stored = connection.execute(query.order_by(_t.number)).all()
        return (
            (number, each)
            for number, packed in stored
            for each in unpack(self._sweep_id, packed, f"trial {number}")
        )

    def observations_of(self, plans: Collection[str]) -> dict[str, Observation]:
        """Return the first observation of each of these crash plans.

        Raises:
            Refusal: Another version of resumectl has stored them.
        """
        query = self._ended(_t.plan, _t.observation).where(_t.plan.in_(plans))
        with self._reader.reading() as connection:
            newest_first = connection.execute(query.order_by(_t.number.desc()))
            stored = {row.plan: row.observation for row in newest_first}
        return {
            plan: next(unpack(self._sweep_id, packed, f"the trial of {plan}"))
            for plan, packed in stored.items()
        }

    def seconds(self, round_number: int) -> dict[str, list[float]]:
        """Return the durations of the trials of a round, by crash plan, in seconds."""
        query = self._ended(_t.plan, _t.seconds).where(_t.round == round_number)
        found: defaultdict[str, list[float]] = defaultdict(list)
        with self._reader.reading() as connection:
            for plan, seconds in connection.execute(query.order_by(_t.number)):
                found[plan].append(float(seconds))
        return dict(found)

    def busy_seconds(self) -> float:
        """Return the time in which trials have been running so far, in seconds."""
        with self._reader.reading() as connection:
            rows = connection.execute(self._ended(_t.seconds, _t.ended_at_ms))
            spans = [(end - 1000 * float(seconds), end) for seconds, end in rows]
        return _busy_ms(spans) / 1000

    # --- queries

    def _of_round(self, column: sa.Column[Any], round_number: int) -> sa.Select[Any]:
        """Return the query for a column of the trials of a round, in their order."""
        return sa.select(column).where(self._own, _t.round == round_number).order_by(_t.number)

    def _ended(self, *columns: sa.Column[Any]) -> sa.Select[Any]:
        """Return the query for columns of the trials that have ended."""
        return sa.select(*columns).where(self._own, _t.ended_at_ms.is_not(None))


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
