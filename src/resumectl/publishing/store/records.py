"""Query resumectl's own tables: batches, deliveries, failures, processes. Reads only.

The status of a batch comes from DBOS's tables. Counts are computed from the durable rows when they
are asked for: no counter row has to be kept in step, or locked.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from resumectl.database import Snapshot, in_parts
from resumectl.publishing.store import unfinished
from resumectl.publishing.store.dbos_tables import has_dbos_tables, workflow_status
from resumectl.publishing.store.models import batches, deliveries, failures, processes, publishers
from resumectl.publishing.store.state import (
    DELETED,
    KILLED,
    NOT_STARTED,
    RUNNING,
    Active,
    BatchState,
    Counts,
    Left,
    ProcessCounters,
    PublisherState,
    State,
)
from resumectl.publishing.store.unfinished import Origin
from resumectl.publishing.store.view import View
from resumectl.settings import Settings
from resumectl.statuses import ENDED

FAILURES_SHOWN_MAX = 20  # for each batch

_ws = workflow_status.c


def unstarted_batches(connection: Snapshot, settings: Settings) -> list[str]:
    """Return the ids of stored batches whose workflow was never started.

    A batch with traces and without a workflow was started, and its workflow was deleted since, by
    hand or by DBOS's retention. Starting it again would deliver everything once more.
    """
    query = sa.select(batches.c.id).where(~_has_traces(batches.c.id))
    if has_dbos_tables(connection, settings):
        own = sa.exists().where(_ws.workflow_uuid == batches.c.id)
        query = query.where(~own)
    return list(connection.scalars(query.order_by(batches.c.created_at_ms, batches.c.id)))


def has_traces(connection: sa.Connection, batch_id: str) -> bool:
    """Return whether a batch ever ran: a message was delivered, or failed."""
    return bool(connection.scalar(sa.select(_has_traces(sa.literal(batch_id)))))


def _has_traces(batch_id: sa.ColumnElement[str]) -> sa.ColumnElement[bool]:
    return sa.or_(
        sa.exists().where(deliveries.c.batch_id == batch_id),
        sa.exists().where(failures.c.batch_id == batch_id),
    )


def read_state(
    view: View,
    settings: Settings,
    *,
    name: str | None = None,
    batch_ids: Sequence[str] | None = None,
) -> State:
    """Count what survived.

    Args:
        view: View of a database with resumectl's tables.
        settings: Settings that name the database.
        name: Name of the only publisher to read; None for all.
        batch_ids: Ids of the only batches to read; None for all.
    """
    connection = view.connection
    query = sa.select(batches).order_by(batches.c.created_at_ms, batches.c.id)
    if name is not None:
        query = query.where(batches.c.publisher == name)
    if batch_ids is not None:
        query = query.where(batches.c.id.in_(batch_ids))
    rows = connection.execute(query).all()
    is_narrow = name is not None or batch_ids is not None
    states: defaultdict[str, list[BatchState]] = defaultdict(list)
    for state in _batch_states(connection, settings, rows, is_narrow=is_narrow):
        states[state.publisher].append(state)
    counters = _counters_by_publisher(view)
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
                processes=tuple(counters.get(each, ())),
            )
            for each in names
        )
    )


def _batch_states(
    connection: Snapshot, settings: Settings, rows: Sequence[Any], *, is_narrow: bool
) -> Iterator[BatchState]:
    """Yield the state of each batch.

    Args:
        connection: Connection in a snapshot.
        settings: Settings that name the database.
        rows: Rows of the table `batches`.
        is_narrow: Whether other batches exist that are not among the rows.
    """
    ids = [row.id for row in rows] if is_narrow else None
    delivered = _deliveries_by_batch(connection, ids)
    failed = failures_by_batch(connection, ids)
    is_there = has_dbos_tables(connection, settings)
    status = _status_by_batch(connection) if is_there else {}
    for row in rows:
        was_started = row.id in delivered or row.id in failed
        status.setdefault(row.id, DELETED if was_started else NOT_STARTED)
    lacking = _lacking(rows, delivered)
    active = unfinished.active_workflows(connection) if is_there else {}
    if is_there:
        undelivered = unfinished.undelivered(connection, list(lacking), active)
    else:
        undelivered = {each: {None: number} for each, number in lacking.items()}
    left = Left.by_batch(status, undelivered, active)
    for row in rows:
        distinct, total, ignored = delivered.get(row.id, (0, 0, 0))
        errors = failed.get(row.id, [])
        rest = left.get(row.id, Left())
        running = active.get(row.id, Active())
        yield BatchState(
            id=row.id,
            publisher=row.publisher,
            guarantee=row.guarantee,
            status=status[row.id],
            counts=Counts(
                expected=row.expected,
                delivered=distinct,
                repeated=total - distinct,
                missing=rest.missing,
                failed=len(errors),
                pending=rest.pending,
                ignored=ignored,
                cancelled=rest.cancelled,
                unfinished=running.workflows,
            ),
            failures=tuple(errors[:FAILURES_SHOWN_MAX]),
            unfinished_children=running.children,
        )


def _lacking(rows: Sequence[Any], counted: Mapping[str, tuple[int, int, int]]) -> dict[str, int]:
    delivered = {row.id: counted.get(row.id, (0, 0, 0))[0] for row in rows}
    return {r.id: r.expected - delivered[r.id] for r in rows if delivered[r.id] < r.expected}


def read_counts(connection: Snapshot, batch_ids: Sequence[str]) -> Counts:
    """Return the sums of the counts of batches; cheap enough for polling."""
    rows = connection.execute(
        sa.select(batches.c.id, batches.c.expected, _ws.status)
        .outerjoin(workflow_status, _ws.workflow_uuid == batches.c.id)
        .where(batches.c.id.in_(batch_ids))
    ).all()
    counted = _deliveries_by_batch(connection, [row.id for row in rows])
    # While a batch runs, its undelivered messages count as pending: reading each would cost more.
    ended = {row.id: row.status for row in rows if row.status in ENDED}
    lacking = _lacking([row for row in rows if row.id in ended], counted)
    left: dict[str, Left] = {}
    if lacking:
        active = unfinished.active_workflows(connection)
        undelivered = unfinished.undelivered(connection, list(lacking), active)
        left = Left.by_batch(ended, undelivered, active)
    total = Counts()
    for row in rows:
        delivered = counted.get(row.id, (0, 0, 0))[0]
        missing = left.get(row.id, Left()).missing
        total += Counts(
            expected=row.expected,
            delivered=delivered,
            missing=missing,
            pending=row.expected - delivered - missing,
        )
    return total


def deliveries_made(connection: Snapshot, origins: Mapping[str, Origin]) -> dict[str, int]:
    """Return the number of deliveries of the message of each workflow, if there are any.

    Args:
        connection: Connection in a snapshot.
        origins: Batch and message of each workflow, by workflow id.
    """
    d = deliveries.c
    made: dict[tuple[str, int], int] = {}
    for part in in_parts(sorted({each.batch_id for each in origins.values()})):
        query = (
            sa.select(d.batch_id, d.message_number, sa.func.count())
            .where(d.batch_id.in_(part))
            .group_by(d.batch_id, d.message_number)
        )
        made.update(((batch_id, n), int(count)) for batch_id, n, count in connection.execute(query))
    return {
        workflow_id: made[(origin.batch_id, origin.message)]
        for workflow_id, origin in origins.items()
        if origin.message is not None and (origin.batch_id, origin.message) in made
    }


def deliveries_of(connection: sa.Connection, workflow_id: str) -> list[tuple[int, int]]:
    """Return process id and time, in milliseconds of Unix time, of a workflow's deliveries."""
    batch_id, _, number = workflow_id.rpartition("-")
    if not re.fullmatch(r"[0-9]{1,9}", number):
        return []
    query = sa.select(deliveries.c.process_id, deliveries.c.delivered_at_ms).where(
        deliveries.c.batch_id == batch_id, deliveries.c.message_number == int(number)
    )
    return [(int(process), int(at)) for process, at in connection.execute(query)]


