"""Act on workflows and queues without launching DBOS, and so without resuming anything.

All calls go through DBOS's public client.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, DBOSClient, SetWorkflowID

from resumectl.publishing.publisher import POLL_S, Order, Publisher
from resumectl.publishing.store.batches import Batch
from resumectl.publishing.store.dbos_tables import BATCH_QUEUE_NAME, QUEUE_NAME
from resumectl.publishing.store.limits import DEFAULT_CONCURRENCY
from resumectl.settings import Settings

_BATCHES_AT_A_TIME = 4
# A detached batch may wait for half a second. Each poll costs every publishing process 3 ms.
_BATCH_POLL_S = 0.5
_IDS_A_CALL = 1_000


@dataclass(frozen=True, slots=True)
class WorkflowCall:
    """A workflow to be enqueued: its names as DBOS registers them, and its arguments."""

    queue_name: str
    workflow_id: str
    workflow_name: str
    class_name: str
    arguments: tuple[Any, ...]
    instance_name: str | None = None  # None for a class method


@contextmanager
def client(settings: Settings) -> Iterator[DBOSClient]:
    """Open a client of a database that DBOS has migrated."""
    dbos_client = DBOSClient(
        system_database_url=settings.secret_url,
        dbos_system_schema=settings.dbos_schema,
        application_name=settings.app_name,
        retry_connection_errors=False,
    )
    try:
        yield dbos_client
    finally:
        dbos_client.destroy()


def register_publisher_queues(settings: Settings) -> None:
    """Register the two queues of publishers, and create DBOS's tables if they are missing."""
    DBOS.migrate(settings.secret_url, schema=settings.dbos_schema)
    register_queues(
        settings,
        {
            QUEUE_NAME: (DEFAULT_CONCURRENCY, POLL_S),
            BATCH_QUEUE_NAME: (_BATCHES_AT_A_TIME, _BATCH_POLL_S),
        },
    )


def register_queues(settings: Settings, queues: Mapping[str, tuple[int, float]]) -> None:
    """Register queues that are not registered yet.

    A process serves queues that exist before its launch at once, and new ones within a second.

    Args:
        settings: Settings that name the database.
        queues: By name of the queue: maximum number of workflows in progress in each process, and
            polling interval in seconds.
    """
    with client(settings) as dbos_client:
        for name, (concurrency, poll_s) in queues.items():
            dbos_client.register_queue(
                name,
                worker_concurrency=concurrency,
                polling_interval_sec=poll_s,
                on_conflict="never_update",
            )


def delete_queues(settings: Settings, names: Sequence[str]) -> None:
    """Delete empty queues."""
    with client(settings) as dbos_client:
        for name in names:
            dbos_client.delete_queue(name)


def set_concurrency(settings: Settings, concurrency: int) -> None:
    """Set the maximum number of messages in progress in each process."""
    with client(settings) as dbos_client:
        dbos_client.register_queue(
            QUEUE_NAME,
            worker_concurrency=concurrency,
            polling_interval_sec=POLL_S,
            on_conflict="always_update",
        )


def enqueue(settings: Settings, connection: sa.Connection, batch: Batch) -> None:
    """Enqueue a batch for the workers, as part of the connection's transaction."""
    order = Order(batch.publisher, batch.id, batch.expected, batch.guarantee, batch.delay_s)
    call = WorkflowCall(
        queue_name=BATCH_QUEUE_NAME,
        workflow_id=batch.id,
        workflow_name=Publisher.publish_batch.__qualname__,
        class_name=Publisher.__name__,
        instance_name=batch.publisher,
        arguments=(order,),
    )
    enqueue_call(settings, connection, call)


def enqueue_call(settings: Settings, connection: sa.Connection, call: WorkflowCall) -> None:
    """Enqueue a workflow as part of a transaction, under the application version at hand.

    Args:
        settings: Settings that name the database.
        connection: Connection whose transaction enqueues the workflow.
        call: The workflow, its queue and its arguments.
    """
    options: Any = {
        "workflow_name": call.workflow_name,
        "queue_name": call.queue_name,
        "workflow_id": call.workflow_id,
        "class_name": call.class_name,
        "app_version": settings.app_version,
    }
    if call.instance_name is not None:
        options["instance_name"] = call.instance_name
    with client(settings) as dbos_client:
        dbos_client.enqueue_in_transaction(connection, options, *call.arguments)


def requeue(settings: Settings, left: Sequence[tuple[str, str | None]]) -> None:
    """Put workflows back on the queues they came from, for any process to claim.

    Args:
        settings: Settings that name the database.
        left: Id and queue of each workflow; None for one that was started directly.
    """
    by_queue: defaultdict[str | None, list[str]] = defaultdict(list)
    for workflow_id, queue_name in left:
        by_queue[queue_name].append(workflow_id)
    with client(settings) as dbos_client:
        for queue_name, workflow_ids in by_queue.items():
            for start in range(0, len(workflow_ids), _IDS_A_CALL):
                dbos_client.resume_workflows(
                    workflow_ids[start : start + _IDS_A_CALL], queue_name=queue_name
                )


def cancel(settings: Settings, workflow_id: str) -> None:
    """Cancel a workflow and its children; a step in progress runs to its end."""
    with client(settings) as dbos_client:
        dbos_client.cancel_workflow(workflow_id, cancel_children=True)


def delete(settings: Settings, workflow_ids: Sequence[str]) -> None:
    """Delete workflows and all that DBOS recorded of them."""
    if not workflow_ids:
        return
    with client(settings) as dbos_client:
        for start in range(0, len(workflow_ids), _IDS_A_CALL):
            dbos_client.delete_workflows(list(workflow_ids[start : start + _IDS_A_CALL]))


def fork(settings: Settings, workflow_id: str, *, from_step: int, fork_id: str) -> None:
    """Start a new workflow that keeps the results of another one before a step.

    Args:
        settings: Settings that name the database.
        workflow_id: Id of the workflow to fork.
        from_step: Number of the first step to run again, from 1.
        fork_id: Id of the new workflow.
    """
    with client(settings) as dbos_client, SetWorkflowID(fork_id):
        dbos_client.fork_workflow(
            workflow_id,
            from_step,
            application_version=settings.app_version,
            queue_name=BATCH_QUEUE_NAME,
        )
