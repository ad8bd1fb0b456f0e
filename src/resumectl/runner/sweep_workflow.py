"""Run a sweep as DBOS workflows: a sweep that is killed continues where it was.

Importing this module registers the workflows with DBOS. A sweep is a workflow, and each small group of
its trials is a child workflow on the sweep's own queue. Any process that serves the queue runs them, with
the `SweepWorker` that it has set.
"""

from collections.abc import Sequence

import sqlalchemy as sa
from dbos import DBOS

from resumectl.database import snapshot
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.publishing import remote
from resumectl.publishing.publisher import RuntimeEnding
from resumectl.publishing.store import workflows
from resumectl.publishing.store.dbos_tables import SWEEP_CLASS
from resumectl.runner.sweep_ids import PREFIX, workflow_id_of
from resumectl.runner.sweep_store import SweepStore
from resumectl.runner.sweep_worker import SweepWorker, chosen
from resumectl.settings import Settings
from resumectl.statuses import UNFINISHED

# Small enough that workers share a sweep, and large enough that workflows cost less than trials.
GROUP_SIZE = 16
# In each process: the sweep's own workflow and two groups. The trials of the second group start while
# the last trials of the first are running.
_WORKER_CONCURRENCY = 3
# Each poll costs about 0.8 ms of processor time: at 0.02 s, both kinds took 4 % of a sweep.
_POLL_S = 0.05
_RESULT_POLL_S = 0.05


def begin(
    settings: Settings,
    connection: sa.Connection,
    spec: SweepSpec,
    *,
    baselines: Sequence[Observation],
    plans: Sequence[CrashPlan],
    crash_points: int,
) -> int:
    """Store a sweep, and enqueue its workflow in the same transaction.

    Args:
        settings: Settings with the database.
        connection: Connection with an open transaction.
        spec: Spec of the sweep.
        baselines: Observations of the uninterrupted runs.
        plans: Crash plans to choose from, each with one crash.
        crash_points: Number of all crash points of the program.

    Returns:
        The number of the sweep.
    """
    store = SweepStore(connection.engine)
    sweep_id = store.begin(connection, spec, baselines=baselines)
    first_round = plans if spec.crashes > 1 else chosen(spec, plans)
    store.plan(connection, sweep_id, 1, first_round, crash_points=crash_points)
    call = remote.WorkflowCall(
        queue_name=workflow_id_of(sweep_id),
        workflow_id=workflow_id_of(sweep_id),
        workflow_name=Sweep.run.__qualname__,
        class_name=SWEEP_CLASS,
        arguments=(sweep_id, spec.crashes),
    )
    remote.enqueue_call(settings, connection, call)
    return sweep_id


def update_queues(settings: Settings, engine: sa.Engine, sweeps: Sequence[int]) -> None:
    """Make a queue for each of these sweeps, and delete the queues of ended sweeps.

    Args:
        settings: Settings with the database.
        engine: Engine of the database.
        sweeps: Numbers of the sweeps to run.
    """
    wanted = list(map(workflow_id_of, sweeps))
    with snapshot(engine) as connection:
        existing = workflows.queue_names(connection, PREFIX)
        statuses = workflows.statuses(connection, existing)
    missing = [name for name in wanted if name not in existing]
    if missing:
        remote.register_queues(settings, dict.fromkeys(missing, (_WORKER_CONCURRENCY, _POLL_S)))
    ended = [n for n in existing if statuses.get(n) not in UNFINISHED and n not in wanted]
    if ended:
        remote.delete_queues(settings, ended)


_worker: SweepWorker | None = None


def set_worker(worker: SweepWorker | None) -> None:
    """Set the worker that runs this process's trials; None for none."""
    global _worker
    _worker = worker


def _current() -> SweepWorker:
    if _worker is None:
        raise RuntimeEnding  # this process runs no trials; another process will
    return _worker


@DBOS.dbos_class()
class Sweep:
    """Workflows of a sweep. DBOS stores only their arguments.

    They are class methods, because DBOS (3.4.0) does not record the class of a static method. A process
    finds out by the class what it can run.
    """

    @classmethod
    @DBOS.workflow()
    def run(cls, sweep_id: int, crashes: int) -> None:
        """Run every trial of a sweep, round by round, and judge them."""
        for round_number in range(1, crashes + 1):
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
                        raise RuntimeEnding from error
                    DBOS.logger.warning("a group of trials was not run: %s", error)
        cls.finish(sweep_id)

    @classmethod
    @DBOS.workflow()
    def trials(cls, sweep_id: int, first: int, last: int) -> None:
        """Run a group of trials."""
        cls.run_group(sweep_id, first, last)

    @classmethod
    @DBOS.step()
    def plan_round(cls, sweep_id: int, round_number: int) -> list[list[int]]:
        """Return the first and last number of each group of a round."""
        worker = _current()
        with worker.at_work():
            if round_number > 1:
                worker.plan_second_crashes(sweep_id)
            numbers = worker.store.trials(sweep_id).numbers(round_number)
        return [
            [numbers[at], numbers[min(at + GROUP_SIZE, len(numbers)) - 1]]
            for at in range(0, len(numbers), GROUP_SIZE)
        ]

    @classmethod
    @DBOS.step()
    def run_group(cls, sweep_id: int, first: int, last: int) -> None:
        """Run the trials of a group, each once."""
        worker = _current()
        with worker.at_work():
            worker.run(sweep_id, first, last)

    @classmethod
    @DBOS.step()
    def finish(cls, sweep_id: int) -> None:
        """Judge all trials, and store the end of the sweep."""
        worker = _current()
        with worker.at_work():
            worker.finish(sweep_id)
