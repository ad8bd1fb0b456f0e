"""Open the database that the settings name, and turn its errors into refusals.

No other module makes engines or interprets driver errors. Imports sqlalchemy, not dbos.
"""

import errno
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NewType

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from resumectl.errors import MachineFailure, Refusal
from resumectl.settings import Settings
from resumectl.storage.sqlite import SQLITE_POOL_SIZE, set_up_sqlite

# The schema under which DBOS's tables are named in code; the engine translates it.
DBOS_SCHEMA_KEY = "dbos"
SCHEMA = "resumectl"  # PostgreSQL only; SQLite has no schemas, and its tables stand beside DBOS's
CONNECT_TIMEOUT_S = 10
# A statement takes a bounded number of parameters (SQLite: 32,766).
_PARAMETERS_MAX = 10_000

# A connection inside `snapshot`. A function that runs more than one statement and compares what
# they return asks for this type, and the type checker finds a caller without a snapshot.
Snapshot = NewType("Snapshot", sa.Connection)


def open_engine(settings: Settings) -> sa.Engine:
    """Return an engine for resumectl's tables; it opens no connection yet.

    Unqualified tables are resumectl's. On SQLite the engine serialises its writers as DBOS's own
    engines do, and neither sees "database is locked".

    Args:
        settings: Settings that name the database.
    """
    if not settings.is_sqlite:
        engine = sa.create_engine(
            settings.url,
            pool_pre_ping=True,
            # One for each message in progress (at most 16) and a few for readers. A connection
            # beyond the size of the pool is opened anew each time.
            pool_size=20,
            connect_args={"application_name": "resumectl", "connect_timeout": CONNECT_TIMEOUT_S},
            execution_options={
                "schema_translate_map": {None: SCHEMA, DBOS_SCHEMA_KEY: settings.dbos_schema}
            },
        )
        event.listen(engine, "handle_error", _raise_interrupt)
        return engine
    engine = sa.create_engine(
        settings.url,
        pool_size=SQLITE_POOL_SIZE,
        execution_options={"schema_translate_map": {DBOS_SCHEMA_KEY: None}},
    )

    set_up_sqlite(engine)
    return engine


def _raise_interrupt(context: sa.ExceptionContext) -> None:
    """Raise the KeyboardInterrupt that an error hides.

    If Ctrl-C arrives in the ping before a query, SQLAlchemy (2.1.9) may fail to restore psycopg's
    autocommit and raises that error instead: 302 of 6,000 interrupts at the start of short queries.
    """
    error: BaseException | None = context.original_exception
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            raise error
        error = error.__context__


@contextmanager
def snapshot(engine: sa.Engine) -> Iterator[Snapshot]:
    """Open a read transaction in which every statement sees the database of one moment.

    Without it each statement sees another state: Python's SQLite driver begins a transaction only
    before a write, and PostgreSQL's default isolation takes a new snapshot for each statement.
    Counts and statuses that are read that way do not belong together.

    The moment is that of the first statement. Writers are not blocked (write-ahead log,
    multi-version rows). But until the end, what they write can be neither checkpointed nor
    vacuumed. Read what is needed, leave, and only then compute and print.

    Args:
        engine: Engine that `open_engine` returned.
    """
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            connection.exec_driver_sql("BEGIN")
        else:
            connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )
        yield Snapshot(connection)


@contextmanager
def failures_explained(settings: Settings) -> Iterator[None]:
    """Turn errors of a driver or of the operating system into refusals with a next step."""
    try:
        yield
    except Refusal:
        raise
    except (SQLAlchemyError, OSError) as error:
        raise explain(error, settings) from error


def explain(error: BaseException, settings: Settings) -> Refusal:
    """Return the refusal for an error of the database or of the operating system.

    Args:
        error: The exception; its driver error (`orig`) is used if it has one.
        settings: Settings that name the database; the refusal never contains its password.
    """
    if isinstance(error, OSError) and not isinstance(error, DBAPIError):
        where = f" {error.filename}" if error.filename else ""
        step = "free some space" if error.errno == errno.ENOSPC else "check the path and its rights"
        return MachineFailure(f"{error.strerror or error}{where}", next_step=step)
    original = getattr(error, "orig", None) or error
    lines = str(original).strip().splitlines() or [type(original).__name__]
    reason = settings.without_secrets(lines[0])
    if settings.is_sqlite:
        return _explain_sqlite(reason, settings)
    return _explain_postgresql(original, reason, settings)


_SQLITE_FAILURES = (
    ("unable to open database file", "the directory must exist and be writable"),
    ("readonly database", "make the file and its directory writable"),
    ("not a database", "name another file with --db-url, or move this one away"),
    ("malformed", "restore it from a backup, or move it away and start again"),
    ("full", "free some space, then  resumectl resume  (nothing is half-written)"),
    ("disk I/O error", "check the disk, then  resumectl resume"),
    ("locked", "another program has locked the file; end it, or try again"),
)


def _explain_sqlite(reason: str, settings: Settings) -> Refusal:
    if settings.sqlite_path.exists() and not settings.sqlite_path.is_file():
        step = f"name a file, as in  --db-url sqlite:///{settings.sqlite_path / 'resumectl.sqlite'}"
        return MachineFailure(f"the database {settings.sqlite_path} is not a file", next_step=step)
    step = next((s for sign, s in _SQLITE_FAILURES if sign in reason), "resumectl doctor")
    return MachineFailure(f"the database {settings.sqlite_path}: {reason}", next_step=step)


# SQLSTATE classes and codes (PostgreSQL documentation, appendix A).
_POSTGRESQL_FAILURES = {
    "28P01": "correct the user or the password in the URL",
    "28000": "correct the user in the URL, or the server's pg_hba.conf",
    "3D000": "create it (createdb), or name another database in the URL",
    "42501": "as a role that may:  resumectl migrate --grant-to ROLE --db-url URL",
    "53100": "free some space on the server, then  resumectl resume",
}


def _explain_postgresql(original: Any, reason: str, settings: Settings) -> Refusal:
    state = getattr(original, "sqlstate", None)
    if state is None:
        # libpq reports refusals of the server during connection as text only.
        for sign, code in (
            ("password authentication failed", "28P01"),
            ("no password supplied", "28P01"),
            ("does not exist", "3D000"),
        ):
            if sign in str(original):
                state = code
    step = _POSTGRESQL_FAILURES.get(
        str(state), "start the server, or correct the URL; then  resumectl doctor"
    ).replace("ROLE", settings.url.username or "ROLE")
    return MachineFailure(f"the database {settings.shown_url}: {reason}", next_step=step)


def in_parts(items: Sequence[Any]) -> list[Sequence[Any]]:
    """Split the items into parts that fit into the parameters of one statement."""
    return [items[i : i + _PARAMETERS_MAX] for i in range(0, len(items), _PARAMETERS_MAX)]
