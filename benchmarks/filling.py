"""Fill a migrated database as a million deliveries leave it, with SQL and in a minute or two.

What is written is what publishing writes: batches of a thousand, of several publishers, in
some processes; a workflow and a step for each message, and two steps more of its batch's. In one
batch of ten a process was killed, and the next one has repeated some deliveries.
"""

from collections.abc import Iterator, Mapping
from typing import Any

import sqlalchemy as sa

from resumectl.database import open_engine
from resumectl.publishing.store.dbos_tables import operation_outputs, workflow_status
from resumectl.publishing.store.models import batches, messages, processes, publishers
from resumectl.publishing.store.models import deliveries as deliveries_table
from resumectl.settings import Settings

BATCH_SIZE = 1_000
PUBLISHERS = 10
BATCHES_A_PROCESS = 25
REPEATED = 7  # of a batch in which a process was killed
_MESSAGE_MS = 10
_BEGAN_MS = 1_780_000_000_000


def fill(url: str, deliveries: int) -> None:
    """Fill the database.

    Args:
        url: Of a database that resumectl and DBOS have migrated.
        deliveries: How many messages are delivered, a multiple of BATCH_SIZE.
    """
    settings = Settings.resolve(db_url=url)
    engine = open_engine(settings)
    count = deliveries // BATCH_SIZE
    with engine.begin() as connection:
        connection.execute(sa.insert(publishers), [_publisher(n) for n in range(PUBLISHERS)])
        connection.execute(
            sa.insert(processes), [_process(n) for n in range(_process_of(count) + 2)]
        )
    for first in range(0, count, BATCHES_A_PROCESS):
        with engine.begin() as connection:
            for index in range(first, min(first + BATCHES_A_PROCESS, count)):
                for statement in _batch(index, settings):
                    connection.execute(statement)
    if not settings.is_sqlite:
        # What autovacuum would have done by the time that so much was published.
        with engine.execution_options(isolation_level="AUTOCOMMIT").connect() as connection:
            connection.execute(sa.text("VACUUM ANALYZE"))
    engine.dispose()


def _publisher(number: int) -> dict[str, Any]:
    return {"name": f"publisher-{number}", "created_at_ms": _BEGAN_MS}


def _process_of(batch_index: int) -> int:
    return batch_index // BATCHES_A_PROCESS


def _is_killed(batch_index: int) -> bool:
    return batch_index % 10 == 9


def _process(number: int) -> dict[str, Any]:
    began_ms = _BEGAN_MS + number * BATCHES_A_PROCESS * BATCH_SIZE * _MESSAGE_MS
    is_killed = any(_is_killed(number * BATCHES_A_PROCESS + n) for n in range(BATCHES_A_PROCESS))
    return {
        "id": number + 1,
        "executor_id": "local",
        "app_version": "resumectl-1",
        "command": "publish",
        "pid": 1_000 + number,
        "host": "benchmark",
        "started_at_ms": began_ms,
        "ended_at_ms": None if is_killed else began_ms + 1_000,
        "how": None if is_killed else "done",
    }


def _numbers(count: int) -> sa.CTE:
    numbers = sa.select(sa.literal(1).label("n")).cte("numbers", recursive=True)
    return numbers.union_all(sa.select(numbers.c.n + 1).where(numbers.c.n < count))


def _insert(table: sa.Table, count: int, values: Mapping[str, Any]) -> sa.Insert:
    """One row for each number from 1; values may be made from `sa.column("n")`."""
    numbers = _numbers(count)
    columns = [value if isinstance(value, sa.ColumnElement) else sa.literal(value, table.c[name].type)
               for name, value in values.items()]  # fmt: skip
    return sa.insert(table).from_select(list(values), sa.select(*columns).select_from(numbers))


def _batch(index: int, settings: Settings) -> Iterator[sa.Executable]:
    n: sa.ColumnElement[int] = sa.column("n", sa.Integer)
    publisher = f"publisher-{index % PUBLISHERS}"
    batch_id = f"{publisher}-{index // PUBLISHERS + 1}"
    message_id = sa.literal(f"{batch_id}-") + sa.cast(n, sa.Text)
    began_ms = _BEGAN_MS + index * BATCH_SIZE * _MESSAGE_MS
    at_ms = sa.cast(n, sa.BigInteger) * _MESSAGE_MS + began_ms
    # DBOS numbers seconds on SQLite (3.4.0): many workflows are created at the same one.
    created_ms = at_ms / 1_000 * 1_000 if settings.is_sqlite else at_ms
    yield sa.insert(batches).values(
        id=batch_id,
        publisher=publisher,
        guarantee="at-least-once" if _is_killed(index) else "exactly-once",
        expected=BATCH_SIZE,
        delay_s=0.0,
        created_at_ms=began_ms,
    )
    body = sa.type_coerce({"order": 4711, "sku": "A-1", "quantity": 2}, sa.JSON)
    yield _insert(messages, BATCH_SIZE, {"batch_id": batch_id, "number": n, "body": body})
    delivery = {
        "batch_id": batch_id,
        "message_number": n,
        "body": body,
        "publisher": publisher,
        "workflow_id": message_id,
        "process_id": _process_of(index) + 1,
        "local_count": n + index % BATCHES_A_PROCESS // PUBLISHERS * BATCH_SIZE,
        "global_count": n + index % BATCHES_A_PROCESS * BATCH_SIZE,
        "delivered_at_ms": at_ms,
    }
    yield _insert(deliveries_table, BATCH_SIZE, delivery)
    if _is_killed(index):
        yield _insert(
            deliveries_table,
            REPEATED,
            delivery | {"process_id": _process_of(index) + 2, "local_count": n, "global_count": n},
        )
    workflow = {
        "status": "SUCCESS",
        "class_name": "Publisher",
        "config_name": publisher,
        "executor_id": "local",
        "application_version": "resumectl-1",
        "application_name": settings.app_name,
        "recovery_attempts": 1,
    }
    yield sa.insert(workflow_status).values(
        **workflow,
        workflow_uuid=batch_id,
        name="Publisher.publish_batch",
        created_at=began_ms,
        updated_at=began_ms + BATCH_SIZE * _MESSAGE_MS,
        completed_at=began_ms + BATCH_SIZE * _MESSAGE_MS,
    )
    yield _insert(
        workflow_status,
        BATCH_SIZE,
        workflow
        | {
            "workflow_uuid": message_id,
            "name": "Publisher.deliver_message",
            "queue_name": "publisher_queue",
            "parent_workflow_id": batch_id,
            "created_at": created_ms,
            "updated_at": created_ms,
            "started_at_epoch_ms": created_ms,
            "completed_at": created_ms,
        },
    )
    step = {"started_at_epoch_ms": at_ms, "completed_at_epoch_ms": at_ms}
    yield _insert(
        operation_outputs,
        BATCH_SIZE,
        step | {"workflow_uuid": message_id, "function_id": 1, "function_name": "deliver"},
    )
    of_batch = step | {"workflow_uuid": batch_id, "child_workflow_id": message_id}
    for offset, name in ((0, "Publisher.deliver_message"), (BATCH_SIZE, "DBOS.getResult")):
        yield _insert(
            operation_outputs,
            BATCH_SIZE,
            of_batch | {"function_id": n + offset, "function_name": name},
        )
