"""Questions asked of the tables, resumectl's own and DBOS's. Reads only.

Every answer is counted where it is durable, when it is asked for: there is no counter row
to keep in step, and none to contend for.
"""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import sqlalchemy as sa

from resumectl.database import SCHEMA
from resumectl.publishing.dbos_tables import (
    ENDED,
    PUBLISHER_CLASS,
    SWEEP_CLASS,
    UNFINISHED,
    operation_outputs,
    queues,
    workflow_status,
)
from resumectl.publishing.lives import ExecutorLocks
from resumectl.publishing.models import batches, deliveries, failures, lives, publishers
from resumectl.publishing.state import (
    NOT_STARTED,
    BatchState,
    Counts,
    LifeCounters,
    PublisherState,
    State,
)
from resumectl.settings import Settings

FAILURES_SHOWN_MAX = 20  # of one batch

_ws = workflow_status.c
# A statement takes a bounded number of parameters (SQLite: 32,766).
_PARAMETERS_MAX = 10_000


def _chunks(items: Sequence[Any]) -> list[Sequence[Any]]:
    return [items[i : i + _PARAMETERS_MAX] for i in range(0, len(items), _PARAMETERS_MAX)]


def has_dbos_tables(connection: sa.Connection, settings: Settings) -> bool:
    """Whether DBOS's tables are there, with everything that is read of them.

    On PostgreSQL DBOS 3.4.0 migrates in 81 transactions, and a process may die between two:
    what is half there counts as absent, and the next launch completes it.
    """
    schema = None if settings.is_sqlite else settings.dbos_schema
    wanted = {table.name: table for table in (workflow_status, operation_outputs, queues)}
    found = sa.inspect(connection).get_multi_columns(schema=schema, filter_names=list(wanted))
    columns = {name: {each["name"] for each in seen} for (_, name), seen in found.items()}
    return all(
        columns.get(name, set()).issuperset(table.columns.keys()) for name, table in wanted.items()
    )


def queue_exists(connection: sa.Connection, settings: Settings, name: str) -> bool:
    """Whether the queue is registered."""
    if not has_dbos_tables(connection, settings):
        return False
    return connection.scalar(sa.select(queues.c.name).where(queues.c.name == name)) is not None


def queue_names(connection: sa.Connection, prefix: str) -> list[str]:
    """The registered queues whose names begin so."""
    query = sa.select(queues.c.name).where(queues.c.name.startswith(prefix, autoescape=True))
    return sorted(connection.scalars(query))


def _ours(settings: Settings) -> sa.ColumnElement[bool]:
    """The workflows that a life of these settings can run."""
    return sa.and_(
        _ws.class_name.in_((PUBLISHER_CLASS, SWEEP_CLASS)),
        sa.or_(_ws.application_name == settings.app_name, _ws.application_name.is_(None)),
    )


# ---------------------------------------------------------------- what is unfinished


class Unfinished(NamedTuple):
    """One workflow that has not ended, and who has it."""

    workflow_id: str
    publisher: str | None  # None: a sweep's
    status: str
    queue: str | None
    executor: str | None
    app_version: str | None
    attempts: int
    parent: str | None


def unfinished(connection: sa.Connection, settings: Settings) -> list[Unfinished]:
    """Every workflow of publishers and sweeps that has not ended, oldest first."""
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
        .where(_ws.status.in_(UNFINISHED), _ours(settings))
        .order_by(_ws.created_at, _ws.workflow_uuid)
    )
    return [Unfinished(*row) for row in rows]


def unstarted_batches(connection: sa.Connection) -> list[str]:
    """Batches that were written down, and whose workflow was never started."""
    query = (
        sa.select(batches.c.id)
        .outerjoin(workflow_status, _ws.workflow_uuid == batches.c.id)
        .where(_ws.workflow_uuid.is_(None))
        .order_by(batches.c.created_at_ms, batches.c.id)
    )
    return list(connection.scalars(query))


def all_batches(connection: sa.Connection) -> list[str]:
    """Every batch that was written down, oldest first."""
    query = sa.select(batches.c.id).order_by(batches.c.created_at_ms, batches.c.id)
    return list(connection.scalars(query))


