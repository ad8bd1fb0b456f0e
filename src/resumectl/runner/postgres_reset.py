"""Reset the database of a sandbox to its template, which is faster than a new copy."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg

from resumectl.runner.sandbox_databases import VERSION_TABLES
from resumectl.storage.postgres import connect

if TYPE_CHECKING:
    from resumectl.storage.postgres import Connection

_TABLES = """
SELECT format('%%I.%%I', n.nspname, c.relname) FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND c.relname <> ALL (%s)
ORDER BY c.oid DESC
"""
_SEQUENCES = "SELECT format('%I.%I', schemaname, sequencename) FROM pg_sequences"
_END_OTHERS = """
SELECT pg_terminate_backend(pid, 1000) FROM pg_stat_activity
WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
_LIKENESS = """
SELECT (SELECT (count(*), max(oid))::text FROM pg_class), (SELECT (count(*), max(oid))::text FROM pg_proc),
       (SELECT (count(*), max(oid))::text FROM pg_type), (SELECT (count(*), max(oid))::text FROM pg_namespace),
       (SELECT (count(*), max(oid))::text FROM pg_constraint), (SELECT count(*) FROM pg_attribute),
       (SELECT (count(*), max(oid))::text FROM pg_trigger)
"""


@dataclass(frozen=True, slots=True)
class PostgresReset:
    """Reset of a template's copies.

    A reset takes some 20 ms. A new database takes up to half a second, since it is written to the disk
    (PostgreSQL 18). A copy whose tables differ from the template's, because the program made some, is
    dropped instead, and so is each copy of a template that contains rows.

    Attributes:
        likeness: Description of the template's tables, which an unchanged copy has too.
        statements: Statements that empty all tables.
    """

    likeness: tuple[object, ...]
    statements: str

    @classmethod
    def of(cls, template: "Connection") -> "PostgresReset":
        """Return the reset of a template's copies."""
        tables = template.execute(_TABLES, [list(VERSION_TABLES)]).fetchall()
        if any(_has_rows(template, table[0]) for table in tables):
            return cls((), "")
        # A table is made after the tables that it refers to.
        statements = [f"DELETE FROM {table[0]}" for table in tables]
        sequences = template.execute(_SEQUENCES).fetchall()
        statements += [f"ALTER SEQUENCE {sequence[0]} RESTART" for sequence in sequences]
        return cls(_likeness(template), ";".join(statements))

    def reset(self, url: str) -> bool:
        """Empty a copy if it still has the template's tables; return whether that was done."""
        try:
            with connect(url, "resumectl") as copy:
                copy.execute(_END_OTHERS)
                if _likeness(copy) != self.likeness:
                    return False
                copy.execute("SET synchronous_commit = off")
                copy.execute(self.statements.encode())
        except psycopg.Error:
            return False  # a copy that cannot be reset is dropped
        return True


def _has_rows(connection: "Connection", table: str) -> bool:
    found = connection.execute(f"SELECT EXISTS (SELECT FROM {table})".encode()).fetchone()
    return found is not None and bool(found[0])


def _likeness(connection: "Connection") -> tuple[object, ...]:
    row = connection.execute(_LIKENESS).fetchone()
    assert row is not None
    return tuple(row)
