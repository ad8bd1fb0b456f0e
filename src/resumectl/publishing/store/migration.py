"""Migrate resumectl's tables, once, even if several processes begin at the same time.

A check that a database is up to date costs one query; Alembic is imported only to migrate. A
database of another application is never changed. DBOS migrates its own tables.
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
from resumectl.storage.sqlite import SQLITE_BUSY_TIMEOUT_MS, sqlite_problem

# Any constant, as long as all processes of resumectl use the same one.
_MIGRATION_LOCK_KEY = 0x726573756D6563  # "resumec"


def scripts_directory() -> Path:
    """Return the directory of the migrations, in the wheel or in a checkout."""
    package = Path(__file__).parents[2]
    shipped = package / "migrations"
    return shipped if shipped.is_dir() else package.parents[1] / "migrations"


def current_revision(connection: sa.Connection) -> str | None:
    """Return the newest migration that was applied; None if none was."""
    if not _has_version_table(connection):
        return None
    table = sa.Table(VERSION_TABLE, sa.MetaData(), sa.Column("version_num", sa.String))
    revision: str | None = connection.scalar(sa.select(table.c.version_num))
    return revision


def _has_version_table(connection: sa.Connection) -> bool:
    schema = None if connection.dialect.name == "sqlite" else SCHEMA
    return sa.inspect(connection).has_table(VERSION_TABLE, schema=schema)


def is_migrated(connection: sa.Connection) -> bool:
    """Return whether resumectl's tables exist in the form that this release knows.

    Raises:
        Refusal: A newer resumectl migrated the database.
    """
    return _known_revision(connection) == SCHEMA_REVISION


def _known_revision(connection: sa.Connection) -> str | None:
    """Return the revision of resumectl's tables; refuse one that this release does not know."""
    revision = current_revision(connection)
    if revision is not None and revision > SCHEMA_REVISION:
        raise Refusal(
            f"the database belongs to a newer resumectl: it has migration {revision}, and this one "
            f"knows up to {SCHEMA_REVISION}",
            next_step="pip install --upgrade resumectl",
        )
    return revision


def is_readable(connection: sa.Connection) -> bool:
    """Return whether resumectl's tables exist, for commands that only read.

    Raises:
        Refusal: The tables belong to another release of resumectl.
    """
    # Read once: another process may migrate the database now.
    revision = _known_revision(connection)
    if revision not in (None, SCHEMA_REVISION):
        raise Refusal(
            f"the database belongs to an older resumectl: it has migration {revision}, and this one "
            f"needs {SCHEMA_REVISION}",
            next_step="resumectl migrate",
        )
    return revision is not None


def ensure_own(settings: Settings, engine: sa.Engine) -> bool:
    """Check that resumectl may write to the database.

    Returns:
        Whether resumectl has no tables there yet.

    Raises:
        Refusal: Another application uses the database, or a newer resumectl migrated it.
    """
    with failures_explained(settings), snapshot(engine) as connection:
        is_migrated(connection)
        is_first_use = not _has_version_table(connection)
        refuse_other_applications(connection, settings, is_first_use=is_first_use)
    return is_first_use


def ensure_migrated(settings: Settings, engine: sa.Engine) -> bool:
    """Apply missing migrations in a database that resumectl has for itself.

    Returns:
        Whether resumectl had no tables there before.

    Raises:
        Refusal: Another application uses the database, or a newer resumectl migrated it.
        MachineFailure: The database fails, or the role may not create tables.
    """
    is_first_use = ensure_own(settings, engine)
    make_tables(settings, engine)
    return is_first_use


def refuse_old_sqlite(settings: Settings) -> None:
    """Refuse an SQLite in which DBOS cannot make its tables.

    Args:
        settings: Settings that name the database.

    Raises:
        MachineFailure: SQLite is too old.
    """
    if settings.is_sqlite and (problem := sqlite_problem()):
        raise MachineFailure(
            problem,
            next_step="install resumectl with Python 3.11, or name a PostgreSQL database:  --db-url URL",
        )


def make_tables(settings: Settings, engine: sa.Engine) -> None:
    """Apply missing migrations, whatever else is in the database.

    Raises:
        Refusal: A newer resumectl migrated the database.
        MachineFailure: The database fails, the role may not create tables, or SQLite is too old.
    """
    with failures_explained(settings):
        with engine.connect() as connection:
            if is_migrated(connection):
                return
        refuse_old_sqlite(settings)
        if settings.is_sqlite:
            _enable_write_ahead_log(engine)
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


def _enable_write_ahead_log(engine: sa.Engine) -> None:
    """Set the mode of the SQLite file in which readers and the writer do not block each other.

    Measured with 300 messages: 84 per second, and 61 without it.
    """
    deadline = time.monotonic() + SQLITE_BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            with engine.connect() as connection:
                # A write waits for another's lock, and the change of mode does not. So wait
                # with a write, and try again if another process was faster.
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                connection.rollback()
                connection.exec_driver_sql("PRAGMA journal_mode=WAL")
                return
        except sa.exc.OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > deadline:
                raise


def grant(settings: Settings, engine: sa.Engine, role: str) -> None:
    """Let a role read and write resumectl's tables, but create none (PostgreSQL only)."""
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
        if is_migrated(connection):  # another process was first
            return
        config = Config(str(scripts_directory() / "alembic.ini"))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def _take_migration_lock(connection: sa.Connection) -> None:
    if connection.dialect.name == "sqlite":
        # The driver begins only at the first INSERT, and two processes would create the tables.
        connection.exec_driver_sql("BEGIN IMMEDIATE")
    else:
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_MIGRATION_LOCK_KEY)))


def configure_and_run(connection: sa.Connection) -> None:
    """Run the migrations on a connection whose transaction the caller commits."""
    from alembic import context

    if connection.dialect.name == "postgresql":
        connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
        # Unqualified names are resumectl's from here on (Alembic's cookbook, schema-level
        # multi-tenancy). The migrations need not know their schema.
        connection.execute(sa.text(f"SET LOCAL search_path TO {SCHEMA}"))
        connection.dialect.default_schema_name = SCHEMA
    context.configure(connection=connection, target_metadata=metadata, version_table=VERSION_TABLE)
    with context.begin_transaction():
        context.run_migrations()


def run_on_own_connection() -> None:
    """Run the migrations for the `alembic` command, on the database of resumectl's settings."""
    settings = Settings.resolve()
    engine = open_engine(settings)
    try:
        ensure_own(settings, engine)
        with engine.begin() as connection:
            _take_migration_lock(connection)
            configure_and_run(connection)
    finally:
        engine.dispose()
