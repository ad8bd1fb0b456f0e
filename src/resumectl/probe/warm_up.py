"""What every life inherits from its zygote: one engine, with its statements compiled.

A fresh process spends most of a life compiling SQL and warming up DBOS's own code (five
messages: 0.25 of 0.3 s of CPU). So a zygote lives small lives itself, once, on a database of
its own, and ends them: no thread and no connection is left, but what was compiled is.
"""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import chdir, contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource
from sqlalchemy import event

from resumectl.database import SQLITE_POOL_SIZE, set_up_sqlite
from resumectl.probe import pace

_THREADS_MAX_S = 10.0
_engine: sa.Engine | None = None
_url = sa.make_url("sqlite://")
# Name to limit: what is claimed under one is asked in another way.
_QUEUES = {"rehearsal": None, "rehearsal-limited": 2}
POLL_S = 0.01


def shared_engine(database_url: str) -> sa.Engine:
    """The one engine of this process and of those forked from it.

    Args:
        database_url: Of the database that its connections open from now on, with its password.
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
        def _connect(dialect: Any, _record: Any, cargs: list[Any], cparams: dict[str, Any]) -> None:
            own, named = dialect.create_connect_args(_url)
            cargs[:] = own
            cparams.update(named)
            if not is_file and "options" not in cparams:
                # It is the process that dies, and not the machine: as with files in memory.
                cparams["options"] = "-c synchronous_commit=off"

    # DBOS makes sure that the file is there, from whichever directory the program is in.
    _engine.url = url
    return _engine


def _play(datasource: SQLAlchemyDatasource) -> Callable[[], int]:
    """A small program: children started and enqueued, a step and a transaction each, an event."""

    @DBOS.step()
    def step(number: int) -> int:
        return number

    @DBOS.workflow()
    def child(number: int) -> int:
        query = sa.select(sa.literal(number))
        datasource.run_tx_step({"name": "look"}, lambda: datasource.sql_session().scalar(query))
        return step(number)

    @DBOS.workflow()
    def parent() -> int:
        handles = [DBOS.enqueue_workflow(queue, child, 1) for queue in _QUEUES]
        with SetWorkflowID("rehearsal-child"):
            handles.append(DBOS.start_workflow(child, 2))
        DBOS.set_event("state", "done")
        return sum(handle.get_result(polling_interval_sec=POLL_S) for handle in handles)

    return parent


def rehearse(
    directory: Path, database_url: str, config: Mapping[str, Any], *, queues: Sequence[str] = ()
) -> None:
    """Live two small lives, the second of which recovers, and leave no thread.

    To be called before anything is imported that registers workflows with DBOS: it ends by
    taking DBOS's registry away.

    Args:
        directory: Where to be meanwhile.
        database_url: Of a migrated database.
        config: DBOS's.
        queues: More queues to register.

    Raises:
        RuntimeError: A thread is left, so that forking would be unsafe.
    """
    engine = shared_engine(database_url)
    parent = _play(SQLAlchemyDatasource.create(database_url, engine=engine))

    # One that is there before a launch is served at once; else DBOS looks for it once a second.
    with _life(directory, database_url, config):
        for name, limit in _QUEUES.items():
            DBOS.register_queue(name, worker_concurrency=limit, polling_interval_sec=POLL_S)
        for name in queues:
            DBOS.register_queue(name, polling_interval_sec=POLL_S)

    def request() -> None:
        # Enqueued, as what was started is recovered on a queue that is looked at once a second.
        with SetWorkflowID("rehearsal"):
            handle = DBOS.enqueue_workflow(next(iter(_QUEUES)), parent)
        handle.get_result(polling_interval_sec=POLL_S)

    live_twice(directory, database_url, config, request, "rehearsal")
    # With what was registered: the play is no part of any program under test.
    DBOS.destroy(destroy_registry=True)


def live_twice(
    directory: Path,
    database_url: str,
    config: Mapping[str, Any],
    request: Callable[[], Any],
    workflow_id: str,
) -> None:
    """Live, and live again as if one workflow had been cut off before its end.

    Args:
        directory: Where to be meanwhile.
        database_url: Of a migrated database.
        config: DBOS's.
        request: Made in the first life.
        workflow_id: What the second life recovers.

    Raises:
        RuntimeError: A thread is left.
    """
    engine = shared_engine(database_url)
    prefix = "" if engine.dialect.name == "sqlite" else "dbos."
    cut_off = sa.text(
        f"UPDATE {prefix}workflow_status SET status = 'PENDING' WHERE workflow_uuid = :id"
    )
    with _life(directory, database_url, config):
        request()
    with engine.begin() as connection:
        connection.execute(cut_off, {"id": workflow_id})
    with _life(directory, database_url, config):
        DBOS.retrieve_workflow(workflow_id).get_result(polling_interval_sec=POLL_S)
    engine.dispose()
    _refuse_threads()


@contextmanager
def _life(directory: Path, database_url: str, config: Mapping[str, Any]) -> Iterator[None]:
    merged: Any = {
        **config,
        "name": "rehearsal",
        "system_database_engine": shared_engine(database_url),
        "log_level": "CRITICAL",  # what goes wrong is told by whoever asked for it
    }
    with chdir(directory):
        DBOS(config=merged)
        DBOS.launch()
        yield
        DBOS.destroy()


def _refuse_threads() -> None:
    deadline = time.monotonic() + pace.stretched(_THREADS_MAX_S)
    for thread in threading.enumerate():
        if thread is not threading.current_thread():
            thread.join(max(0.0, deadline - time.monotonic()))
    if threading.active_count() > 1:
        left = [each.name for each in threading.enumerate()]
        raise RuntimeError(f"threads are left: {', '.join(left)}")
