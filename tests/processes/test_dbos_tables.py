"""What resumectl reads of DBOS's tables is there, in a database that DBOS itself migrated.

They are not DBOS's public API: these tests are what a new version of DBOS has to pass.
"""

import pytest
import sqlalchemy as sa
from conftest import Workspace
from dbos import DBOS, SQLAlchemyDatasource
from dbos._sys_db import WorkflowStatusString

from resumectl import statuses
from resumectl.model.dbos_table_names import DBOS_TABLE_NAMES
from resumectl.publishing.publisher import Publisher
from resumectl.publishing.store import dbos_tables
from resumectl.publishing.store.dbos_tables import has_dbos_tables

TABLES = [
    each for each in vars(dbos_tables).values() if isinstance(each, sa.Table) and each.columns
]


@pytest.fixture
def migrated(workspace: Workspace) -> sa.Inspector:
    """A database that has seen DBOS's own migrations and nothing else."""
    DBOS.migrate(workspace.url, schema=workspace.settings.dbos_schema)
    return sa.inspect(sa.create_engine(workspace.settings.url, poolclass=sa.NullPool))


def test_every_table_and_column_that_is_read_is_there(
    migrated: sa.Inspector, workspace: Workspace
) -> None:
    schema = None if workspace.settings.is_sqlite else workspace.settings.dbos_schema
    names = {"workflow_status", "operation_outputs", "queues", "application_versions"}
    assert names <= {table.name for table in TABLES}
    for table in TABLES:
        found = {c["name"]: c["type"] for c in migrated.get_columns(table.name, schema=schema)}
        for column in table.columns:
            assert column.name in found, f"{table.name}.{column.name}"
            # Text is read as text and numbers as numbers, on either database.
            assert found[column.name].python_type is column.type.python_type, column


def test_every_table_that_dbos_makes_is_known(migrated: sa.Inspector, workspace: Workspace) -> None:
    SQLAlchemyDatasource.migrate(workspace.url, schema=workspace.settings.dbos_schema)
    migrated.clear_cache()
    schema = None if workspace.settings.is_sqlite else workspace.settings.dbos_schema
    found = set(migrated.get_table_names(schema=schema))
    assert {"workflow_status", "datasource_outputs"} <= found <= DBOS_TABLE_NAMES


def test_dbos_s_tables_count_as_there_only_once_dbos_has_migrated(
    workspace: Workspace, request: pytest.FixtureRequest
) -> None:
    engine = sa.create_engine(workspace.settings.url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        assert not has_dbos_tables(connection, workspace.settings)
    request.getfixturevalue("migrated")
    with engine.connect() as connection:
        assert has_dbos_tables(connection, workspace.settings)


def test_the_statuses_are_dbos_s() -> None:
    known = {status.value for status in WorkflowStatusString}
    assert set(statuses.STATUSES) == known
    assert len(statuses.STATUSES) == len(known)  # none is both unfinished and ended
    assert set(statuses.RESUMABLE_BY_ID) < set(statuses.ENDED)


@pytest.mark.slow
def test_the_names_that_are_looked_for_are_what_dbos_records(workspace: Workspace) -> None:
    workspace.ok("publish", "--name", "alpha", "--count", "1")
    workspace.ok("publish", "--name", "beta", "--count", "1", "--detach")
    recorded = workspace.rows(
        "SELECT workflow_uuid, name, class_name, config_name, queue_name FROM workflow_status"
        " ORDER BY workflow_uuid"
    )
    batch = (Publisher.publish_batch.__qualname__, dbos_tables.PUBLISHER_CLASS)
    message = (Publisher.deliver_message.__qualname__, dbos_tables.PUBLISHER_CLASS)
    # The same for a batch that was started here and for one that was left to workers.
    assert recorded == [
        ("alpha-1", *batch, "alpha", None),
        ("alpha-1-1", *message, "alpha", dbos_tables.QUEUE_NAME),
        ("beta-1", *batch, "beta", dbos_tables.BATCH_QUEUE_NAME),
    ]
    assert workspace.rows("SELECT status FROM workflow_status WHERE workflow_uuid = 'beta-1'") == [
        ("ENQUEUED",)
    ]
