"""Deliver messages: the publisher's two workflows, its counters and the four guarantees.

The code that sweeps test is here, written as any user of DBOS would write it. It does not know how
processes begin, end or are killed: see `runtime`.
"""

import functools
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple

import sqlalchemy as sa
from dbos import (
    DBOS,
    DBOSConfiguredInstance,
    SetWorkflowID,
    SQLAlchemyDatasource,
    WorkflowHandle,
)
from sqlalchemy.dialects import postgresql, sqlite

from resumectl.publishing.store.dbos_tables import QUEUE_NAME
from resumectl.publishing.store.limits import checked_name
from resumectl.publishing.store.models import deliveries, failures, messages
from resumectl.publishing.store.state import Guarantee
from resumectl.text import one_line

# Polling interval of the message queue and of awaited results, in seconds.
POLL_S = 0.05

log = logging.getLogger("resumectl")


class RuntimeEnding(BaseException):
    """The process is ending in order; its workflow stays PENDING for the next process.

    It is not an Exception: DBOS records an Exception as the outcome of the workflow, and does not
    record other BaseExceptions (seen in DBOS 3.4.0).
    """


def _is_not_about_publishers(record: logging.LogRecord) -> bool:
    """Return whether a log line is none of those that DBOS writes for a publisher made after launch.

    The warning says that recovery may not find the instance (3.4.0). It does: see `Order`.
    """
    return "class Publisher was registered after DBOS was launched" not in str(record.msg)


class Counted(NamedTuple):
    """The values of the two counters in memory for one delivery."""

    local: int  # of this publisher, in this process
    total: int  # of all publishers, in this process


class Outlet:
    """The destination of this process's deliveries: the database and two counters in memory.

    Args:
        datasource: Datasource with resumectl's tables.
        process_id: Id of this process in the table `processes`.
    """

    def __init__(self, datasource: SQLAlchemyDatasource, process_id: int) -> None:
        self.datasource = datasource
        self.process_id = process_id
        # Held from counting to writing: the counters are ahead of the rows only by the delivery
        # that is being committed, not by all that wait for the database's write lock.
        self.turn = threading.Lock()
        self._total = 0
        self._local: dict[str, int] = {}
        self._under_way = 0
        self._is_ending = False
        self.failure: BaseException | None = None  # error of the disk under the database
        self._changed = threading.Condition()

    def count(self, publisher: str) -> Counted:
        """Count one delivery; both counters end with the process."""
        with self._changed:
            self._total += 1
            self._local[publisher] = self._local.get(publisher, 0) + 1
            return Counted(self._local[publisher], self._total)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Allow one delivery, unless the process is ending.

        Raises:
            RuntimeEnding: The process is ending.
        """
        with self._changed:
            if self._is_ending:
                raise RuntimeEnding
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    @contextmanager
    def stop_if_storage_failed(self) -> Iterator[None]:
        """Leave the workflow PENDING if the disk failed: that is no failure of a message or batch.

        Raises:
            RuntimeEnding: The disk under the database is full or failing.
        """
        try:
            yield
        except Exception as error:
            # The class of the error says nothing: an earlier process may have recorded it.
            if self.failure is None:
                raise
            raise RuntimeEnding from error

    def fail(self, error: BaseException) -> None:
        """Refuse new deliveries: the disk under the database is full or failing."""
        with self._changed:
            self.failure = self.failure or error
            self._is_ending = True

    def drain(self, timeout_s: float) -> bool:
        """Refuse new deliveries, and wait for those in progress and their checkpoints.

        Args:
            timeout_s: Maximum time to wait, in seconds.

        Returns:
            Whether all deliveries ended in time.
        """
        with self._changed:
            self._is_ending = True
            return self._changed.wait_for(lambda: self._under_way == 0, timeout_s)

    @property
    def dialect_name(self) -> str:
        """The name of the SQL dialect: `sqlite` or `postgresql`."""
        return self.datasource.engine.dialect.name

    @property
    def is_ending(self) -> bool:
        """Whether this process is ending in order."""
        return self._is_ending


_outlet: Outlet | None = None


def open_outlet(outlet: Outlet | None) -> None:
    """Set the destination of this process's deliveries; None for no destination."""
    global _outlet
    _outlet = outlet


def current_outlet() -> Outlet:
    """Return the destination of this process's deliveries.

    Raises:
        RuntimeError: No `Runtime` has been entered, or it has ended.
    """
    if _outlet is None:
        raise RuntimeError(
            "no Runtime is running in this process: enter one with  with resumectl.Runtime(…)"
        )
    return _outlet


