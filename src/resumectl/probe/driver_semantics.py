"""Find out how a database driver commits a statement and counts its rows.

The drivers of SQLite and PostgreSQL differ in both. Reads SQLAlchemy's connections and changes nothing.
"""

import functools
import re
from typing import Protocol, cast

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

_COUNTS_OTHERWISE = re.compile(r"\bRETURNING\b|^\s*WITH\b", re.IGNORECASE)


@functools.lru_cache(
    maxsize=4096
)  # cached: SQLite reports no changed row for most of DBOS's writes
def _counts_otherwise(sql: str) -> bool:
    return _COUNTS_OTHERWISE.search(sql) is not None


def changed_nothing(cursor: DBAPICursor, sql: str) -> bool:
    """Return whether an executed statement has changed no row.

    An INSERT … ON CONFLICT DO NOTHING changes none if the row exists. SQLite counts the rows of a
    RETURNING only when they are fetched, and a SELECT over writing CTEs counts its own rows. The
    number is unknown for these, so they count as having changed something.

    Args:
        cursor: Cursor of the driver that has executed the statement.
        sql: Text of the statement.
    """
    return cursor.rowcount == 0 and not _counts_otherwise(sql)


# The driver of SQLite begins a transaction only before these statements. It skips comments.
_BEGINS = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL
)


@functools.lru_cache(maxsize=4096)  # cached: called before each write
def _begins(sql: str) -> bool:
    return _BEGINS.match(sql) is not None


class _SqliteConnection(Protocol):
    in_transaction: bool
    isolation_level: str | None


def commits_by_itself(conn: sa.Connection, dbapi_connection: object, sql: str) -> bool:
    """Return whether a write is committed as soon as it is executed, without a COMMIT.

    Args:
        conn: Connection that is about to execute the statement.
        dbapi_connection: Connection of the driver, or SQLAlchemy's adapter of an asynchronous one.
        sql: Text of the statement.
    """
    if conn.dialect.name == "sqlite":
        raw = dbapi_connection
        if isinstance(raw, sa.AdaptedConnection):
            raw = raw.driver_connection
        driver = cast(_SqliteConnection, raw)
        # SQLAlchemy's isolation level AUTOCOMMIT is None for the driver.
        return not driver.in_transaction and (driver.isolation_level is None or not _begins(sql))
    is_so_for_sqlalchemy = conn.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    return is_so_for_sqlalchemy or getattr(dbapi_connection, "autocommit", False) is True