def deliveries_of_batch(
    connection: sa.Connection, batch_id: str
) -> dict[str, list[tuple[int, int]]]:
    """Return process id and time, in milliseconds of Unix time, of each delivery, by workflow id."""
    d = deliveries.c
    query = sa.select(d.workflow_id, d.process_id, d.delivered_at_ms).where(d.batch_id == batch_id)
    found: defaultdict[str, list[tuple[int, int]]] = defaultdict(list)
    for workflow_id, process, at in connection.execute(query.order_by(d.id)):
        found[workflow_id].append((int(process), int(at)))
    return dict(found)


def failures_by_batch(
    connection: sa.Connection, ids: list[str] | None
) -> dict[str, list[tuple[int, str]]]:
    """Return number and error of each failed message, by batch id.

    Args:
        connection: Connection to the database.
        ids: Ids of the batches; None for all.
    """
    query = sa.select(failures.c.batch_id, failures.c.message_number, failures.c.error).order_by(
        failures.c.batch_id, failures.c.message_number
    )
    if ids is not None:
        query = query.where(failures.c.batch_id.in_(ids))
    found: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for row in connection.execute(query):
        found[row.batch_id].append((row.message_number, row.error))
    return found


def _deliveries_by_batch(
    connection: sa.Connection, ids: list[str] | None
) -> dict[str, tuple[int, int, int]]:
    """Return, by batch id, the numbers of delivered messages, deliveries and ignored attempts."""
    d = deliveries.c
    # One grouping, in the order of the index. With two groupings, by message and then by batch,
    # SQLite takes 1.5 s instead of 0.4 s for a million deliveries.
    query = sa.select(
        d.batch_id,
        sa.func.count(d.message_number.distinct()),
        sa.func.count(),
        sa.func.sum(d.ignored),
    ).group_by(d.batch_id)
    if ids is not None:
        query = query.where(d.batch_id.in_(ids))
    return {row[0]: (int(row[1]), int(row[2]), int(row[3])) for row in connection.execute(query)}


