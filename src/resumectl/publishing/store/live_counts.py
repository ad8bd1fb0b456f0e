"""Read what processes are doing now, again and again, at a cost that does not grow with the database.

Deliveries are counted once, then only those are read that came since. On PostgreSQL, a delivery with a
lower id may become visible after one with a higher id, so everything is counted again from time to time.
"""

import socket
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from resumectl.publishing.store.dbos_tables import has_dbos_tables, has_not_ended, workflow_status
from resumectl.publishing.store.models import batches, deliveries
from resumectl.publishing.store.records import ProcessSeen, last_counters, read_processes
from resumectl.publishing.store.state import FROZEN, PENDING, RUNNING
from resumectl.publishing.store.view import View
from resumectl.settings import Settings
from resumectl.statuses import UNFINISHED

_COUNT_ALL_EVERY_S = 60.0
_BATCHES_MAX = 20
_NEWEST_MAX = 8

_d, _ws = deliveries.c, workflow_status.c


@dataclass(frozen=True, slots=True)
class LiveProcess:
    """A process, as it is now.

    Attributes:
        id: Its number.
        command: Command that it runs.
        executor: Executor id.
        pid: Its process id.
        state: `running`, `frozen`, `killed`, or how it ended.
        in_memory: Its counter of deliveries in memory; 0 if it has delivered nothing.
        deliveries: Number of its durable deliveries.
    """

    id: int
    command: str
    executor: str
    pid: int
    state: str
    in_memory: int
    deliveries: int


@dataclass(frozen=True, slots=True)
class LiveBatch:
    """A batch, as it is now. `status`: status of its own workflow; empty if it has none."""

    id: str
    expected: int
    deliveries: int
    status: str

    @property
    def is_unfinished(self) -> bool:
        """Whether its own workflow has not ended."""
        return self.status in UNFINISHED


@dataclass(frozen=True, slots=True)
class LiveQueue:
    """A queue, as it is now. `waiting`: enqueued workflows; `running`: workflows that were taken."""

    name: str
    waiting: int
    running: int


@dataclass(frozen=True, slots=True)
class LiveDelivery:
    """One of the newest deliveries. `at_ms`: its time, in milliseconds since the epoch."""

    at_ms: int
    workflow: str
    process: int


@dataclass(frozen=True, slots=True)
class Live:
    """What processes are doing at one moment.

    Attributes:
        processes: Processes, the newest first.
        batches: Unfinished batches and the newest ended ones, the newest first.
        queues: Queues with workflows, by name.
        deliveries: Number of all deliveries.
        newest: The newest deliveries, the newest first.
    """

    processes: Sequence[LiveProcess]
    batches: Sequence[LiveBatch]
    queues: Sequence[LiveQueue]
    deliveries: int
    newest: Sequence[LiveDelivery]


NOTHING = Live((), (), (), 0, ())


class LiveReader:
    """Reads a database again and again.

    Args:
        settings: Settings that name the database.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._by_batch: Counter[str] = Counter()
        self._by_process: Counter[int] = Counter()
        self._last_id = 0
        self._counted_all_at = -_COUNT_ALL_EVERY_S
        self._first_started_ms: int | None = None  # of the oldest process; a reset deletes it

    def read(self, view: View) -> Live:
        """Return what processes are doing.

        Args:
            view: View of a database with resumectl's tables.
        """
        seen = read_processes(view)
        first = seen[0].started_at_ms if seen else None
        self._count(view, is_same=first == self._first_started_ms)
        self._first_started_ms = first
        has_workflows = has_dbos_tables(view.connection, self._settings)
        return Live(
            processes=self._processes(view, seen),
            batches=self._batches(view, has_workflows=has_workflows),
            queues=_queues(view) if has_workflows else (),
            deliveries=self._by_process.total(),
            newest=_newest(view),
        )

    def _count(self, view: View, *, is_same: bool) -> None:
        now = time.monotonic()
        if not is_same or now - self._counted_all_at >= _COUNT_ALL_EVERY_S:
            self._by_batch, self._by_process, self._last_id = Counter(), Counter(), 0
            self._counted_all_at = now
        query = (
            sa.select(_d.batch_id, _d.process_id, sa.func.count(), sa.func.max(_d.id))
            .where(_d.id > self._last_id)
            .group_by(_d.batch_id, _d.process_id)
        )
        for batch_id, process, count, last_id in view.connection.execute(query).all():
            self._by_batch[batch_id] += int(count)
            self._by_process[process] += int(count)
            self._last_id = max(self._last_id, int(last_id))

    def _processes(self, view: View, seen: Sequence[ProcessSeen]) -> list[LiveProcess]:
        in_memory: Counter[int] = Counter()
        for process, _, _, total in last_counters(view):
            in_memory[process] = max(in_memory[process], total)
        return [
            LiveProcess(
                id=each.id,
                command=each.command,
                executor=each.executor,
                pid=each.pid,
                state=FROZEN if _is_frozen(each) else each.ended,
                in_memory=in_memory[each.id],
                deliveries=self._by_process[each.id],
            )
            for each in reversed(seen)
        ]

    def _batches(self, view: View, *, has_workflows: bool) -> list[LiveBatch]:
        b = batches.c
        newest = sa.select(b.id, b.expected, b.created_at_ms).order_by(b.created_at_ms.desc())
        rows = list(view.connection.execute(newest.limit(_BATCHES_MAX)))
        statuses: Mapping[str, str] = {}
        if has_workflows:
            running = sa.select(_ws.workflow_uuid).where(has_not_ended())
            older = newest.where(b.id.in_(running)).limit(_BATCHES_MAX)
            rows = list(dict.fromkeys([*rows, *view.connection.execute(older)]))
            query = sa.select(_ws.workflow_uuid, _ws.status).where(
                _ws.workflow_uuid.in_([row.id for row in rows])
            )
            statuses = {row.workflow_uuid: row.status for row in view.connection.execute(query)}
        return [
            LiveBatch(
                id=row.id,
                expected=row.expected,
                deliveries=self._by_batch[row.id],
                status=statuses.get(row.id, ""),
            )
            for row in rows
        ]


def _is_frozen(process: ProcessSeen) -> bool:
    is_here = process.host == socket.gethostname()
    return process.ended == RUNNING and is_here and is_stopped(process.pid)


def _queues(view: View) -> list[LiveQueue]:
    query = (
        sa.select(_ws.queue_name, _ws.status, sa.func.count())
        .where(has_not_ended(), _ws.queue_name.is_not(None))
        .group_by(_ws.queue_name, _ws.status)
    )
    waiting: Counter[str] = Counter()
    running: Counter[str] = Counter()
    for name, status, count in view.connection.execute(query):
        (running if status == PENDING else waiting)[name] += int(count)
    return [LiveQueue(name, waiting[name], running[name]) for name in sorted({*waiting, *running})]


def _newest(view: View) -> list[LiveDelivery]:
    query = (
        sa.select(_d.delivered_at_ms, _d.workflow_id, _d.process_id)
        .order_by(_d.id.desc())
        .limit(_NEWEST_MAX)
    )
    return [
        LiveDelivery(int(at), workflow, int(p))
        for at, workflow, p in view.connection.execute(query)
    ]


def is_stopped(pid: int) -> bool:
    """Return whether a process of this machine is stopped, as by SIGSTOP.

    Args:
        pid: Its process id.
    """
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (OSError, ValueError):
        return False
    # The name of the program stands in parentheses, and may contain any character (man 5 proc).
    return text.rpartition(")")[2].split()[0] in ("T", "t")
