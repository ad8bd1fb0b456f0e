"""Read the rows of a DBOS database as they stand.

Uses the driver itself, which no hook of SQLAlchemy sees, and writes nothing. The runner reads the
database of a process that has just ended, before anything else touches it. The target process reads
its own database while it waits for its workflows. Values stay as DBOS stored them; no code of the
program is loaded.
"""

import sqlite3
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol, cast

from sqlalchemy.engine import make_url

from resumectl.errors import MachineFailure
from resumectl.model.snapshot import KeyedValueRow, Snapshot, StepRow, UnfinishedRow, WorkflowRow
from resumectl.statuses import UNFINISHED
from resumectl.storage.postgres import conninfo
from resumectl.storage.sqlite import SQLITE_BUSY_TIMEOUT_MS
from resumectl.text import one_line

_WORKFLOWS = """
SELECT w.workflow_uuid, w.name, w.status, {output}, {error},
       w.queue_name, w.executor_id, w.application_version, w.recovery_attempts,
       w.parent_workflow_id, {inputs}, w.workflow_deadline_epoch_ms,
       w.priority, w.authenticated_user, w.authenticated_roles, w.workflow_timeout_ms,
       w.queue_partition_key
FROM {p}workflow_status w {joins}
ORDER BY w.created_at, w.workflow_uuid
"""
# Before 3.0, DBOS stores the input and the output of a workflow in its row.
_IN_ONE_TABLE = {"output": "w.output", "error": "w.error", "inputs": "w.inputs", "joins": ""}
# Since then, in its row or in another table.
_IN_TABLES_OF_THEIR_OWN = {
    "output": "COALESCE(w.output, o.output)",
    "error": "COALESCE(w.error, o.error)",
    "inputs": "COALESCE(w.inputs, i.inputs)",
    "joins": "LEFT JOIN {p}workflow_output o ON o.workflow_uuid = w.workflow_uuid"
    " LEFT JOIN {p}workflow_input i ON i.workflow_uuid = w.workflow_uuid",
}
_STEPS = """
SELECT workflow_uuid, function_id, function_name, output, error, child_workflow_id
FROM {p}operation_outputs ORDER BY workflow_uuid, function_id
"""
# Values that workflows published or were sent: the last value of an event, all values of a stream in
# their order, and messages until they are received.
_SAID = {
    "event": "SELECT workflow_uuid, key, value FROM {p}workflow_events ORDER BY 1, 2",
    "stream": 'SELECT workflow_uuid, key, value FROM {p}streams ORDER BY 1, 2, "offset"',
    "inbox": "SELECT destination_uuid, topic, message FROM {p}notifications"
    " {unconsumed} ORDER BY 1, 2, created_at_epoch_ms",
}
# Other connections to the trial's database: of the process that was killed, and of its children.
_OTHERS = """
SELECT state FROM pg_stat_activity WHERE datname = current_database()
AND pid <> pg_backend_pid() AND backend_type = 'client backend'
"""
_END_ACTIVE = f"{_OTHERS.replace('state', 'pg_terminate_backend(pid)', 1)} AND state = 'active'"
_LOOK_EVERY_S = 0.004
# An idle server process reads at once what a killed process has sent.
_IDLE_LOOKS = 25


# Workflows on a queue that is not registered; names of DBOS's own queues begin with _dbos_.
_UNREGISTERED = """
SELECT w.workflow_uuid, w.queue_name FROM {p}workflow_status w
WHERE w.status = 'ENQUEUED' AND substr(w.queue_name, 1, 6) <> '_dbos_'
  AND NOT EXISTS (SELECT 1 FROM {p}queues q WHERE q.name = w.queue_name)
ORDER BY w.created_at, w.workflow_uuid
"""


# The columns of a row, in the order of its SELECT; their types are those of the tables.
Row = Sequence[Any]


class _Cursor(Protocol):
    def fetchall(self) -> Sequence[Row]: ...


class _Connection(Protocol):
    """Interface of connections of `sqlite3` and psycopg; only psycopg's has `transaction`."""

    def execute(self, sql: str, /) -> _Cursor: ...
    def rollback(self) -> None: ...
    def close(self) -> None: ...
    def transaction(self) -> AbstractContextManager[object]: ...


