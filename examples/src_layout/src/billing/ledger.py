"""The ledger: a table of what each customer owes, in a file of the working directory."""

import sqlite3
from contextlib import closing

TABLE = (
    "CREATE TABLE IF NOT EXISTS entries (invoice TEXT PRIMARY KEY, customer TEXT, cents INTEGER)"
)


def enter(invoice: str, customer: str, cents: int) -> None:
    """Enter an invoice. Entering it again changes nothing."""
    with closing(sqlite3.connect("ledger.sqlite")) as connection, connection:
        connection.execute(TABLE)
        connection.execute(
            "INSERT OR IGNORE INTO entries VALUES (?, ?, ?)", (invoice, customer, cents)
        )


def seen() -> list[str]:
    """Return the entries of the ledger, in the order of their invoices."""
    with closing(sqlite3.connect("ledger.sqlite")) as connection, connection:
        connection.execute(TABLE)
        rows = connection.execute("SELECT * FROM entries ORDER BY invoice").fetchall()
    return [f"{invoice}: {customer} owes {cents} cents" for invoice, customer, cents in rows]
