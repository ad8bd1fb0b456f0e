"""Name the columns of DBOS's tables that resumectl reads, and never writes.

Reading them with SQL saves each inspecting command the import of dbos (0.6 s), and never unpickles
arguments or results of workflows. The tables are not DBOS's public API. No other module names
them, and a test compares them with a database that DBOS migrated.
"""

from typing import Any

import sqlalchemy as sa

from resumectl.database import DBOS_SCHEMA_KEY
from resumectl.settings import DEFAULT_APP_NAME, Settings

# Never created from here. A light-weight table() would do, but only a Table follows the engine's
# translation of schemas (SQLAlchemy 2.1).
_metadata = sa.MetaData(schema=DBOS_SCHEMA_KEY)


def _table(name: str, *, text: str, numbers: str) -> sa.Table:
    columns: list[sa.Column[Any]] = [sa.Column(each, sa.Text) for each in text.split()]
    columns += [sa.Column(each, sa.BigInteger) for each in numbers.split()]
    return sa.Table(name, _metadata, *columns)


workflow_status = _table(
    "workflow_status",
    text="workflow_uuid status name class_name config_name queue_name executor_id"
    " application_version application_name parent_workflow_id forked_from",
    numbers="recovery_attempts created_at updated_at started_at_epoch_ms completed_at",
)
operation_outputs = _table(
    "operation_outputs",
    text="workflow_uuid function_name error child_workflow_id",
    numbers="function_id started_at_epoch_ms completed_at_epoch_ms",
)
queues = _table("queues", text="name application_name", numbers="")
application_versions = _table(
    "application_versions", text="version_name application_name", numbers=""
)


def is_resumectls(application_name: sa.Column[str]) -> sa.ColumnElement[bool]:
    """Return the condition that a row belongs to resumectl.

    DBOS stores the application name of a process. A row without a name belongs to all
    applications, and never to resumectl alone.

    Args:
        application_name: Column with the application name.
    """
    is_named = sa.or_(
        application_name == DEFAULT_APP_NAME,
        application_name.startswith(f"{DEFAULT_APP_NAME}-", autoescape=True),
    )
    return sa.func.coalesce(is_named, sa.false())


def has_not_ended() -> sa.ColumnElement[bool]:
    """Return the condition that a workflow is PENDING, ENQUEUED or DELAYED.

    DBOS has partial indexes on the few workflows that have not ended (3.4.0). SQLite uses such an
    index only if the condition is spelled as in the index, with literal values. Otherwise it reads
    a million ended workflows, in 0.4 s.
    """
    w = workflow_status.c
    in_flight = sa.select(w.workflow_uuid).where(has_status("ENQUEUED", "PENDING"))
    delayed = sa.select(w.workflow_uuid).where(has_status("DELAYED"))
    return w.workflow_uuid.in_(sa.union_all(in_flight, delayed))


def has_status(*statuses: str) -> sa.ColumnElement[bool]:
    """Return the condition that a workflow has one of these statuses, with literal values."""
    values: list[sa.ColumnElement[str]] = [sa.literal_column(f"'{status}'") for status in statuses]
    status = workflow_status.c.status
    return status == values[0] if len(values) == 1 else status.in_(values)


# Names of the classes whose workflows resumectl runs, as DBOS registers them.
PUBLISHER_CLASS = "Publisher"
SWEEP_CLASS = "Sweep"

QUEUE_NAME = "publisher_queue"  # messages
# Batches for workers. A queue of its own: a batch waits for its messages, and on one queue with
# room for one workflow they would wait for each other for ever.
BATCH_QUEUE_NAME = "publisher_batches"


def has_dbos_tables(connection: sa.Connection, settings: Settings) -> bool:
    """Return whether DBOS's tables exist, with all columns that resumectl reads.

    On PostgreSQL DBOS 3.4.0 migrates in 81 transactions, and a process may be killed between
    two. Tables that are half there count as absent; the next launch completes them.
    """
    schema = None if settings.is_sqlite else settings.dbos_schema
    tables = (workflow_status, operation_outputs, queues, application_versions)
    wanted = {table.name: table for table in tables}
    found = sa.inspect(connection).get_multi_columns(schema=schema, filter_names=list(wanted))
    columns = {name: {each["name"] for each in seen} for (_, name), seen in found.items()}
    return all(
        columns.get(name, set()).issuperset(table.columns.keys()) for name, table in wanted.items()
    )
