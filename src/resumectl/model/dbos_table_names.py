"""Name the tables that DBOS creates."""

# In its system database, or for a datasource (2.13 to 3.4.0). A program's writes to those that have no extractor
# in `probe.sql_facts` are no transitions: an event or a stream entry shares the commit of its step, and the rest
# is bookkeeping. SQLite keeps a copy of one during a migration.
DBOS_TABLE_NAMES = frozenset(
    {
        "application_versions", "datasource_outputs", "dbos_datasource_migrations",
        "dbos_migrations", "event_dispatch_kv", "notifications", "operation_outputs",
        "operation_outputs_new", "queues", "streams", "workflow_events",
        "workflow_events_history", "workflow_input", "workflow_output", "workflow_schedules",
        "workflow_status",
    }
)  # fmt: skip
