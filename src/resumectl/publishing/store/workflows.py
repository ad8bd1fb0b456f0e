"""Query DBOS's tables: workflows, their steps, queues. Reads only.

DBOS does not record why a message failed and which process delivered it. resumectl's own tables
say that.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from resumectl.database import SCHEMA, Snapshot, in_parts
from resumectl.publishing.store import records
from resumectl.publishing.store.dbos_tables import (
    PUBLISHER_CLASS,
    SWEEP_CLASS,
    has_dbos_tables,
    has_not_ended,
    has_status,
    is_resumectls,
    operation_outputs,
    queues,
    workflow_status,
)
from resumectl.publishing.store.models import failures
from resumectl.publishing.store.natural_order import natural_order
from resumectl.settings import Settings

_ws = workflow_status.c


def queue_exists(connection: Snapshot, settings: Settings, name: str) -> bool:
    """Return whether the queue is registered."""
    if not has_dbos_tables(connection, settings):
        return False
    return connection.scalar(sa.select(queues.c.name).where(queues.c.name == name)) is not None


def queue_names(connection: sa.Connection, prefix: str) -> list[str]:
    """Return the names of resumectl's registered queues that start with a prefix, sorted."""
    query = sa.select(queues.c.name).where(
        queues.c.name.startswith(prefix, autoescape=True), is_resumectls(queues.c.application_name)
    )
    return sorted(connection.scalars(query))


def _ours(settings: Settings) -> sa.ColumnElement[bool]:
    """Return the condition that a process with these settings can run a workflow."""
    return sa.and_(
        _ws.class_name.in_((PUBLISHER_CLASS, SWEEP_CLASS)),
        _ws.application_name == settings.app_name,
    )


class Unfinished(NamedTuple):
    """One workflow that has not ended, and its executor."""

    workflow_id: str
    publisher: str | None  # None for a workflow of a sweep
    status: str
    queue: str | None
    executor: str | None
    app_version: str | None
    attempts: int
    parent: str | None


def unfinished(connection: sa.Connection, settings: Settings) -> list[Unfinished]:
    """Return the workflows of publishers and sweeps that have not ended, oldest first."""
    rows = connection.execute(
        sa.select(
            _ws.workflow_uuid,
            _ws.config_name,
            _ws.status,
            _ws.queue_name,
            _ws.executor_id,
            _ws.application_version,
            _ws.recovery_attempts,
            _ws.parent_workflow_id,
        )
        .where(has_not_ended(), _ours(settings))
        .order_by(_ws.created_at, _ws.workflow_uuid)
    )
    return [Unfinished(*row) for row in rows]


def executors_with_pending(connection: sa.Connection, settings: Settings) -> list[str]:
    """Return the executor ids with PENDING workflows of this application version, sorted."""
    query = (
        sa.select(_ws.executor_id)
        .where(
            has_status("PENDING"),
            _ws.application_version == settings.app_version,
            _ours(settings),
        )
        .distinct()
    )
    return sorted(each for each in connection.scalars(query) if each)


def pending_of(
    connection: sa.Connection, executor_id: str, settings: Settings
) -> list[tuple[str, str | None]]:
    """Return id and queue of an executor's PENDING workflows of this application version."""
    query = sa.select(_ws.workflow_uuid, _ws.queue_name).where(
        has_status("PENDING"),
        _ws.executor_id == executor_id,
        _ws.application_version == settings.app_version,
        _ours(settings),
    )
    return [(row.workflow_uuid, row.queue_name) for row in connection.execute(query)]


def count_statuses(connection: Snapshot, settings: Settings, batch_id: str) -> dict[str, int]:
    """Return the number of workflows of a batch, its own included, by status."""
    if not has_dbos_tables(connection, settings):
        return {}
    query = (
        sa.select(_ws.status, sa.func.count())
        .where(sa.or_(_ws.workflow_uuid == batch_id, _ws.parent_workflow_id == batch_id))
        .group_by(_ws.status)
    )
    return {status: int(count) for status, count in connection.execute(query)}


def exists(connection: sa.Connection, workflow_id: str) -> bool:
    """Return whether a workflow of that id exists."""
    query = sa.select(_ws.workflow_uuid).where(_ws.workflow_uuid == workflow_id)
    return connection.scalar(query) is not None


