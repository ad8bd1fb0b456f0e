"""The publisher: its two workflows, its counters, and the four delivery guarantees.

Everything that is put to the test is here, in the shape in which any user of DBOS would
write it. It does not know how processes begin, end, or are killed: see `runtime`.
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

# How soon a message on the queue, and a result that is awaited, are noticed.
POLL_S = 0.05

log = logging.getLogger("resumectl")


class RuntimeEnding(BaseException):
    """This process is ending in order; the workflow stays PENDING for the next one.

    Not an Exception: DBOS records an Exception as the workflow's outcome, and leaves
    anything else unrecorded (seen in DBOS 3.4.0).
    """


class Counted(NamedTuple):
    """What the two counters in memory said as a delivery was made."""

    local: int  # of this publisher, in this process
    total: int  # of all publishers, in this process


class Outlet:
    """Where deliveries go in this process: the database, and the two counters in memory.

    Args:
        datasource: The datasource that holds resumectl's tables.
        process_id: Id of this process in the table `processes`.
    """

    def __init__(self, datasource: SQLAlchemyDatasource, process_id: int) -> None:
        self.datasource = datasource
        self.process_id = process_id
        # Held from counting to writing: the counters are ahead of the rows only by what is
        # on its way to a commit, not by everybody who waits for the database's write lock.
        self.turn = threading.Lock()
        self._total = 0
        self._local: dict[str, int] = {}
        self._under_way = 0
        self._ending = False
        self.failure: BaseException | None = None  # of the disk under the database
        self._changed = threading.Condition()

    def count(self, publisher: str) -> Counted:
        """Count one delivery; both counters are gone when the process is."""
        with self._changed:
            self._total += 1
            self._local[publisher] = self._local.get(publisher, 0) + 1
            return Counted(self._local[publisher], self._total)

    @contextmanager
    def open(self) -> Iterator[None]:
        """Enter to deliver; once the process is ending nothing new is begun.

        Raises:
            RuntimeEnding: Too late to begin.
        """
        with self._changed:
            if self._ending:
                raise RuntimeEnding
            self._under_way += 1
        try:
            yield
        finally:
            with self._changed:
                self._under_way -= 1
                self._changed.notify_all()

    @contextmanager
    def ends_with_the_disk(self) -> Iterator[None]:
        """A full disk is no failure of a message or a batch: what it cut off is left PENDING.

        Raises:
            RuntimeEnding: The disk under the database is full, or failing.
        """
        try:
            yield
        except Exception as error:
            # Not judged by its kind: it may be one that an earlier process recorded.
            if self.failure is None:
                raise
            raise RuntimeEnding from error

    def fail(self, error: BaseException) -> None:
        """Begin nothing new: the disk under the database is full, or failing."""
        with self._changed:
            self.failure = self.failure or error
            self._ending = True

    def drain(self, timeout_s: float) -> bool:
        """Begin nothing new, and wait for what is under way: its checkpoints included.

        Returns:
            Whether everything came to its end in time.
        """
        with self._changed:
            self._ending = True
            return self._changed.wait_for(lambda: self._under_way == 0, timeout_s)

    @property
    def dialect_name(self) -> str:
        """`sqlite` or `postgresql`."""
        return self.datasource.engine.dialect.name

    @property
    def ending(self) -> bool:
        """Whether this process is ending in order."""
        return self._ending


_outlet: Outlet | None = None


def open_outlet(outlet: Outlet | None) -> None:
    """Say where this process's deliveries go: one DBOS, one process, one outlet a process."""
    global _outlet
    _outlet = outlet


