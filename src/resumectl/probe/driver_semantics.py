"""What a database's driver does with a statement, besides executing it.

The drivers of SQLite and PostgreSQL differ in what they commit by themselves, and in how they
count rows. Asks SQLAlchemy's connections, and changes nothing.
"""

import functools
import re
from typing import Protocol, cast

import sqlalchemy as sa
from sqlalchemy.engine.interfaces import DBAPICursor

_COUNTS_OTHERWISE = re.compile(r"\bRETURNING\b|^\s*WITH\b", re.IGNORECASE)


@functools.lru_cache(maxsize=4096)  # of most of DBOS's writes SQLite says that they changed none
def _counts_otherwise(sql: str) -> bool:
    return _COUNTS_OTHERWISE.search(sql) is not None


def changed_nothing(cursor: DBAPICursor, sql: str) -> bool:
    """Whether a statement, now executed, has changed no row.

    As an INSERT … ON CONFLICT DO NOTHING whose row was there. SQLite counts the rows of a
    RETURNING only as they are fetched, and a SELECT over writing CTEs counts its own: of
    these it is not known, and they are taken to have changed something.

    Args:
        cursor: The driver's, which has executed it.
        sql: The statement.
    """
    return cursor.rowcount == 0 and not _counts_otherwise(sql)


# Before these the driver of SQLite begins a transaction, and before no other statement; it
# looks behind comments.
_BEGINS = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL
)


@functools.lru_cache(maxsize=4096)  # asked before each write
def _begins(sql: str) -> bool:
    return _BEGINS.match(sql) is not None


class _SqliteConnection(Protocol):
    in_transaction: bool
    isolation_level: str | None


def commits_by_itself(conn: sa.Connection, dbapi_connection: object, sql: str) -> bool:
    """Whether a write is committed as soon as it is executed, and no COMMIT follows.

    Args:
        conn: On which it is about to be executed.
        dbapi_connection: The driver's behind it, or what SQLAlchemy puts around an asynchronous
            one.
        sql: The statement.
    """
    if conn.dialect.name == "sqlite":
        raw = dbapi_connection
        if isinstance(raw, sa.AdaptedConnection):
            raw = raw.driver_connection
        driver = cast(_SqliteConnection, raw)
        # A level that is AUTOCOMMIT for SQLAlchemy is None for the driver.
        return not driver.in_transaction and (driver.isolation_level is None or not _begins(sql))
    is_so_for_sqlalchemy = conn.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
    return is_so_for_sqlalchemy or getattr(dbapi_connection, "autocommit", False) is True
