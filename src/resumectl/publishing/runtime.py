"""Run publishers in this process: from the lock on its executor id to its end in order.

This module starts everything in the one order that works: schema, lock, row in `processes`,
every known publisher, datasource, launch, queue. It takes over the work of processes that have
ended, and never the work of running ones.
"""

import logging
import os
import socket
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, NamedTuple, Protocol, Self

import sqlalchemy as sa
from dbos import DBOS, DBOSConfig, SQLAlchemyDatasource, WorkflowHandle
from sqlalchemy import event

from resumectl.database import (
    explain,
    failures_explained,
    open_engine,
    snapshot,
)
from resumectl.errors import MachineFailure, Refusal
from resumectl.publishing import remote
from resumectl.publishing.publisher import (
    POLL_S,
    Order,
    Outlet,
    Publisher,
    RuntimeEnding,
    open_outlet,
)
from resumectl.publishing.store import batches as batch_book
from resumectl.publishing.store import records, workflows
from resumectl.publishing.store.batches import Batch
from resumectl.publishing.store.dbos_tables import BATCH_QUEUE_NAME, QUEUE_NAME
from resumectl.publishing.store.limits import checked_concurrency
from resumectl.publishing.store.migration import ensure_migrated
from resumectl.publishing.store.models import processes, publishers
from resumectl.publishing.store.processes import RESET, ExecutorLocks, executor_locks
from resumectl.publishing.store.state import Guarantee
from resumectl.publishing.store.workflows import WorkflowFilter
from resumectl.settings import Settings
from resumectl.statuses import ENDED
from resumectl.storage.disk_errors import is_storage_failure
from resumectl.storage.sqlite import SQLITE_POOL_SIZE

DRAIN_TIMEOUT_S = 30.0
ADOPT_EVERY_S = 2.0
DEFAULT_EXECUTOR_ID = "local"
# Interval between two polls in `wait`: this part of the time waited so far, and at most so long.
_POLL_SHARE = 0.03
_POLL_MAX_S = 0.25

log = logging.getLogger("resumectl")
_DBOS_LOG = logging.getLogger("dbos")


class Companion(Protocol):
    """Other work of a process, besides the batches of publishers."""

    def check(self) -> None:
        """Raise the error that stopped it, if one did."""

    def drain(self) -> bool:
        """Begin nothing new and end the work in progress; return whether it ended in time."""

    def queue_of(self, workflow_id: str) -> str | None:
        """Return the queue of one of its workflows; None for a workflow of others."""


class Adopted(NamedTuple):
    """One workflow that this process took over from a process that has ended."""

    workflow_id: str
    executor_id: str  # executor id of that process


