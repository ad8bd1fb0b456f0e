"""A sweep as durable workflows: killed at any moment, it goes on where it was.

Importing this registers them with DBOS. A sweep is a workflow, and each small group of its
trials is one more, on the sweep's own queue: whichever process serves that queue runs them,
with the `Bench` that it has put up. Knows dbos, and no scenario.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from dbos import DBOS

from resumectl.database import snapshot
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import Specification
from resumectl.publishing import remote, workflows
from resumectl.publishing.dbos_tables import SWEEP_CLASS
from resumectl.publishing.publisher import LifeEnding
from resumectl.runner.sweep_store import Archive
from resumectl.runner.sweep_worker import PREFIX, Bench, chosen, workflow_id_of
from resumectl.settings import Settings
from resumectl.statuses import UNFINISHED

# Small, so that workers share a sweep; not so small that its workflows cost what trials do.
GROUP_SIZE = 16
# In each process: the sweep's own workflow, and two groups, so that the trials of the next
# begin while the last ones of the first are running.
_WORKER_CONCURRENCY = 3
_POLL_S = 0.1
_RESULT_POLL_S = 0.2


def begin(
    settings: Settings,
    connection: sa.Connection,
    archive: Archive,
    specification: Specification,
    *,
    baselines: Sequence[Observation],
    every: Sequence[CrashPlan],
) -> int:
    """Write a sweep down, and leave it to whoever serves its queue: all of it or nothing.

    Args:
        settings: Where the database is.
        connection: In whose transaction.
        archive: Of that database.
        specification: What is to be swept.
        baselines: The uninterrupted runs.
        every: A plan for each crash point.

    Returns:
        The sweep's number.
    """
    sweep_id = archive.begin(connection, specification, baselines=baselines)
    first_round = every if specification.deaths > 1 else chosen(specification, every)
    archive.plan(connection, sweep_id, 1, first_round, crash_points=len(every))
    remote.enqueue_call(
        settings,
        connection,
        queue_name=workflow_id_of(sweep_id),
        workflow_id=workflow_id_of(sweep_id),
        workflow_name=Sweep.run.__qualname__,
        class_name=SWEEP_CLASS,
        arguments=(sweep_id, specification.deaths),
    )
    return sweep_id


def tend_queues(settings: Settings, engine: sa.Engine, sweeps: Sequence[int]) -> None:
    """Have a queue for each of these sweeps, and none for those that have ended.

    Args:
        settings: Where the database is.
        engine: On it.
        sweeps: Those that are to be run.
    """
    wanted = list(map(workflow_id_of, sweeps))
    with snapshot(engine) as connection:
        there = workflows.queue_names(connection, PREFIX)
        statuses = workflows.statuses(connection, there)
    missing = [name for name in wanted if name not in there]
    if missing:
        remote.register_queues(settings, dict.fromkeys(missing, (_WORKER_CONCURRENCY, _POLL_S)))
    ended = [n for n in there if statuses.get(n) not in UNFINISHED and n not in wanted]
    if ended:
        remote.delete_queues(settings, ended)


_bench: Bench | None = None


def put_up(bench: Bench | None) -> None:
    """Say where this process's trials are run."""
    global _bench
    _bench = bench


def _current() -> Bench:
    if _bench is None:
        raise LifeEnding  # this process runs no trials; the next one does
    return _bench


@DBOS.dbos_class()
class Sweep:
    """The workflows of a sweep. Their arguments are all that DBOS keeps of it.

    Class methods: of a static one DBOS does not record the class (3.4.0), by which a life
    knows what it can run.
    """

    @classmethod
    @DBOS.workflow()
    def run(cls, sweep_id: int, deaths: int) -> None:
        """Run every trial of a sweep, a round after the other, and conclude."""
        for round_number in range(1, deaths + 1):
            groups = cls.plan_round(sweep_id, round_number)
            handles = [
                DBOS.enqueue_workflow(workflow_id_of(sweep_id), cls.trials, sweep_id, *group)
                for group in groups
            ]
            for handle in handles:
                try:
                    handle.get_result(polling_interval_sec=_RESULT_POLL_S)
                except Exception as error:
                    if _current().is_ending:
                        raise LifeEnding from error
                    DBOS.logger.warning("a group of trials was not run: %s", error)
        cls.conclude(sweep_id)

    @classmethod
    @DBOS.workflow()
    def trials(cls, sweep_id: int, first: int, last: int) -> None:
        """Run a group of trials."""
        cls.run_group(sweep_id, first, last)

    @classmethod
    @DBOS.step()
    def plan_round(cls, sweep_id: int, round_number: int) -> list[list[int]]:
        """The first and last number of each group of a round."""
        bench = _current()
        with bench.at_work():
            if round_number > 1:
                bench.plan_second_deaths(sweep_id)
            numbers = bench.archive.numbers(sweep_id, round_number)
        return [
            [numbers[at], numbers[min(at + GROUP_SIZE, len(numbers)) - 1]]
            for at in range(0, len(numbers), GROUP_SIZE)
        ]

    @classmethod
    @DBOS.step()
    def run_group(cls, sweep_id: int, first: int, last: int) -> None:
        """Run a group's trials, each once."""
        bench = _current()
        with bench.at_work():
            bench.run(sweep_id, first, last)

    @classmethod
    @DBOS.step()
    def conclude(cls, sweep_id: int) -> None:
        """Judge all of it, and write down how it ended."""
        bench = _current()
        with bench.at_work():
            bench.conclude(sweep_id)