@dataclass(frozen=True, slots=True)
class Order:
    """The argument of a batch's workflows: the batch and how to deliver it.

    All processes share one queue, and a process may get work of a publisher that was created after
    the process launched. DBOS restores the arguments of a workflow before it looks up the instance
    (3.4.0). So unpickling an order creates the instance.
    """

    publisher: str
    batch_id: str
    count: int
    guarantee: str
    delay_s: float

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle_order, (
            self.publisher, self.batch_id, self.count, self.guarantee, self.delay_s,
        )  # fmt: skip


def _unpickle_order(publisher: str, *rest: Any) -> Order:
    Publisher.named(publisher)
    return Order(publisher, *rest)


@DBOS.dbos_class()
class Publisher(DBOSConfiguredInstance):
    """A named publisher; a process has one instance for each name.

    Args:
        name: Name of the publisher, 1 to 64 of `a-z 0-9 . _ -`; also DBOS's name of the instance.

    Raises:
        Refusal: The name is not allowed.

    Example:
        >>> from resumectl import Publisher
        >>> Publisher.named("alpha") is Publisher.named("alpha")
        True
    """

    _instances: ClassVar[dict[str, "Publisher"]] = {}
    _instances_lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, name: str) -> None:
        self.name = checked_name(name)
        logging.getLogger("dbos").addFilter(_is_not_about_publishers)
        with self._instances_lock:
            super().__init__(config_name=name)  # DBOS refuses a second instance of one name
            self._instances[name] = self

    @classmethod
    def named(cls, name: str) -> "Publisher":
        """Return the publisher of that name; create it if this process has none yet."""
        with cls._instances_lock:
            return cls._instances.get(name) or cls(name)

    def start(self, order: Order) -> WorkflowHandle[dict[str, Any]]:
        """Start the workflow of a batch under the batch's id, or find it if it was started before.

        Args:
            order: The batch and how to deliver it.

        Returns:
            DBOS's handle on the workflow.
        """
        with SetWorkflowID(order.batch_id):
            return DBOS.start_workflow(self.publish_batch, order)

    @DBOS.workflow()
    def publish_batch(self, order: Order) -> dict[str, Any]:
        """Enqueue all messages of a batch and wait for them; one that fails stops no other.

        Returns:
            `{"messages": int, "failed": [number, …]}`.
        """
        outlet = current_outlet()
        with outlet.stop_if_storage_failed():
            handles = [
                DBOS.enqueue_workflow(QUEUE_NAME, self.deliver_message, order, number)
                for number in range(1, order.count + 1)
            ]
            failed = []
            for number, handle in enumerate(handles, start=1):
                try:
                    handle.get_result(polling_interval_sec=POLL_S)
                except Exception as error:
                    if outlet.is_ending:
                        raise RuntimeEnding from error
                    failed.append(number)
                    record_failure(order.batch_id, number, one_line(error))
            return {"messages": order.count, "failed": failed}

    @DBOS.workflow()
    def deliver_message(self, order: Order, number: int) -> None:
        """Deliver one message under the guarantee of its batch."""
        outlet = current_outlet()
        with outlet.open():
            delivery = Delivery(outlet, order, number, str(DBOS.workflow_id))
            try:
                with outlet.stop_if_storage_failed():
                    _GUARANTEES[Guarantee(order.guarantee)](delivery)
            except Exception as error:
                log.warning("not delivered: %s", one_line(error), extra=delivery.fields)
                raise


def record_failure(batch_id: str, number: int, error: str) -> None:
    """Store why a message could not be delivered; call it in a workflow only."""
    datasource = current_outlet().datasource

    def replace() -> None:
        session = datasource.sql_session()
        session.execute(
            sa.delete(failures).where(
                failures.c.batch_id == batch_id, failures.c.message_number == number
            )
        )
        session.execute(
            sa.insert(failures).values(batch_id=batch_id, message_number=number, error=error)
        )

    datasource.run_tx_step({"name": "record_failure"}, replace)