def _status_by_batch(connection: sa.Connection) -> dict[str, str]:
    query = sa.select(batches.c.id, _ws.status).join(
        workflow_status, _ws.workflow_uuid == batches.c.id
    )
    return {row.id: row.status for row in connection.execute(query)}


def _last_counts() -> sa.Select[Any]:
    """Return the query for the last values of both counters, by process and publisher.

    It steps from publisher to publisher along the index: of a million deliveries it reads about a
    hundred entries. Both counters only grow, and the last value of one stands beside the last
    value of the other.
    """
    d = deliveries.c
    first = (
        sa.select(sa.func.min(d.publisher)).where(d.process_id == processes.c.id).scalar_subquery()
    )
    pair = sa.select(processes.c.id.label("process_id"), first.label("publisher")).cte(
        "pair", recursive=True
    )
    following = (
        sa.select(sa.func.min(d.publisher))
        .where(d.process_id == pair.c.process_id, d.publisher > pair.c.publisher)
        .scalar_subquery()
    )
    pair = pair.union_all(
        sa.select(pair.c.process_id, following).where(pair.c.publisher.is_not(None))
    )

    def last(column: sa.Column[int]) -> sa.ScalarSelect[int]:
        return (
            sa.select(column)
            .where(d.process_id == pair.c.process_id, d.publisher == pair.c.publisher)
            .order_by(d.local_count.desc(), d.global_count.desc())
            .limit(1)
            .scalar_subquery()
        )

    return (
        sa.select(pair.c.process_id, pair.c.publisher, last(d.local_count), last(d.global_count))
        .where(pair.c.publisher.is_not(None))
        .order_by(pair.c.process_id, pair.c.publisher)
    )


def last_counters(view: View) -> list[tuple[int, str, int, int]]:
    """Return process, publisher and the last values of both counters in memory, where there are any."""
    found = view.connection.execute(_last_counts())
    return [(int(process), publisher, int(a), int(b)) for process, publisher, a, b in found]


def _counters_by_publisher(view: View) -> dict[str, list[ProcessCounters]]:
    rows = last_counters(view)
    totals: dict[int, int] = {}
    for number, _, _, total in rows:
        totals[number] = max(total, totals.get(number, 0))
    known = {each.id: each for each in read_processes(view)}
    found: defaultdict[str, list[ProcessCounters]] = defaultdict(list)
    for process_id, publisher, local, _ in rows:
        process = known[process_id]
        found[publisher].append(
            ProcessCounters(
                process=process_id,
                pid=process.pid,
                host=process.host,
                executor=process.executor,
                command=process.command,
                ended=process.ended,
                local=local,
                total=totals[process_id],
            )
        )
    return found


@dataclass(frozen=True, slots=True)
class ProcessSeen:
    """One process, as its row and its lock show it."""

    id: int
    executor: str
    app_version: str
    command: str
    pid: int
    host: str
    started_at_ms: int
    ended_at_ms: int | None
    ended: str  # running, killed, or how it ended


def read_processes(view: View) -> list[ProcessSeen]:
    """Return every process, oldest first.

    A process that recorded no end and holds no lock was killed.
    """
    rows = view.connection.execute(sa.select(processes).order_by(processes.c.id)).all()
    return [
        ProcessSeen(
            id=row.id,
            executor=row.executor_id,
            app_version=row.app_version,
            command=row.command,
            pid=row.pid,
            host=row.host,
            started_at_ms=row.started_at_ms,
            ended_at_ms=row.ended_at_ms,
            ended=row.how or (RUNNING if view.is_running(row.executor_id, row.id) else KILLED),
        )
        for row in rows
    ]