class SnapshotReader:
    """One connection to the database of a trial, for reading.

    Args:
        url: URL of the database, with its password.

    Raises:
        MachineFailure: The database cannot be opened, or, in any method, read.
    """

    def __init__(self, url: str) -> None:
        parsed = make_url(url)
        self._connection: _Connection
        self._error: type[Exception]
        if parsed.get_backend_name() == "sqlite":
            self._prefix = ""
            self._error = sqlite3.Error
            with self._explained():
                file = sqlite3.connect(
                    str(parsed.database),
                    timeout=SQLITE_BUSY_TIMEOUT_MS / 1000,
                    isolation_level=None,
                )
            self._connection = cast(_Connection, file)
        else:
            import psycopg

            self._prefix = "dbos."
            self._error = psycopg.Error
            with self._explained():
                server = psycopg.connect(conninfo(url), autocommit=True)
            # Of the transaction that `read` begins.
            server.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            server.read_only = True
            self._connection = cast(_Connection, server)

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except self._error as error:
            raise MachineFailure(
                f"the database of a trial: {one_line(error)}",
                next_step="free some space, or see to the server; then  resumectl resume",
            ) from error

    def wait_for_server(self, within_s: float, slowness: float = 1.0) -> None:
        """Wait until a server has finished the statements of a process that was killed.

        The kernel reports the kill at once. PostgreSQL notices it only after the statement that
        it is executing, and may commit that one after the rows were read. On SQLite the
        killed process did its own writing. A connection that stays idle belongs to a child process.

        Args:
            within_s: Maximum time to wait, in seconds. A statement that is then still executed,
                such as one that waits for a lock, is ended with its connection.
            slowness: Factor by which everything takes longer than on a quiet machine: a server that
                gets no processor is idle too.
        """
        if not self._prefix:
            return
        deadline = time.monotonic() + within_s
        idle_looks = 0
        while idle_looks < _IDLE_LOOKS * slowness:
            states = [row[0] for row in self._rows(_OTHERS)]
            if not states:
                return
            if "active" not in states:
                idle_looks += 1
            elif time.monotonic() > deadline:
                self._rows(_END_ACTIVE)
            else:
                idle_looks = 0
            time.sleep(_LOOK_EVERY_S)  # between two looks: a connection's end tells nobody

    @contextmanager
    def _snapshot(self) -> Iterator[None]:
        """Read all rows as of one moment, so that a step and its workflow match."""
        with self._explained():
            if not self._prefix:
                self._connection.execute("BEGIN")
                try:
                    yield
                finally:
                    self._connection.rollback()
                return
            with self._connection.transaction():
                yield

    def _rows(self, sql: str, **parts: str) -> list[Row]:
        with self._explained():
            return list(self._connection.execute(sql.format(p=self._prefix, **parts)).fetchall())

    def read(self) -> Snapshot:
        """Return all rows as they are at one moment."""
        with self._snapshot():
            # Before 2.14, DBOS deletes a message that is received; since then it marks it.
            has_mark = self._has_column("notifications", "consumed")
            unconsumed = "WHERE NOT consumed" if has_mark else ""
            said_rows = {
                kind: tuple(KeyedValueRow(*row) for row in self._rows(sql, unconsumed=unconsumed))
                for kind, sql in _SAID.items()
            }
            return Snapshot(
                workflows=tuple(WorkflowRow(*row) for row in self._rows(self._workflows)),
                steps=tuple(StepRow(*row) for row in self._rows(_STEPS)),
                **said_rows,
            )

    @property
    def _workflows(self) -> str:
        columns = _IN_TABLES_OF_THEIR_OWN if self._has_table("workflow_output") else _IN_ONE_TABLE
        return _WORKFLOWS.format(p="{p}", **columns)

    def _has_table(self, name: str) -> bool:
        if self._prefix:
            return self._rows(f"SELECT to_regclass('{{p}}{name}')")[0][0] is not None
        found = f"SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '{name}'"
        return bool(self._rows(found))

    def _has_column(self, table: str, name: str) -> bool:
        if self._prefix:
            found = (
                f"SELECT 1 FROM pg_attribute WHERE attrelid = to_regclass('{{p}}{table}')"
                f" AND attname = '{name}'"
            )
        else:
            found = f"SELECT 1 FROM pragma_table_info('{table}') WHERE name = '{name}'"
        return bool(self._rows(found))

    def unfinished(self) -> list[str]:
        """Return the ids of the workflows that have not ended."""
        return list(self.standing())

    def standing(self) -> dict[str, UnfinishedRow]:
        """Return the workflows that have not ended, by id."""
        rows = self._rows(
            "SELECT workflow_uuid, status, queue_name, application_version"
            f" FROM {{p}}workflow_status WHERE status IN {UNFINISHED} ORDER BY workflow_uuid"
        )
        return {row[0]: UnfinishedRow(*row[1:]) for row in rows}

    def missing(self, workflow_ids: Collection[str]) -> frozenset[str]:
        """Return the ids that no workflow has."""
        if not workflow_ids:
            return frozenset()
        existing = {row[0] for row in self._rows("SELECT workflow_uuid FROM {p}workflow_status")}
        return frozenset(workflow_ids) - existing

    def unregistered(self) -> list[tuple[str, str]]:
        """Return the enqueued workflows whose queue is not registered, each with its queue."""
        if not self._has_table("queues"):  # before 2.20, when no queue is stored
            return []
        return [(row[0], row[1]) for row in self._rows(_UNREGISTERED)]

    def with_a_deadline(self) -> frozenset[str]:
        """Return the unfinished workflows that DBOS cancels at a given time."""
        rows = self._rows(
            "SELECT workflow_uuid FROM {p}workflow_status"
            f" WHERE status IN {UNFINISHED} AND workflow_deadline_epoch_ms IS NOT NULL"
        )
        return frozenset(row[0] for row in rows)