class Runtime:
    """Run publishers in this process: enter to launch DBOS, leave to end in order.

    Args:
        settings: Settings that name the database.
        command: Name of what this process does, for its row in `processes`.
        concurrency: Maximum number of messages in progress in each process; None leaves it as it
            is.
        queues: Names of the queues to serve; None for all.
        executor_base: Executor id to take; if it is held, a number is appended.
        companion: Other work of this process.

    Raises:
        Refusal: A running process holds the executor id that the settings name.
        MachineFailure: The database fails.

    Example:
        >>> from resumectl import Runtime, Settings
        >>> settings = Settings.resolve(db_url="sqlite:///example.sqlite")
        >>> with Runtime(settings, "example") as runtime:
        ...     runtime.publish("alpha", ["first", "second"]).get_result()
        {'messages': 2, 'failed': []}
    """

    def __init__(
        self,
        settings: Settings,
        command: str,
        *,
        concurrency: int | None = None,
        queues: Sequence[str] | None = (QUEUE_NAME, BATCH_QUEUE_NAME),
        executor_base: str = DEFAULT_EXECUTOR_ID,
        companion: Companion | None = None,
    ) -> None:
        self.settings = settings
        self.command = command
        self._queues = queues
        self._executor_base = executor_base
        self._companion = companion
        self.engine = open_engine(settings)
        self.locks: ExecutorLocks = executor_locks(settings)
        self.executor_id = ""
        self.id = 0
        self._concurrency = checked_concurrency(concurrency)
        self._outlet: Outlet | None = None
        self._ended = False
        self._log_level_of_dbos = _DBOS_LOG.level

    def __enter__(self) -> Self:
        with failures_explained(self.settings):
            try:
                self._begin()
            except BaseException:
                self._release()
                raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self.end(
            "done" if kind is None else "interrupted" if kind is KeyboardInterrupt else "failed"
        )

    def _begin(self) -> None:
        ensure_migrated(self.settings, self.engine)
        self.executor_id = self._take_executor_id()
        # First the lock, then the check; `reset` does it in the other order. So one sees the other.
        if RESET in self.locks.held():
            raise Refusal("the database is being reset", next_step="try again")
        with self.engine.begin() as connection:
            self.id = self._record_start(connection)
            names = list(connection.scalars(sa.select(publishers.c.name)))
        with snapshot(self.engine) as connection:
            is_first = not workflows.queue_exists(connection, self.settings, BATCH_QUEUE_NAME)
        if is_first:
            remote.register_publisher_queues(self.settings)
        if self._concurrency is not None:
            remote.set_concurrency(self.settings, self._concurrency)
        DBOS(config=self._dbos_config())
        outlet = Outlet(
            SQLAlchemyDatasource.create(
                self.settings.secret_url, engine=self.engine, schema=self.settings.dbos_schema
            ),
            self.id,
        )
        self._outlet = outlet
        open_outlet(outlet)
        event.listen(sa.Engine, "handle_error", self._notice_storage_failure, retval=True)
        for name in names:
            Publisher.named(name)
        if self._queues is not None:
            DBOS.listen_queues(self._queues)
        DBOS.launch()

    def _dbos_config(self) -> DBOSConfig:
        config: DBOSConfig = {
            "name": self.settings.app_name,
            "system_database_url": self.settings.secret_url,
            "dbos_system_schema": self.settings.dbos_schema,
            "application_version": self.settings.app_version,
            "executor_id": self.executor_id,
            # The listener sleeps between two polls, and the end of the process waits for it.
            "notification_listener_polling_interval_sec": POLL_S,
            "log_level": logging.getLevelName(_DBOS_LOG.getEffectiveLevel()),
        }
        if self.settings.is_sqlite:
            config["sys_db_pool_size"] = SQLITE_POOL_SIZE
        return config

    def _take_executor_id(self) -> str:
        wanted = self.settings.executor_id
        if wanted is not None:
            if self.locks.acquire(wanted):
                return wanted
            raise Refusal(
                f"the executor id {wanted} is held by a running process",
                next_step="leave out --executor, or end that process",
            )
        number = 1
        while True:
            candidate = self._executor_base + ("" if number == 1 else f"-{number}")
            if self.locks.acquire(candidate):
                return candidate
            number += 1

    def _record_start(self, connection: sa.Connection) -> int:
        statement = (
            sa.insert(processes)
            .values(
                executor_id=self.executor_id,
                app_version=self.settings.app_version,
                command=self.command,
                pid=os.getpid(),
                host=socket.gethostname(),
                started_at_ms=_now_ms(),
            )
            .returning(processes.c.id)
        )
        process_id = int(connection.execute(statement).scalar_one())
        self.locks.set_process(self.executor_id, process_id)
        return process_id

    def check(self) -> None:
        """Check that this process can continue.

        Raises:
            MachineFailure: The disk under the database fails; or the lock is lost, and another
                process may take over the work of this one.
        """
        if self._outlet is not None and self._outlet.failure is not None:
            raise explain(self._outlet.failure, self.settings)
        if self._companion is not None:
            self._companion.check()
        if not self.locks.holds(self.executor_id):
            raise MachineFailure(
                "this process has lost the lock on its executor id",
                next_step="resumectl resume  when the database is back",
            )

    def start(self, batch: Batch) -> WorkflowHandle[dict[str, Any]]:
        """Start the workflow of a batch, or find it if it was started before.

        Args:
            batch: A stored batch.

        Returns:
            DBOS's handle on the workflow.

        Raises:
            Refusal: The workflow was started before and deleted since.
        """
        if not batch.is_new:
            self._refuse_if_deleted(batch)
        order = Order(batch.publisher, batch.id, batch.expected, batch.guarantee, batch.delay_s)
        return Publisher.named(batch.publisher).start(order)

    def _refuse_if_deleted(self, batch: Batch) -> None:
        with snapshot(self.engine) as connection:
            is_deleted = records.has_traces(connection, batch.id) and not workflows.exists(
                connection, batch.id
            )
        if is_deleted:
            raise Refusal(
                f"the batch {batch.id} was published before, and its workflow was deleted",
                next_step="choose another --id, or leave it out",
            )

    def publish(
        self,
        name: str,
        messages: Sequence[Any],
        *,
        guarantee: Guarantee | str = Guarantee.EXACTLY_ONCE,
        batch_id: str | None = None,
        delay_s: float = 0.0,
    ) -> WorkflowHandle[dict[str, Any]]:
        """Store a batch and start its workflow.

        Args:
            name: Name of the publisher.
            messages: Messages of the batch: text, or values that JSON can represent.
            guarantee: Delivery guarantee of the batch.
            batch_id: Id of the batch; None for the next free `NAME-K`. An id that was used before
                starts nothing new.
            delay_s: Duration of each delivery, in seconds.

        Returns:
            DBOS's handle on the workflow of the batch.

        Raises:
            Refusal: A name is not allowed, or the id belongs to another batch.
        """
        with self.engine.begin() as connection:
            batch = batch_book.create(
                connection,
                publisher=name,
                guarantee=Guarantee(guarantee),
                bodies=list(messages),
                delay_s=delay_s,
                batch_id=batch_id,
            )
        return self.start(batch)

    def wait(
        self,
        workflow_ids: Sequence[str],
        *,
        timeout_s: float | None = None,
        every_poll: Callable[[dict[str, str]], None] = lambda _statuses: None,
    ) -> bool:
        """Wait until workflows have ended, in this process or in another.

        Args:
            workflow_ids: Ids of the workflows.
            timeout_s: Maximum time to wait, in seconds; None for no limit.
            every_poll: Function that is called with the statuses at each poll.

        Returns:
            Whether all workflows ended in time.
        """
        began = time.monotonic()
        deadline = None if timeout_s is None else began + timeout_s
        adopt_at = began + ADOPT_EVERY_S
        while True:
            if time.monotonic() >= adopt_at:
                self.check()
                # A process may have claimed the work and been killed since.
                self.adopt()
                adopt_at = time.monotonic() + ADOPT_EVERY_S
            with snapshot(self.engine) as connection:
                seen = workflows.statuses(connection, workflow_ids)
            every_poll(seen)
            if all(seen.get(each) in ENDED for each in workflow_ids):
                return True
            if deadline is not None and time.monotonic() >= deadline:
                return False
            # A poll costs as much as a message: long work is polled less often.
            interval_s = _POLL_SHARE * (time.monotonic() - began)
            time.sleep(min(max(POLL_S, interval_s), _POLL_MAX_S))

    def start_unstarted(self) -> list[str]:
        """Start the stored batches whose process was killed before it could start them.

        Returns:
            The ids of these batches.
        """
        with snapshot(self.engine) as connection:
            unstarted = records.unstarted_batches(connection, self.settings)
        for batch_id in unstarted:
            with self.engine.connect() as connection:
                batch = batch_book.find(connection, batch_id)
            if batch is not None:
                self.start(batch)
        return unstarted

    def adopt(self) -> list[Adopted]:
        """Take over the PENDING workflows of ended processes.

        Each workflow returns to the queue it came from. Meanwhile this process holds the lock of
        the ended one. So no two processes take over the same work, and no new process begins
        under that executor id.
        """
        adopted: list[Adopted] = []
        with self.engine.connect() as connection:
            candidates = workflows.executors_with_pending(connection, self.settings)
        for executor_id in candidates:
            if not self.locks.acquire(executor_id):
                continue  # running, or another process is taking over its work
            try:
                with self.engine.connect() as connection:
                    left = workflows.pending_of(connection, executor_id, self.settings)
                if left:
                    remote.requeue(self.settings, left)
                adopted.extend(Adopted(workflow_id, executor_id) for workflow_id, _ in left)
            finally:
                self.locks.release(executor_id)
        if adopted:
            log.info("took over %d workflows of ended processes", len(adopted))
        return adopted

    def revive(self, workflow_ids: Sequence[str]) -> None:
        """Restart workflows that were cancelled or dead-lettered, on their queues.

        Args:
            workflow_ids: Ids of the workflows.
        """
        with snapshot(self.engine) as connection:
            found = workflows.list_workflows(connection, WorkflowFilter(workflow_ids=workflow_ids))
        by_queue: defaultdict[str, list[str]] = defaultdict(list)
        for workflow in found:
            is_batch = workflow.name == Publisher.publish_batch.__qualname__
            other = self._companion.queue_of(workflow.id) if self._companion else None
            by_queue[other or (BATCH_QUEUE_NAME if is_batch else QUEUE_NAME)].append(workflow.id)
        # Batches go last: one that runs before its messages would see them cancelled.
        for queue_name in sorted(by_queue, key=lambda name: name == BATCH_QUEUE_NAME):
            DBOS.resume_workflows(by_queue[queue_name], queue_name=queue_name)

    def end(self, how: str) -> bool:
        """End in order: begin nothing new, and let work in progress reach its checkpoint.

        Args:
            how: How the process ended, for its row: `done`, `interrupted` or `failed`.

        Returns:
            Whether all work in progress ended in time.
        """
        if self._ended:
            return True
        self._ended = True
        # Work that a failing disk blocks would never end.
        failed = self._outlet is not None and self._outlet.failure is not None
        try:
            drained = self._outlet is None or self._outlet.drain(0 if failed else DRAIN_TIMEOUT_S)
            if self._companion is not None:
                drained = self._companion.drain() and drained
        except KeyboardInterrupt:  # a second Ctrl-C: the user does not want to wait
            drained = False
        # DBOS logs errors for work that it claimed and can no longer begin. That work is handed back.
        _DBOS_LOG.setLevel(logging.CRITICAL)
        try:
            DBOS.destroy()
            if failed:
                return False  # the disk takes no more rows, not even the end of this process
            # Without the lock, PENDING work under this executor id may belong to another process.
            if drained and self.locks.holds(self.executor_id):
                self._hand_back()
            with failures_explained(self.settings), self.engine.begin() as connection:
                connection.execute(
                    sa.update(processes)
                    .where(processes.c.id == self.id)
                    .values(ended_at_ms=_now_ms(), how=how if drained else f"{how}, cut short")
                )
        finally:
            self._release()
        if drained:  # else threads of DBOS are still at work, and would log errors
            _DBOS_LOG.setLevel(self._log_level_of_dbos)
        return drained

    def _hand_back(self) -> None:
        """Put claimed work back on its queues: no process recovers one that ended in order.

        Another process may be waiting for a message that this one claimed and never began.
        """
        with failures_explained(self.settings):
            with self.engine.connect() as connection:
                left = workflows.pending_of(connection, self.executor_id, self.settings)
            if left:
                remote.requeue(self.settings, left)

    def _notice_storage_failure(self, context: sa.ExceptionContext) -> BaseException | None:
        """Stop deliveries when the disk fails: DBOS would retry for ever, in threads of its own.

        Returns:
            The exception to raise instead on this process's engine. DBOS would record an
            Exception in a step, or at the commit of a transaction, as the outcome.
        """
        error = context.sqlalchemy_exception
        if error is None or self._outlet is None or not is_storage_failure(error):
            return None
        self._outlet.fail(error)
        _DBOS_LOG.setLevel(logging.CRITICAL)  # DBOS would log each retry
        return RuntimeEnding() if context.engine is self.engine else None

    def _release(self) -> None:
        if event.contains(sa.Engine, "handle_error", self._notice_storage_failure):
            event.remove(sa.Engine, "handle_error", self._notice_storage_failure)
        open_outlet(None)
        self.locks.close()
        self.engine.dispose()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
