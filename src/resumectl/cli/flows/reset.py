"""`reset`: delete everything that was published, unless somebody is at it."""

import sqlalchemy as sa
from dbos import DBOS

from resumectl.cli.common import Common
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, Refusal
from resumectl.publishing import records
from resumectl.publishing.lives import executor_locks
from resumectl.publishing.migration import is_migrated
from resumectl.publishing.models import metadata
from resumectl.report import machine


def reset(common: Common) -> ExitCode:
    """Empty resumectl's tables and DBOS's; the tables themselves stay.

    Raises:
        Refusal: A living process uses them.
    """
    common.start_logging()
    settings = common.settings()
    deleted = False
    if not settings.is_sqlite or settings.sqlite_path.exists():
        engine, locks = open_engine(settings), executor_locks(settings)
        try:
            with failures_explained(settings):
                with engine.connect() as connection:
                    if is_migrated(connection):
                        _refuse_if_in_use(records.read_lives(connection, locks))
                with engine.begin() as connection:
                    deleted = is_migrated(connection)
                    if deleted:
                        for table in reversed(metadata.sorted_tables):
                            connection.execute(sa.delete(table))
                    has_dbos = records.has_dbos_tables(connection, settings)
                if has_dbos:
                    DBOS.reset_system_database(
                        system_database_url=settings.secret_url,
                        schema=settings.dbos_schema,
                        truncate=True,
                    )
        finally:
            locks.close()
            engine.dispose()
    if common.as_json:
        machine.show({"database": settings.shown_url, "deleted": deleted})
    else:
        print(f"deleted everything in {settings.shown_url}" if deleted else "there was nothing")
    return ExitCode.DONE


def _refuse_if_in_use(lives: list[records.LifeSeen]) -> None:
    for life in lives:
        if life.ended == "running":
            raise Refusal(
                f"a living process uses the database: {life.command}, pid {life.pid}",
                next_step="end it first",
            )