def current_outlet() -> Outlet:
    """Where this process's deliveries go.

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
    """What the workflows of a batch are given: which batch it is, and how to deliver it.

    A process shares its queue with every other one, so it may be handed the work of a
    publisher that became known only after it launched. DBOS restores the arguments of a
    workflow before it looks for the instance (3.4.0): restoring an order makes the instance.
    """

    publisher: str
    batch_id: str
    count: int
    guarantee: str
    delay_s: float

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (
            self.publisher, self.batch_id, self.count, self.guarantee, self.delay_s,
        )  # fmt: skip


def _received(publisher: str, *rest: Any) -> Order:
    Publisher.named(publisher)
    return Order(publisher, *rest)


@DBOS.dbos_class()
class Publisher(DBOSConfiguredInstance):
    """A named publisher, of which a process has one a name.

    Args:
        name: 1 to 64 of `a-z 0-9 . _ -`; also DBOS's name of the instance.

    Raises:
        Refusal: The name is not allowed.
    """

    _instances: ClassVar[dict[str, "Publisher"]] = {}
    _instances_lock: ClassVar[threading.RLock] = threading.RLock()

    def __init__(self, name: str) -> None:
        self.name = checked_name(name)
        with self._instances_lock:
            super().__init__(config_name=name)  # DBOS refuses a second one of the name
            self._instances[name] = self

    @classmethod
    def named(cls, name: str) -> "Publisher":
        """The publisher of that name, made if this process has none yet."""
        with cls._instances_lock:
            return cls._instances.get(name) or cls(name)

    def start(self, order: Order) -> WorkflowHandle[dict[str, Any]]:
        """Start a batch's workflow under the batch's id; if it was started before, find it."""
        with SetWorkflowID(order.batch_id):
            return DBOS.start_workflow(self.publish_batch, order)

    @DBOS.workflow()
    def publish_batch(self, order: Order) -> dict[str, Any]:
        """Enqueue every message of a batch, and await them all.

        Returns:
            `{"messages": int, "failed": [number, …]}`; a failed message stops no other.
        """
        outlet = current_outlet()
        with outlet.ends_with_the_disk():
            handles = [
                DBOS.enqueue_workflow(QUEUE_NAME, self.deliver_message, order, number)
                for number in range(1, order.count + 1)
            ]
            failed = []
            for number, handle in enumerate(handles, start=1):
                try:
                    handle.get_result(polling_interval_sec=POLL_S)
                except Exception as error:
                    if outlet.ending:
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
                with outlet.ends_with_the_disk():
                    _GUARANTEES[Guarantee(order.guarantee)](delivery)
            except Exception as error:
                log.warning("not delivered: %s", one_line(error), extra=delivery.fields)
                raise


def record_failure(batch_id: str, number: int, error: str) -> None:
    """Remember why a message could not be delivered; to be called in a workflow."""
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
    """One attempt to deliver one message; the guarantees differ in when they make it."""

    def __init__(self, outlet: Outlet, order: Order, number: int, workflow_id: str) -> None:
        self.outlet = outlet
        self._order = order
        self._number = number
        self._workflow_id = workflow_id
        # Counted once an attempt, also where the database makes a transaction run again.
        self._count = functools.cache(lambda: outlet.count(order.publisher))

    @property
    def fields(self) -> dict[str, Any]:
        """What the log says of it."""
        return {
            "publisher": self._order.publisher,
            "workflow_id": self._workflow_id,
            "message_number": self._number,
            "process_id": self.outlet.process_id,
        }

    def in_own_transaction(self, *, keyed: bool = False) -> None:
        """The effect by itself, as an HTTP call or an e-mail would be.

        Args:
            keyed: Give the delivery the message's key, so that a second one is ignored.
        """
        with self.outlet.datasource.engine.begin() as connection:
            self.through(connection, keyed=keyed)
        self.log()

    def through(self, connection: Any, *, keyed: bool = False) -> None:
        """Write the delivery on a connection or session whose transaction is another's."""
        if self._order.delay_s:
            time.sleep(self._order.delay_s)
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
        """One line, once the delivery is durable."""
        counted = self._count()
        log.info(
            "delivered",
            extra={**self.fields, "local": counted.local, "global": counted.total},
        )


# Made once: to build such a statement takes five times as long as to carry it out (0.25 ms).
@functools.cache
def _insert() -> Any:
    return sa.insert(deliveries).values(_row())


@functools.cache
def _insert_or_count_ignored(dialect_name: str) -> Any:
    """An INSERT that leaves an earlier delivery of the same key as it is, but for a count."""
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
    """A delivery's columns, to be given when the statement is carried out, but for the body."""
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


# The checkpoint's unique key is what keeps a second execution out; nothing is read that
# another transaction might change, so a stricter isolation would only cost retries.
_ISOLATION: dict[str, Literal["SERIALIZABLE", "READ COMMITTED"]] = {
    "sqlite": "SERIALIZABLE",  # it knows no other
    "postgresql": "READ COMMITTED",
}


def exactly_once(delivery: Delivery) -> None:
    """A datasource transaction: the delivery and its checkpoint commit together."""
    datasource = delivery.outlet.datasource
    datasource.run_tx_step(
        {"name": "deliver", "isolation_level": _ISOLATION[delivery.outlet.dialect_name]},
        lambda: delivery.through(datasource.sql_session()),
    )
    delivery.log()


def idempotent(delivery: Delivery) -> None:
    """A plain step whose effect is keyed by the message: a second attempt changes nothing."""
    DBOS.run_step({"name": "deliver"}, functools.partial(delivery.in_own_transaction, keyed=True))


def at_least_once(delivery: Delivery) -> None:
    """A plain step: a crash after the effect and before the checkpoint repeats the effect."""
    DBOS.run_step({"name": "deliver"}, delivery.in_own_transaction)


def at_most_once(delivery: Delivery) -> None:
    """A step records "sent", then the delivery happens: a crash between the two loses it."""
    first_time = []
    DBOS.run_step({"name": "mark_sent"}, lambda: first_time.append(True))
    if first_time:  # a replayed step runs no body: the mark is of an earlier process
        delivery.in_own_transaction()


_GUARANTEES: dict[Guarantee, Callable[[Delivery], None]] = {
    Guarantee.EXACTLY_ONCE: exactly_once,
    Guarantee.IDEMPOTENT: idempotent,
    Guarantee.AT_LEAST_ONCE: at_least_once,
    Guarantee.AT_MOST_ONCE: at_most_once,
}
