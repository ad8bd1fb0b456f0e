"""Set up connections to SQLite files as DBOS does, and say where DBOS cannot use SQLite."""

import sqlite3
import sys

import sqlalchemy as sa
from sqlalchemy import event

# The timeout of DBOS (3.4.0): writers of one SQLite file wait instead of failing.
SQLITE_BUSY_TIMEOUT_MS = 30_000
# A datasource's transaction asks DBOS's own pool once more while it holds SQLite's one write
# lock (3.4.0, _still_owns). If all connections of that pool wait for the lock, nothing
# proceeds for the 30 s of the busy timeout. This happened with 20 connections, DBOS's default, when a
# launch recovered 44 batches at once.
SQLITE_POOL_SIZE = 500
# If Python is 3.12 or later, DBOS (2.13 to 3.4.0) takes for granted that SQLite knows `subsec`. In a
# release before 3.42 the default times of its tables are NULL, and nothing can be stored.
_SUBSEC_TAKEN_FOR_GRANTED = (3, 12)
_KNOWS_SUBSEC = (3, 42)


def sqlite_problem() -> str:
    """Return why DBOS cannot make its tables in an SQLite file; empty if it can."""
    python = sys.version_info[:2]
    if python < _SUBSEC_TAKEN_FOR_GRANTED or sqlite3.sqlite_version_info >= _KNOWS_SUBSEC:
        return ""
    return (
        f"DBOS on Python {python[0]}.{python[1]} needs SQLite 3.42 or later, and "
        f"{sys.executable} has SQLite {sqlite3.sqlite_version}"
    )


def set_up_sqlite(engine: sa.Engine) -> None:
    """Set up every SQLite connection of an engine as DBOS does (3.4.0)."""

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys=ON")
