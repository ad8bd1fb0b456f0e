"""Run small workflows in the fork server, whose compiled statements every target process inherits.

A fresh process spends most of its time compiling SQL and warming up DBOS's own code (five messages:
0.25 of 0.3 s of CPU). So the fork server launches DBOS itself, twice, on a database of its own, and
destroys it. No thread and no connection is left, but the compiled statements are.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import cast

import dbos
import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, Queue, SetWorkflowID, WorkflowHandle
from sqlalchemy import event

from resumectl.probe import pace
from resumectl.probe.dbos_features import Feature, has
from resumectl.storage.sqlite import SQLITE_POOL_SIZE, set_up_sqlite

_THREADS_MAX_S = 10.0
_engine: sa.Engine | None = None
_url = sa.make_url("sqlite://")
# Queue name to concurrency limit: DBOS claims work with another statement under a limit.
_QUEUES = {"warm-up": None, "warm-up-limited": 2}
POLL_S = 0.01

Register = Callable[..., object]  # a queue, by its name and options
Enqueue = Callable[..., WorkflowHandle[int]]  # by the name of a queue, a workflow and its arguments


class ThreadsLeft(Exception):
    """Threads other than the main one run after the warm-up.

    Attributes:
        names: Their names.
    """

    def __init__(self, names: Sequence[str]) -> None:
        super().__init__(f"threads are left: {', '.join(names)}")
        self.names = tuple(names)


def shared_engine(database_url: str) -> sa.Engine:
    """Return the one engine of this process and of those forked from it.

    Args:
        database_url: URL of the database that its connections open from now on, with its password.
    """
    global _engine, _url
    _url = sa.make_url(database_url)
    is_file = _url.get_backend_name() == "sqlite"
    url = _url if is_file else _url.set(drivername="postgresql+psycopg")
    if _engine is None:
        # The dialect is part of the key of a compiled statement: it must be the same object.
        # No schema is translated: that would be done anew each time that one is executed.
        _engine = sa.create_engine(url, pool_size=SQLITE_POOL_SIZE)
        if is_file:
            set_up_sqlite(_engine)

        @event.listens_for(_engine, "do_connect")
        def _connect(
            dialect: sa.Dialect, _record: object, cargs: list[object], cparams: dict[str, object]
        ) -> None:
            own, named = dialect.create_connect_args(_url)
            cargs[:] = own
            cparams.update(named)
            if not is_file and "options" not in cparams:
                # Only the process is killed, never the machine, so no write needs to reach the disk.
                cparams["options"] = "-c synchronous_commit=off"

    # DBOS checks that the file exists, from the directory that the program is in.
    _engine.url = url
    return _engine


def _transaction(database_url: str, engine: sa.Engine) -> Callable[[int], object]:
    """Return a function that runs a transaction; one that does nothing where DBOS has no datasources."""
    if not has(Feature.DATASOURCES):
        return lambda _number: None
    datasource = dbos.SQLAlchemyDatasource.create(database_url, engine=engine)

    def transact(number: int) -> object:
        query = sa.select(sa.literal(number))
        return datasource.run_tx_step(
            {"name": "look"}, lambda: datasource.sql_session().scalar(query)
        )

    return transact


def _queues() -> tuple[Register, Enqueue]:
    """Return how this release of DBOS registers a queue, and enqueues a workflow on one."""
    if has(Feature.STORED_QUEUES):
        return DBOS.register_queue, DBOS.enqueue_workflow
    declared: dict[str, Queue] = {}

    def register(name: str, **options: object) -> None:
        declared[name] = Queue(name, **options)  # type: ignore[arg-type]

    return register, lambda queue, *call: declared[queue].enqueue(*call)


def _small_program(transact: Callable[[int], object], enqueue: Enqueue) -> Callable[[], int]:
    """Return a workflow that starts and enqueues children, with a step and a transaction each."""

    @DBOS.step()
    def step(number: int) -> int:
        return number

    @DBOS.workflow()
    def child(number: int) -> int:
        transact(number)
        return step(number)

    @DBOS.workflow()
    def parent() -> int:
        handles = [enqueue(queue, child, 1) for queue in _QUEUES]
        with SetWorkflowID("warm-up-child"):
            handles.append(DBOS.start_workflow(child, 2))
        DBOS.set_event("state", "done")
        return sum(handle.get_result(polling_interval_sec=POLL_S) for handle in handles)

    return parent


def warm_up(
    directory: Path, database_url: str, config: Mapping[str, object], *, queues: Sequence[str] = ()
) -> None:
    """Launch DBOS twice, the second time with a recovery, and leave no thread.

    To be called before anything is imported that registers workflows with DBOS: it ends by
    destroying DBOS's registry.

    Args:
        directory: Working directory during the call.
        database_url: URL of a migrated database.
        config: Settings of DBOS.
        queues: More queues to register.

    Raises:
        ThreadsLeft: Forking would be unsafe.
    """
    engine = shared_engine(database_url)
    register, enqueue = _queues()
    parent = _small_program(_transaction(database_url, engine), enqueue)

    # A queue that exists before a launch is served at once; DBOS looks for others once a second.
    with _launched(directory, database_url, config):
        for name, limit in _QUEUES.items():
            register(name, worker_concurrency=limit, polling_interval_sec=POLL_S)
        for name in queues:
            register(name, polling_interval_sec=POLL_S)

    def request() -> None:
        # Enqueued: DBOS recovers a started workflow on a queue that it polls once a second.
        with SetWorkflowID("warm-up"):
            handle = enqueue(next(iter(_QUEUES)), parent)
        handle.get_result(polling_interval_sec=POLL_S)

    launch_twice(directory, database_url, config, request, "warm-up")
    # The registry goes too: this workflow is no part of any program under test.
    DBOS.destroy(destroy_registry=True)


def launch_twice(
    directory: Path,
    database_url: str,
    config: Mapping[str, object],
    request: Callable[[], object],
    workflow_id: str,
) -> None:
    """Launch DBOS, and launch it again as if one workflow had been interrupted before its end.

    Args:
        directory: Working directory during the call.
        database_url: URL of a migrated database.
        config: Settings of DBOS.
        request: Function to call after the first launch.
        workflow_id: Id of the workflow that the second launch recovers.

    Raises:
        ThreadsLeft: Forking would be unsafe.
    """
    engine = shared_engine(database_url)
    prefix = "" if engine.dialect.name == "sqlite" else "dbos."
    cut_off = sa.text(
        f"UPDATE {prefix}workflow_status SET status = 'PENDING' WHERE workflow_uuid = :id"
    )
    with _launched(directory, database_url, config):
        request()
    with engine.begin() as connection:
        connection.execute(cut_off, {"id": workflow_id})
    with _launched(directory, database_url, config):
        DBOS.retrieve_workflow(workflow_id).get_result(polling_interval_sec=POLL_S)
    engine.dispose()
    _refuse_threads()


@contextmanager
def _launched(directory: Path, database_url: str, config: Mapping[str, object]) -> Iterator[None]:
    merged = {
        **config,
        "name": "warm-up",
        "system_database_engine": shared_engine(database_url),
        "log_level": "CRITICAL",  # the runner reports errors
    }
    before = Path.cwd()
    os.chdir(directory)
    try:
        DBOS(config=cast(DBOSConfig, merged))
        DBOS.launch()
        yield
        DBOS.destroy()
    finally:
        os.chdir(before)


def _refuse_threads() -> None:
    deadline = time.monotonic() + pace.stretched(_THREADS_MAX_S)
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
    if threading.active_count() > 1:
        main = threading.current_thread()
        raise ThreadsLeft([each.name for each in threading.enumerate() if each is not main])