def statuses(connection: Snapshot, workflow_ids: Sequence[str]) -> dict[str, str]:
    """Return the status of each workflow that exists, by its id."""
    found: dict[str, str] = {}
    for part in in_parts(workflow_ids):
        query = sa.select(_ws.workflow_uuid, _ws.status).where(_ws.workflow_uuid.in_(part))
        found.update((row.workflow_uuid, row.status) for row in connection.execute(query))
    return found


def all_workflow_ids(connection: Snapshot, settings: Settings) -> list[str]:
    """Return the ids of all workflows of publishers and sweeps."""
    if not has_dbos_tables(connection, settings):
        return []
    return list(connection.scalars(sa.select(_ws.workflow_uuid).where(_ours(settings))))


def recorded_steps(connection: Snapshot, workflow_ids: Sequence[str]) -> dict[str, int]:
    """Return the number of recorded steps of each workflow that has any, by its id."""
    o = operation_outputs.c
    found: dict[str, int] = {}
    for part in in_parts(workflow_ids):
        query = (
            sa.select(o.workflow_uuid, sa.func.count())
            .where(o.workflow_uuid.in_(part))
            .group_by(o.workflow_uuid)
        )
        found.update((workflow_id, int(n)) for workflow_id, n in connection.execute(query))
    return found


@dataclass(frozen=True, slots=True)
class WorkflowSeen:
    """One workflow of any application, without its arguments and its result."""

    id: str
    name: str
    publisher: str | None
    is_of_a_sweep: bool
    status: str
    queue: str | None
    attempts: int
    executor: str | None
    version: str | None
    created_at_ms: int
    completed_at_ms: int | None
    parent: str | None
    steps: int
    unfinished_children: int  # unfinished workflows that it started
    error: str | None


@dataclass(frozen=True, slots=True)
class WorkflowFilter:
    """Conditions on workflows, all of which must hold; None is no condition.

    Attributes:
        workflow_ids: Ids of the workflows.
        parents: Ids of the workflows that started them.
        status: Status, as DBOS spells it.
        name: Part of the name of the workflow's function.
        publisher: Name of the publisher.
        since_ms: Earliest time of creation, in milliseconds of Unix time.
        roots_only: Leave out workflows that another workflow started.
    """

    workflow_ids: Sequence[str] | None = None
    parents: Sequence[str] | None = None
    status: str | None = None
    name: str | None = None
    publisher: str | None = None
    since_ms: int | None = None
    roots_only: bool = False

    def conditions(self) -> Iterator[sa.ColumnElement[bool]]:
        """Yield the SQL conditions."""
        if self.workflow_ids is not None:
            yield _ws.workflow_uuid.in_(self.workflow_ids)
        if self.parents is not None:
            yield _ws.parent_workflow_id.in_(self.parents)
        if self.status is not None:
            yield _ws.status == self.status
        if self.name is not None:
            yield _ws.name.contains(self.name, autoescape=True)
        if self.publisher is not None:
            yield _ws.config_name == self.publisher
            yield _ws.class_name == PUBLISHER_CLASS
        if self.roots_only:
            yield _ws.parent_workflow_id.is_(None)
        if self.since_ms is not None:
            yield _ws.created_at >= self.since_ms


_ALL = WorkflowFilter()


def list_workflows(
    connection: Snapshot,
    wanted: WorkflowFilter = _ALL,
    *,
    limit: int | None = None,
    offset: int = 0,
) -> list[WorkflowSeen]:
    """Return workflows, newest first; those of the same time by the natural order of their ids.

    Args:
        connection: Connection to a database with DBOS's tables, in a snapshot.
        wanted: Conditions on the workflows.
        limit: Maximum number of workflows; None for all.
        offset: Number of workflows to skip.
    """
    query = sa.select(
        _ws.workflow_uuid,
        _ws.name,
        _ws.config_name,
        _ws.class_name,
        _ws.status,
        _ws.queue_name,
        _ws.recovery_attempts,
        _ws.executor_id,
        _ws.application_version,
        _ws.created_at,
        _ws.completed_at,
        _ws.parent_workflow_id,
    ).order_by(
        # Many workflows have the same time of creation: SQLite before 3.42 knows whole seconds.
        # Sorting by id among these costs little. The time has an index, and only the rows of one
        # time are sorted, page by page. The id itself comes last: without a total order, a row
        # could be on two pages or on none.
        _ws.created_at.desc(),
        natural_order(connection, _ws.workflow_uuid).desc(),
        _ws.workflow_uuid.desc(),
    )
    query = query.where(*wanted.conditions())
    return _with_details(connection, connection.execute(query.limit(limit).offset(offset)).all())


