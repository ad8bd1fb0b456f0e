"""Every table of DBOS has its name in the list."""

from dbos._schemas.system_database import SystemSchema

from resumectl.model.dbos_table_names import DBOS_TABLE_NAMES


def test_tables_that_dbos_declares_are_known() -> None:
    tables = {each.name for each in SystemSchema.metadata_obj.sorted_tables}
    assert "workflow_status" in tables
    assert tables <= DBOS_TABLE_NAMES