class Delivery:
    """One attempt to deliver one message."""

    def __init__(self, outlet: Outlet, order: Order, number: int, workflow_id: str) -> None:
        self.outlet = outlet
        self._order = order
        self._number = number
        self._workflow_id = workflow_id
        # Once for each attempt, even if the database makes a transaction run again.
        self._count = functools.cache(lambda: outlet.count(order.publisher))

    @property
    def fields(self) -> dict[str, Any]:
        """The fields of a log line about the delivery."""
        return {
            "publisher": self._order.publisher,
            "workflow_id": self._workflow_id,
            "message_number": self._number,
            "process_id": self.outlet.process_id,
        }

    def in_own_transaction(self, *, keyed: bool = False) -> None:
        """Deliver in a transaction of its own, as an HTTP call or an e-mail would.

        Args:
            keyed: Give the delivery the key of its message; a second one is then ignored.
        """
        with self.outlet.datasource.engine.begin() as connection:
            self.write(connection, keyed=keyed)
        self.log()

    def write(self, connection: Any, *, keyed: bool = False) -> None:
        """Write the delivery in a transaction that the caller commits.

        Args:
            connection: Connection or session with that transaction.
            keyed: Give the delivery the key of its message; a second one is then ignored.
        """
        if self._order.delay_s:
            time.sleep(self._order.delay_s)  # as `--delay` says
        with self.outlet.turn:
            counted = self._count()
            row = {
                "batch_id": self._order.batch_id,
                "message_number": self._number,
                "publisher": self._order.publisher,
                "workflow_id": self._workflow_id,
                "process_id": self.outlet.process_id,
                "local_count": counted.local,
                "global_count": counted.total,
                "delivered_at_ms": time.time_ns() // 1_000_000,
            }
            if keyed:
                row["idempotency_key"] = f"{self._order.batch_id}/{self._number}"
                connection.execute(_insert_or_count_ignored(self.outlet.dialect_name), row)
            else:
                connection.execute(_insert(), row)

    def log(self) -> None:
        """Log one line; call it once the delivery is durable."""
        counted = self._count()
        log.info(
            "delivered",
            extra={**self.fields, "local": counted.local, "global": counted.total},
        )


# Cached: building such a statement takes five times as long as executing it (0.25 ms).
@functools.cache
def _insert() -> Any:
    return sa.insert(deliveries).values(_row())


@functools.cache
def _insert_or_count_ignored(dialect_name: str) -> Any:
    """Return an INSERT that, for a key that exists, only counts the ignored delivery."""
    dialect = sqlite if dialect_name == "sqlite" else postgresql
    return (
        dialect.insert(deliveries)
        .values(_row("idempotency_key"))
        .on_conflict_do_update(
            index_elements=["idempotency_key"],
            set_={"ignored": deliveries.c.ignored + 1},
        )
    )


def _row(*more: str) -> dict[str, Any]:
    """Return the columns of a delivery: bound parameters, and the body from its message."""
    given: dict[str, Any] = {name: sa.bindparam(name) for name in (*_GIVEN, *more)}
    body = sa.select(messages.c.body).where(
        messages.c.batch_id == given["batch_id"],
        messages.c.number == given["message_number"],
    )
    return {**given, "body": body.scalar_subquery()}


_GIVEN = (
    "batch_id",
    "message_number",
    "publisher",
    "workflow_id",
    "process_id",
    "local_count",
    "global_count",
    "delivered_at_ms",
)


# The unique key of the checkpoint excludes a second execution. The transaction reads nothing that
# another one might change, and a stricter isolation would only cost retries.
_ISOLATION: dict[str, Literal["SERIALIZABLE", "READ COMMITTED"]] = {
    "sqlite": "SERIALIZABLE",  # SQLite has no other level
    "postgresql": "READ COMMITTED",
}


def exactly_once(delivery: Delivery) -> None:
    """Deliver in a datasource transaction: delivery and checkpoint commit together."""
    datasource = delivery.outlet.datasource
    datasource.run_tx_step(
        {"name": "deliver", "isolation_level": _ISOLATION[delivery.outlet.dialect_name]},
        lambda: delivery.write(datasource.sql_session()),
    )
    delivery.log()


def idempotent(delivery: Delivery) -> None:
    """Deliver in a plain step with a key for the message: a second attempt changes nothing."""
    DBOS.run_step({"name": "deliver"}, functools.partial(delivery.in_own_transaction, keyed=True))


def at_least_once(delivery: Delivery) -> None:
    """Deliver in a plain step: a crash between effect and checkpoint repeats the effect."""
    DBOS.run_step({"name": "deliver"}, delivery.in_own_transaction)


def at_most_once(delivery: Delivery) -> None:
    """Record "sent" in a step, then deliver: a crash between the two loses the delivery."""
    first_time = []
    DBOS.run_step({"name": "mark_sent"}, lambda: first_time.append(True))
    if first_time:  # a replayed step runs no body: an earlier process made the mark
        delivery.in_own_transaction()


_GUARANTEES: dict[Guarantee, Callable[[Delivery], None]] = {
    Guarantee.EXACTLY_ONCE: exactly_once,
    Guarantee.IDEMPOTENT: idempotent,
    Guarantee.AT_LEAST_ONCE: at_least_once,
    Guarantee.AT_MOST_ONCE: at_most_once,
}