def executors_with_pending(connection: sa.Connection, settings: Settings) -> list[str]:
    """Executor ids under which something is PENDING in the application version at hand."""
    query = (
        sa.select(_ws.executor_id)
        .where(
            _ws.status == "PENDING",
            _ws.application_version == settings.app_version,
            _ours(settings),
        )
        .distinct()
    )
    return sorted(each for each in connection.scalars(query) if each)


def pending_of(
    connection: sa.Connection, executor_id: str, settings: Settings
) -> list[tuple[str, str | None]]:
    """Id and queue of what is PENDING under an executor id, in the version at hand."""
    query = sa.select(_ws.workflow_uuid, _ws.queue_name).where(
        _ws.status == "PENDING",
        _ws.executor_id == executor_id,
        _ws.application_version == settings.app_version,
        _ours(settings),
    )
    return [(row.workflow_uuid, row.queue_name) for row in connection.execute(query)]


def count_statuses(connection: sa.Connection, settings: Settings, batch_id: str) -> dict[str, int]:
    """How many workflows of a batch, itself included, have each status."""
    if not has_dbos_tables(connection, settings):
        return {}
    query = (
        sa.select(_ws.status, sa.func.count())
        .where(sa.or_(_ws.workflow_uuid == batch_id, _ws.parent_workflow_id == batch_id))
        .group_by(_ws.status)
    )
    return {status: int(count) for status, count in connection.execute(query)}


def statuses(connection: sa.Connection, workflow_ids: Sequence[str]) -> dict[str, str]:
    """The status of each of the workflows that exist."""
    found: dict[str, str] = {}
    for part in _chunks(workflow_ids):
        query = sa.select(_ws.workflow_uuid, _ws.status).where(_ws.workflow_uuid.in_(part))
        found.update((row.workflow_uuid, row.status) for row in connection.execute(query))
    return found


# ---------------------------------------------------------------- what survived


def read_state(
    connection: sa.Connection,
    settings: Settings,
    locks: ExecutorLocks,
    *,
    name: str | None = None,
    batch_ids: Sequence[str] | None = None,
) -> State:
    """Count what survived.

    Args:
        connection: To a database with resumectl's tables.
        settings: Where it is.
        locks: To tell the lives that run from those that died.
        name: Only this publisher.
        batch_ids: Only these batches.
    """
    query = sa.select(batches).order_by(batches.c.created_at_ms, batches.c.id)
    if name is not None:
        query = query.where(batches.c.publisher == name)
    if batch_ids is not None:
        query = query.where(batches.c.id.in_(batch_ids))
    rows = connection.execute(query).all()
    ids = [row.id for row in rows]
    narrow = name is not None or batch_ids is not None
    counted = _deliveries_by_batch(connection, ids if narrow else None)
    failed = _failures_by_batch(connection, ids if narrow else None)
    status = _status_by_batch(connection, settings)
    states: defaultdict[str, list[BatchState]] = defaultdict(list)
    for row in rows:
        delivered, total, ignored = counted.get(row.id, (0, 0, 0))
        found = failed.get(row.id, [])
        batch_status = status.get(row.id, NOT_STARTED)
        states[row.publisher].append(
            BatchState.of(
                id=row.id,
                publisher=row.publisher,
                guarantee=row.guarantee,
                status=batch_status,
                has_ended=batch_status in ENDED,
                expected=row.expected,
                delivered=delivered,
                deliveries=total,
                ignored=ignored,
                failed=len(found),
                failures=tuple(found[:FAILURES_SHOWN_MAX]),
            )
        )
    counters = _counters_by_publisher(connection, locks)
    if batch_ids is not None:
        names = sorted(states)
    else:
        known = sa.select(publishers.c.name).order_by(publishers.c.name)
        names = [each for each in connection.scalars(known) if name in (None, each)]
    return State(
        tuple(
            PublisherState(
                name=each,
                batches=tuple(states.get(each, ())),
                durable=sum(b.counts.delivered + b.counts.repeated for b in states.get(each, ())),
                lives=tuple(counters.get(each, ())),
            )
            for each in names
        )
    )


