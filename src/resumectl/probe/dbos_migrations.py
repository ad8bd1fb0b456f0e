"""Let DBOS launch without migrating its databases: in a trial they are copies of migrated ones.

Since 3.0 the setting `run_migrations` does that. DBOS 2 migrates at each launch, and opens another database
of a PostgreSQL server for it. To be called in the target process, before the program is imported.
"""

from importlib import import_module

from resumectl.probe.dbos_features import Feature, has

# Modules of DBOS 2 (2.13 to 2.31) and the classes in them that migrate a database.
_MIGRATING = (
    ("dbos._sys_db_sqlite", "SQLiteSystemDatabase"),
    ("dbos._sys_db_postgres", "PostgresSystemDatabase"),
    ("dbos._app_db", "SQLiteApplicationDatabase"),
    ("dbos._app_db", "PostgresApplicationDatabase"),
)


def skip_migrations() -> None:
    """Replace the migrations of DBOS 2 by nothing.

    Raises:
        AttributeError: This release of DBOS has no such class or method.
    """
    if has(Feature.ONE_DATABASE):
        return
    for module, name in _MIGRATING:
        owner = getattr(import_module(module), name)
        owner.run_migrations  # noqa: B018 (fails where a release has moved it)
        owner.run_migrations = lambda _self: None
