"""A database with every table and no row: what each trial's own is a copy of."""

import sqlite3

from dbos import DBOS, SQLAlchemyDatasource

from resumectl.database import open_engine
from resumectl.publishing.migration import make_tables
from resumectl.settings import Settings


def migrate(database_url: str) -> None:
    """Make DBOS's tables, a datasource's and resumectl's.

    Args:
        database_url: Of an empty database.
    """
    settings = Settings.resolve(db_url=database_url)
    engine = open_engine(settings)
    make_tables(settings, engine)
    DBOS.migrate(database_url)
    SQLAlchemyDatasource.create(database_url, engine=engine)
    engine.dispose()
    if settings.is_sqlite:
        # Copied while nobody has it open: everything must be in the one file.
        with sqlite3.connect(settings.sqlite_path) as file:
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file.close()
