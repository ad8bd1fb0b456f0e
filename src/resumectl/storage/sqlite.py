"""Connections to SQLite files that behave as DBOS's own do."""

import sqlite3

import sqlalchemy as sa
from sqlalchemy import event

# As DBOS waits (3.4.0): writers of one SQLite file queue up rather than fail.
SQLITE_BUSY_TIMEOUT_MS = 30_000
# A datasource's transaction asks DBOS's own pool once more while it holds SQLite's one write
# lock (3.4.0, _still_owns). Where everybody in that pool waits for the lock, nothing moves for
# the 30 s of the busy timeout: seen with 20 connections, DBOS's own choice, and 44 batches that
# a launch recovered at once.
SQLITE_POOL_SIZE = 500


def set_up_sqlite(engine: sa.Engine) -> None:
    """Have every connection of an engine on SQLite as DBOS's own are (3.4.0)."""

    @event.listens_for(engine, "connect")
    def _prepare(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = "IMMEDIATE"
        connection.execute(f"PRAGMA busy_timeout={SQLITE_BUSY_TIMEOUT_MS}")
        connection.execute("PRAGMA foreign_keys=ON")
