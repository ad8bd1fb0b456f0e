"""`migrate`: create or migrate all tables, also for a role that may not create any."""

from dbos import DBOS, SQLAlchemyDatasource

from resumectl.cli.common import Common
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, Refusal
from resumectl.publishing.store import migration
from resumectl.report import json_documents


def migrate(common: Common, *, grant_to: str | None) -> ExitCode:
    """Migrate resumectl's tables, DBOS's and its datasource's.

    Args:
        common: The options of every command.
        grant_to: Role that may use the tables, but not create any; PostgreSQL only.
    """
    settings = common.settings()
    common.start_logging()
    if grant_to is not None and settings.is_sqlite:
        raise Refusal("SQLite has no roles to grant anything to", next_step="leave out --grant-to")
    engine = open_engine(settings)
    with failures_explained(settings):
        migration.ensure_migrated(settings, engine)
        DBOS.migrate(settings.secret_url, schema=settings.dbos_schema, application_role=grant_to)
        SQLAlchemyDatasource.migrate(
            settings.secret_url, schema=settings.dbos_schema, application_role=grant_to
        )
        if grant_to is not None:
            migration.grant(settings, engine, grant_to)
    engine.dispose()
    if common.as_json:
        json_documents.show({"database": settings.shown_url, "migrated": True})
    else:
        print(f"migrated: {settings.shown_url}")
    return ExitCode.DONE