def _with_details(connection: Snapshot, rows: Sequence[Any]) -> list[WorkflowSeen]:
    """Complete rows of workflows with steps, errors and children from other tables."""
    steps = recorded_steps(connection, [row.workflow_uuid for row in rows])
    errors = _errors_by_workflow(connection, rows)
    unfinished_children = _unfinished_children(connection)
    return [
        WorkflowSeen(
            id=row.workflow_uuid,
            name=row.name,
            publisher=row.config_name if row.class_name == PUBLISHER_CLASS else None,
            is_of_a_sweep=row.class_name == SWEEP_CLASS,
            status=row.status,
            queue=row.queue_name,
            attempts=row.recovery_attempts or 0,
            executor=row.executor_id,
            version=row.application_version,
            created_at_ms=row.created_at,
            completed_at_ms=row.completed_at,
            parent=row.parent_workflow_id,
            steps=steps.get(row.workflow_uuid, 0),
            unfinished_children=unfinished_children.get(row.workflow_uuid, 0),
            error=errors.get(row.workflow_uuid),
        )
        for row in rows
    ]


def _unfinished_children(connection: sa.Connection) -> dict[str, int]:
    """Return the number of unfinished children of each workflow that has any, by its id."""
    parent = _ws.parent_workflow_id
    query = sa.select(parent, sa.func.count()).where(has_not_ended(), parent.is_not(None))
    return {each: int(count) for each, count in connection.execute(query.group_by(parent))}


def _errors_by_workflow(connection: Snapshot, rows: Sequence[Any]) -> dict[str, str]:
    """Return the errors of messages, as their batches stored them: DBOS's are pickled."""
    parents = sorted({row.parent_workflow_id for row in rows if row.parent_workflow_id})
    if not parents or not sa.inspect(connection).has_table(
        failures.name, schema=None if connection.dialect.name == "sqlite" else SCHEMA
    ):
        return {}
    found: dict[str, str] = {}
    for part in in_parts(parents):
        for batch_id, failed in records.failures_by_batch(connection, list(part)).items():
            found.update((f"{batch_id}-{number}", error) for number, error in failed)
    return found


@dataclass(frozen=True, slots=True)
class StepSeen:
    """One recorded step of a workflow, and the processes that may have run it."""

    number: int
    name: str
    child: str | None
    failed: bool
    started_at_ms: int | None
    completed_at_ms: int | None
    processes: tuple[int, ...]  # exactly one if it is certain


def list_steps(
    connection: Snapshot, workflow_id: str, seen_processes: Sequence[records.ProcessSeen]
) -> list[StepSeen]:
    """Return the recorded steps of a workflow, in order.

    DBOS records no process with a step, and the process is found by time: the one that delivered
    the workflow's message during the step, or else all that ran when the step completed.

    Args:
        connection: Connection to a database with DBOS's tables, in a snapshot.
        workflow_id: Id of the workflow.
        seen_processes: All processes, oldest first.
    """
    o = operation_outputs.c
    rows = connection.execute(
        sa.select(operation_outputs).where(o.workflow_uuid == workflow_id).order_by(o.function_id)
    ).all()
    by_delivery = records.deliveries_of(connection, workflow_id)
    return [
        StepSeen(
            number=row.function_id,
            name=row.function_name,
            child=row.child_workflow_id,
            failed=row.error is not None,
            started_at_ms=row.started_at_epoch_ms,
            completed_at_ms=row.completed_at_epoch_ms,
            processes=_processes_at(row, seen_processes, by_delivery),
        )
        for row in rows
    ]


def _processes_at(
    row: Any, seen_processes: Sequence[records.ProcessSeen], by_delivery: list[tuple[int, int]]
) -> tuple[int, ...]:
    start, end = row.started_at_epoch_ms, row.completed_at_epoch_ms
    if end is None:
        return ()
    for process, at in by_delivery:
        if start is not None and start <= at <= end:
            return (process,)
    candidates = []
    for process_seen in seen_processes:
        # A killed process had ended when the next one with its executor id began.
        later = (
            x
            for x in seen_processes
            if x.executor == process_seen.executor and x.id > process_seen.id
        )
        successor = next(later, None)
        until = process_seen.ended_at_ms or (successor.started_at_ms if successor else None)
        if process_seen.started_at_ms <= end and (until is None or end <= until):
            candidates.append(process_seen.id)
    return tuple(candidates)
