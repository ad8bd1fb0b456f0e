"""A batch in a database, put there row by row: no process has to be started, or killed, for it."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg
from conftest import Workspace
from in_process import look

from resumectl.database import open_engine
from resumectl.publishing.store import batches
from resumectl.publishing.store.processes import ExecutorLocks, executor_locks

MESSAGES, DELIVERED = 5, 2
LEFT = range(DELIVERED + 1, MESSAGES + 1)


@dataclass
class Scene:
    """A batch that a running process has delivered a part of."""

    workspace: Workspace
    locks: ExecutorLocks

    def write(self, *statements: str) -> None:
        """Write through the driver itself: in no way a statement of the reader."""
        if self.workspace.settings.is_sqlite:
            path = self.workspace.settings.sqlite_path
            with closing(sqlite3.connect(path, isolation_level=None)) as connection:
                connection.execute("PRAGMA busy_timeout=30000")
                connection.executescript(f"BEGIN IMMEDIATE; {'; '.join(statements)}; COMMIT")
            return
        url = self.workspace.settings.url.set(drivername="postgresql")
        with psycopg.connect(url.render_as_string(hide_password=False)) as connection:
            connection.execute("SET LOCAL search_path TO resumectl, dbos")
            for statement in statements:
                connection.execute(statement.encode())

    def set(self) -> None:
        """Put everything there, as it is while the process is at work."""
        self.write(
            "DELETE FROM deliveries", "DELETE FROM operation_outputs", "DELETE FROM workflow_status",
            *workflow("alpha-1", "publish_batch", None, "PENDING"),
            *(delivered(n) for n in range(1, DELIVERED + 1)),
            *(s for n in range(1, MESSAGES + 1) for s in message(n)),
            "UPDATE processes SET how = NULL, ended_at_ms = NULL WHERE id = 1",
        )  # fmt: skip
        if not self.locks.holds("local"):
            assert self.locks.acquire("local")
            self.locks.set_process("local", 1)

    def end(self) -> None:
        """Deliver the rest, end the batch, and end the process in order."""
        self.write(
            *(delivered(n) for n in LEFT),
            *(step(f"alpha-1-{n}", 1, "deliver") for n in LEFT),
            *(step("alpha-1", MESSAGES + n, "DBOS.getResult") for n in range(1, MESSAGES + 1)),
            "UPDATE workflow_status SET status = 'SUCCESS', completed_at = 9000",
            *workflow("alpha-2", "publish_batch", None, "SUCCESS"),
            "UPDATE processes SET how = 'done', ended_at_ms = 9000 WHERE id = 1",
        )
        self.locks.release("local")


def workflow(workflow_id: str, name: str, parent: str | None, status: str) -> list[str]:
    parent_id = f"'{parent}'" if parent else "NULL"
    return [
        "INSERT INTO workflow_status (workflow_uuid, name, class_name, config_name, status,"
        " executor_id, application_version, application_name, recovery_attempts, created_at,"
        " updated_at, parent_workflow_id, queue_name)"
        f" VALUES ('{workflow_id}', 'Publisher.{name}', 'Publisher', 'alpha', '{status}', 'local',"
        f" 'resumectl-1', 'resumectl', 1, 1000, 1000, {parent_id}, NULL)"
    ]


def message(number: int) -> list[str]:
    status = "SUCCESS" if number <= DELIVERED else "PENDING"
    steps = [step(f"alpha-1-{number}", 1, "deliver")] if number <= DELIVERED else []
    return [
        *workflow(f"alpha-1-{number}", "deliver_message", "alpha-1", status),
        step("alpha-1", number, "Publisher.deliver_message"),
        *steps,
    ]


def step(workflow_id: str, number: int, name: str) -> str:
    return (
        "INSERT INTO operation_outputs (workflow_uuid, function_id, function_name,"
        " started_at_epoch_ms, completed_at_epoch_ms)"
        f" VALUES ('{workflow_id}', {number}, '{name}', 2000, 2000)"
    )


def delivered(number: int) -> str:
    return (
        "INSERT INTO deliveries (batch_id, message_number, body, publisher, workflow_id, process_id,"
        " local_count, global_count, delivered_at_ms)"
        f" VALUES ('alpha-1', {number}, '1', 'alpha', 'alpha-1-{number}', 1, {number}, {number},"
        " 2000)"
    )


@contextmanager
def a_scene(workspace: Workspace, guarantee: str = "exactly-once") -> Iterator[Scene]:
    """Migrate the database, and write down the batch alpha-1 and the process that publishes it."""
    assert look(workspace, "migrate").code == 0
    engine = open_engine(workspace.settings)
    with engine.begin() as connection:
        batches.create(
            connection,
            publisher="alpha",
            guarantee=guarantee,
            bodies=batches.generated(MESSAGES),
        )
    engine.dispose()
    workspace.execute(
        "INSERT INTO processes (executor_id, app_version, command, pid, host, started_at_ms)"
        " VALUES ('local', 'resumectl-1', 'publish', 1, 'here', 1000)"
    )
    with closing(executor_locks(workspace.settings)) as locks:
        yield Scene(workspace, locks)
