"""Bring resumectl's tables to the newest migration, once, however many begin at a time.

Alembic is imported only when there is something to do: telling that a database is up to
date costs one query. A database that another application uses is left as it is. DBOS's own tables are DBOS's to migrate.
"""

import time
from pathlib import Path

import sqlalchemy as sa

from resumectl.database import (
    SCHEMA,
    failures_explained,
    open_engine,
    snapshot,
)
from resumectl.errors import MachineFailure, Refusal
from resumectl.publishing.store.models import SCHEMA_REVISION, VERSION_TABLE, metadata
from resumectl.publishing.store.ownership import refuse_other_applications
from resumectl.settings import Settings
from resumectl.storage.sqlite import SQLITE_BUSY_TIMEOUT_MS

# Any constant will do, as long as every resumectl takes the same one.
_MIGRATION_LOCK_KEY = 0x726573756D6563  # "resumec"


def scripts_directory() -> Path:
    """Where the migrations are: inside the wheel, or at the top of a checkout."""
    package = Path(__file__).parents[2]
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parents[1] / "migrations"


def current_revision(connection: sa.Connection) -> str | None:
    """The newest migration that the database has seen; None if it has seen none."""
    if not _has_version_table(connection):
        return None
    table = sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String))
    revision: str | None = connection.scalar(sa.select(table.c.version_num))
    return revision


def _has_version_table(connection: sa.Connection) -> bool:
    schema = None if connection.dialect.name == "sqlite" else SCHEMA
    return sa.inspect(connection).has_table(VERSION_TABLE, schema=schema)


def is_migrated(connection: sa.Connection) -> bool:
    """Whether resumectl's tables are there, in the form that this resumectl knows.

    Raises:
        Refusal: The database was made by a newer resumectl.
    """
    revision = current_revision(connection)
    if revision is not None and revision > SCHEMA_REVISION:
        raise Refusal(
            f"the database is of a newer resumectl (migration {revision}, known up to "
            f"{SCHEMA_REVISION})",
            next_step="pip install --upgrade resumectl",
        )
    return revision == SCHEMA_REVISION


def is_readable(connection: sa.Connection) -> bool:
    """Whether there is something to look at; a command that only looks migrates nothing.

    Raises:
        Refusal: The tables are those of another release of resumectl.
    """
    if is_migrated(connection):
        return True
    revision = current_revision(connection)
    if revision is not None:
        raise Refusal(
            f"the database is of an older resumectl (migration {revision}, needed {SCHEMA_REVISION})",
            next_step="resumectl migrate",
        )
    return False


def ensure_own(settings: Settings, engine: sa.Engine) -> bool:
    """Make sure that resumectl may write to the database.

    Returns:
        Whether this is its first use, so that there are no tables of resumectl yet.

    Raises:
        Refusal: Another application uses the database, or a newer resumectl made it.
    """
    with failures_explained(settings), snapshot(engine) as connection:
        is_migrated(connection)
        is_first_use = not _has_version_table(connection)
        refuse_other_applications(connection, settings, is_first_use=is_first_use)
    return is_first_use


def ensure_migrated(settings: Settings, engine: sa.Engine) -> bool:
    """Apply what is missing, in a database of resumectl's own.

    Returns:
        Whether this is its first use.

    Raises:
        Refusal: Another application uses the database, or a newer resumectl made it.
        MachineFailure: The database fails, or its role may not create tables.
    """
    is_first_use = ensure_own(settings, engine)
    make_tables(settings, engine)
    return is_first_use


def make_tables(settings: Settings, engine: sa.Engine) -> None:
    """Apply what is missing, whatever else is in the database.

    Raises:
        Refusal: A newer resumectl made the database.
        MachineFailure: The database fails, or its role may not create tables.
    """
    with failures_explained(settings):
        with engine.connect() as connection:
            if is_migrated(connection):
                return
        if settings.is_sqlite:
            _write_ahead(engine)
        try:
            _upgrade(engine)
        except sa.exc.ProgrammingError as error:
            if getattr(error.orig, "sqlstate", None) != "42501":
                raise
            raise MachineFailure(
                f"the role {settings.url.username} may not create resumectl's tables in "
                f"{settings.shown_url}",
                next_step="as a role that may:  resumectl migrate"
                f" --grant-to {settings.url.username} --db-url URL",
            ) from error


def _write_ahead(engine: sa.Engine) -> None:
    """Readers no longer block the writer, nor the writer readers; the mode is the file's.

    Measured with 300 messages: 84 a second rather than 61.
    """
    deadline = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            with engine.connect() as connection:
                # The change of mode does not wait for another's lock, as a write does: so
                # wait as a write, and try again if somebody was quicker.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.rollback()
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                return
        except sa.exc.OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline:
                raise


def grant(settings: Settings, engine: sa.Engine, role: str) -> None:
    """Let a role use resumectl's tables, and change none (PostgreSQL)."""
    with failures_explained(settings), engine.begin() as connection:
        name = connection.dialect.identifier_preparer.quote(role)
        for statement in (
            f"GRANT USAGE ON SCHEMA {SCHEMA} TO {name}",
            f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {SCHEMA} TO {name}",
            f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {SCHEMA} TO {name}",
        ):
            connection.exec_driver_sql(statement)


def _upgrade(engine: sa.Engine) -> None:
    from alembic import command
    from alembic.config import Config

    with engine.begin() as connection:
        _take_migration_lock(connection)
        if is_migrated(connection):  # somebody else was first
            return
        config = Config(str(scripts_directory() / "alembic.ini"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _take_migration_lock(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        # The driver would begin only at the first INSERT, and two would create the tables.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK_KEY)))


def configure_and_run(connection: sa.Connection) -> None:
    """What migrations/env.py does, on a connection whose transaction is its owner's."""
    from alembic import context

    if connection.dialect.name == "postgresql":
        connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
        # Unqualified names are resumectl's from here on (Alembic's cookbook, schema-level
        # multi-tenancy): the migrations need not know where they run.
        connection.execute(sa.text(f"SET LOCAL search_path TO {SCHEMA}"))
        connection.dialect.default_schema_name = SCHEMA
    context.configure(connection=connection, target_metadata=metadata, version_table=VERSION_TABLE)
    with context.begin_transaction():
        context.run_migrations()


def run_on_own_connection() -> None:
    """What migrations/env.py does for the `alembic` command: connect as resumectl would."""
    settings = Settings.resolve()
    engine = open_engine(settings)
    try:
        ensure_own(settings, engine)
        with engine.begin() as connection:
            _take_migration_lock(connection)
            configure_and_run(connection)
    finally:
        engine.dispose()