def read_counts(connection: sa.Connection, batch_ids: Sequence[str]) -> Counts:
    """The counts of these batches together; cheap enough to be asked again and again."""
    rows = connection.execute(
        sa.select(batches.c.id, batches.c.expected, _ws.status)
        .outerjoin(workflow_status, _ws.workflow_uuid == batches.c.id)
        .where(batches.c.id.in_(batch_ids))
    ).all()
    counted = _deliveries_by_batch(connection, [row.id for row in rows])
    total = Counts()
    for row in rows:
        delivered = counted.get(row.id, (0, 0, 0))[0]
        left = row.expected - delivered
        ended = row.status in ENDED
        total += Counts(
            expected=row.expected,
            delivered=delivered,
            missing=left if ended else 0,
            pending=0 if ended else left,
        )
    return total


def _deliveries_by_batch(
    connection: sa.Connection, ids: list[str] | None
) -> dict[str, tuple[int, int, int]]:
    """Batch id to distinct messages delivered, deliveries, attempts ignored."""
    d = deliveries.c
    # One grouping, in the order of the index: grouping by message first, and then by batch,
    # took SQLite 1.5 rather than 0.4 s for a million.
    query = sa.select(
        d.batch_id,
        sa.func.count(d.message_number.distinct()),
        sa.func.count(),
        sa.func.sum(d.ignored),
    ).group_by(d.batch_id)
    if ids is not None:
        query = query.where(d.batch_id.in_(ids))
    return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in connection.execute(query)}


def _failures_by_batch(
    connection: sa.Connection, ids: list[str] | None
) -> dict[str, list[tuple[int, str]]]:
    query = sa.select(failures.c.batch_id, failures.c.message_number, failures.c.error).order_by(
        failures.c.batch_id, failures.c.message_number
    )
    if ids is not None:
        query = query.where(failures.c.batch_id.in_(ids))
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.batch_id].append((row.message_number, row.error))
    return found


def _status_by_batch(connection: sa.Connection, settings: Settings) -> dict[str, str]:
    if not has_dbos_tables(connection, settings):
        return {}
    query = sa.select(batches.c.id, _ws.status).join(
        workflow_status, _ws.workflow_uuid == batches.c.id
    )
    return {row.id: row.status for row in connection.execute(query)}


def _last_counts() -> sa.Select[Any]:
    """What both counters said last, for each life and publisher.

    A step from publisher to publisher along the index, not a scan: of a million deliveries
    some hundred entries are read. Both counters only ever grow, so that the last of the one
    stands beside the last of the other.
    """
    d = deliveries.c
    first = sa.select(sa.func.min(d.publisher)).where(d.life_id == lives.c.id).scalar_subquery()
    pair = sa.select(lives.c.id.label("life_id"), first.label("publisher")).cte(
        "pair", recursive=True
    )
    following = (
        sa.select(sa.func.min(d.publisher))
        .where(d.life_id == pair.c.life_id, d.publisher > pair.c.publisher)
        .scalar_subquery()
    )
    pair = pair.union_all(sa.select(pair.c.life_id, following).where(pair.c.publisher.is_not(None)))

    def last(column: sa.Column[int]) -> sa.ScalarSelect[int]:
        return (
            sa.select(column)
            .where(d.life_id == pair.c.life_id, d.publisher == pair.c.publisher)
            .order_by(d.local_count.desc(), d.global_count.desc())
            .limit(1)
            .scalar_subquery()
        )

    return (
        sa.select(pair.c.life_id, pair.c.publisher, last(d.local_count), last(d.global_count))
        .where(pair.c.publisher.is_not(None))
        .order_by(pair.c.life_id, pair.c.publisher)
    )


def _counters_by_publisher(
    connection: sa.Connection, locks: ExecutorLocks
) -> dict[str, list[LifeCounters]]:
    query = _last_counts()
    rows = [
        (life, publisher, int(a), int(b)) for life, publisher, a, b in connection.execute(query)
    ]
    totals: dict[int, int] = {}
    for life, _, _, total in rows:
        totals[life] = max(total, totals.get(life, 0))
    known = {life.id: life for life in read_lives(connection, locks)}
    found: defaultdict[str, list[LifeCounters]] = defaultdict(list)
    for life_id, publisher, local, _ in rows:
        life = known[life_id]
        found[publisher].append(
            LifeCounters(
                life=life_id,
                pid=life.pid,
                host=life.host,
                executor=life.executor,
                command=life.command,
                ended=life.ended,
                local=local,
                total=totals[life_id],
            )
        )
    return found


