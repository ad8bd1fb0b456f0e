"""Make the tables of the template database, of which each trial gets a copy."""

import importlib
import sqlite3
from typing import cast

import dbos
import sqlalchemy as sa
from dbos import DBOS, DBOSConfig

from resumectl.model.target import BUILTIN_MODULE
from resumectl.probe.dbos_features import Feature, has
from resumectl.storage.sqlite import set_up_sqlite, sqlite_problem


class SqliteTooOldError(Exception):
    """DBOS cannot make its tables with the SQLite of this interpreter."""


def make_template(database_url: str, *, has_publisher: bool) -> None:
    """Make DBOS's tables, a datasource's, and the publisher's if it is the target.

    Args:
        database_url: URL of an empty database, with its password.
        has_publisher: Whether it gets the publisher's tables.

    Raises:
        SqliteTooOldError: The database is a file, and SQLite is too old for DBOS.
    """
    url = sa.make_url(database_url)
    is_file = url.get_backend_name() == "sqlite"
    if is_file and (problem := sqlite_problem()):
        raise SqliteTooOldError(problem)
    if has_publisher:
        importlib.import_module(BUILTIN_MODULE).make_publisher_tables(database_url)
    engine = sa.create_engine(url if is_file else url.set(drivername="postgresql+psycopg"))
    if is_file:
        set_up_sqlite(engine)
    _migrate(database_url)
    if has(Feature.DATASOURCES):
        dbos.SQLAlchemyDatasource.create(database_url, engine=engine)
    engine.dispose()
    if is_file:
        # It is copied while no connection is open: everything must be in the one file.
        file = sqlite3.connect(str(url.database))
        with file:
            file.execute("PRAGMA journal_mode=WAL")  # readers do not block the writer
            file.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        file.close()


def _migrate(database_url: str) -> None:
    """Make DBOS's tables."""
    if has(Feature.MIGRATION_WITHOUT_LAUNCH):
        DBOS.migrate(database_url)
        return
    second = {} if has(Feature.ONE_DATABASE) else {"application_database_url": database_url}
    config = {"name": "template", "system_database_url": database_url, "log_level": "CRITICAL"}
    DBOS(config=cast(DBOSConfig, {**config, **second}))
    DBOS.launch()
    DBOS.destroy(destroy_registry=True)