# ---------------------------------------------------------------- lives


@dataclass(frozen=True, slots=True)
class LifeSeen:
    """One process's run, as its row and its lock tell it."""

    id: int
    executor: str
    app_version: str
    command: str
    pid: int
    host: str
    started_at_ms: int
    ended_at_ms: int | None
    ended: str  # running, died, or how it ended


def read_lives(connection: sa.Connection, locks: ExecutorLocks) -> list[LifeSeen]:
    """Every life, oldest first; one that left no end and holds no lock has died."""
    rows = connection.execute(sa.select(lives).order_by(lives.c.id)).all()
    alive = locks.alive({row.executor_id for row in rows if row.how is None})
    # Of the lives without an end under one executor id, only the newest can hold its lock.
    newest = {row.executor_id: row.id for row in rows}
    return [
        LifeSeen(
            id=row.id,
            executor=row.executor_id,
            app_version=row.app_version,
            command=row.command,
            pid=row.pid,
            host=row.host,
            started_at_ms=row.started_at_ms,
            ended_at_ms=row.ended_at_ms,
            ended=row.how
            or (
                "running"
                if row.executor_id in alive and newest[row.executor_id] == row.id
                else "died"
            ),
        )
        for row in rows
    ]


# ---------------------------------------------------------------- workflows and steps


def all_workflow_ids(connection: sa.Connection, settings: Settings) -> list[str]:
    """Every workflow of every publisher."""
    if not has_dbos_tables(connection, settings):
        return []
    return list(connection.scalars(sa.select(_ws.workflow_uuid).where(_ours(settings))))


def recorded_steps(connection: sa.Connection, workflow_ids: Sequence[str]) -> dict[str, int]:
    """How many steps of each workflow are recorded; those with none are left out."""
    return _steps_by_workflow(connection, workflow_ids)


def deliveries_made(connection: sa.Connection, workflow_ids: Sequence[str]) -> dict[str, int]:
    """How many deliveries each workflow has made; those that made none are left out."""
    wanted = set(workflow_ids)
    d = deliveries.c
    found: dict[str, int] = {}
    for part in _chunks(sorted({each.rpartition("-")[0] for each in wanted})):
        query = (
            sa.select(d.batch_id, d.message_number, sa.func.count())
            .where(d.batch_id.in_(part))
            .group_by(d.batch_id, d.message_number)
        )
        for batch_id, number, made in connection.execute(query):
            if f"{batch_id}-{number}" in wanted:
                found[f"{batch_id}-{number}"] = int(made)
    return found


def natural_order(workflow_id: str) -> list[tuple[int, str]]:
    """A key to sort by, with alpha-1-2 before alpha-1-10."""
    return [(len(part) if part.isdigit() else 0, part) for part in workflow_id.split("-")]


@dataclass(frozen=True, slots=True)
class WorkflowSeen:
    """One workflow, of any application, without what it was given or gave back."""

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
    error: str | None


def list_workflows(
    connection: sa.Connection,
    *,
    workflow_ids: Sequence[str] | None = None,
    parents: Sequence[str] | None = None,
    status: str | None = None,
    name: str | None = None,
    publisher: str | None = None,
    since_ms: int | None = None,
    limit: int | None = None,
    offset: int = 0,
    roots_only: bool = False,
) -> list[WorkflowSeen]:
    """Workflows, newest first.

    Args:
        connection: To a database with DBOS's tables.
        workflow_ids: Only these.
        parents: Only children of these.
        status: Only with this status, as DBOS spells it.
        name: Only with this in the function's name.
        publisher: Only this publisher's.
        since_ms: Only created at or after this Unix time, in milliseconds.
        limit: At most so many; None for all.
        offset: After so many.
        roots_only: Only those that no other workflow started.
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
    ).order_by(_ws.created_at.desc(), _ws.workflow_uuid.desc())
    if workflow_ids is not None:
        query = query.where(_ws.workflow_uuid.in_(workflow_ids))
    if parents is not None:
        query = query.where(_ws.parent_workflow_id.in_(parents))
    if status is not None:
        query = query.where(_ws.status == status)
    if name is not None:
        query = query.where(_ws.name.contains(name, autoescape=True))
    if publisher is not None:
        query = query.where(_ws.config_name == publisher, _ws.class_name == PUBLISHER_CLASS)
    if roots_only:
        query = query.where(_ws.parent_workflow_id.is_(None))
    if since_ms is not None:
        query = query.where(_ws.created_at >= since_ms)
    rows = connection.execute(query.limit(limit).offset(offset)).all()
    steps = _steps_by_workflow(connection, [row.workflow_uuid for row in rows])
    errors = _errors_by_workflow(connection, rows)
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
            error=errors.get(row.workflow_uuid),
        )
        for row in rows
    ]


def _steps_by_workflow(connection: sa.Connection, workflow_ids: Sequence[str]) -> dict[str, int]:
    o = operation_outputs.c
    found: dict[str, int] = {}
    for part in _chunks(workflow_ids):
        query = (
            sa.select(o.workflow_uuid, sa.func.count())
            .where(o.workflow_uuid.in_(part))
            .group_by(o.workflow_uuid)
        )
        found.update((workflow_id, int(n)) for workflow_id, n in connection.execute(query))
    return found


def _errors_by_workflow(connection: sa.Connection, rows: Sequence[Any]) -> dict[str, str]:
    """Why messages failed, as the batch wrote it down: DBOS's own record is pickled."""
    parents = sorted({row.parent_workflow_id for row in rows if row.parent_workflow_id})
    if not parents or not sa.inspect(connection).has_table(
        failures.name, schema=None if connection.dialect.name == "sqlite" else SCHEMA
    ):
        return {}
    found: dict[str, str] = {}
    for part in _chunks(parents):
        for batch_id, failed in _failures_by_batch(connection, list(part)).items():
            found.update((f"{batch_id}-{number}", error) for number, error in failed)
    return found


@dataclass(frozen=True, slots=True)
class StepSeen:
    """One recorded step of a workflow, and the lives that may have executed it."""

    number: int
    name: str
    child: str | None
    failed: bool
    started_at_ms: int | None
    completed_at_ms: int | None
    lives: tuple[int, ...]  # one if it is certain


def list_steps(
    connection: sa.Connection, workflow_id: str, seen_lives: Sequence[LifeSeen]
) -> list[StepSeen]:
    """The recorded steps of a workflow, in order.

    DBOS records no process with a step, so the life is found by time: those that ran when the
    step was completed, and of these the one that delivered for the workflow, if any did.
    """
    o = operation_outputs.c
    rows = connection.execute(
        sa.select(operation_outputs).where(o.workflow_uuid == workflow_id).order_by(o.function_id)
    ).all()
    by_delivery = _deliveries_of(connection, workflow_id)
    return [
        StepSeen(
            number=row.function_id,
            name=row.function_name,
            child=row.child_workflow_id,
            failed=row.error is not None,
            started_at_ms=row.started_at_epoch_ms,
            completed_at_ms=row.completed_at_epoch_ms,
            lives=_lives_at(row, seen_lives, by_delivery),
        )
        for row in rows
    ]


def _deliveries_of(connection: sa.Connection, workflow_id: str) -> list[tuple[int, int]]:
    """Life and time of each delivery that a workflow made."""
    batch_id, _, number = workflow_id.rpartition("-")
    if not re.fullmatch(r"[0-9]{1,9}", number):
        return []
    query = sa.select(deliveries.c.life_id, deliveries.c.delivered_at_ms).where(
        deliveries.c.batch_id == batch_id, deliveries.c.message_number == int(number)
    )
    return [(int(life), int(at)) for life, at in connection.execute(query)]


def _lives_at(
    row: Any, seen_lives: Sequence[LifeSeen], by_delivery: list[tuple[int, int]]
) -> tuple[int, ...]:
    start, end = row.started_at_epoch_ms, row.completed_at_epoch_ms
    if end is None:
        return ()
    for life, at in by_delivery:
        if start is not None and start <= at <= end:
            return (life,)
    candidates = []
    for life_seen in seen_lives:
        # One that died ended, at the latest, when the next of its executor id began.
        later = (x for x in seen_lives if x.executor == life_seen.executor and x.id > life_seen.id)
        successor = next(later, None)
        until = life_seen.ended_at_ms or (successor.started_at_ms if successor else None)
        if life_seen.started_at_ms <= end and (until is None or end <= until):
            candidates.append(life_seen.id)
    return tuple(candidates)
