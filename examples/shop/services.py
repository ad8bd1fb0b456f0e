"""The outside world of the shop: a payment service and a mail server, which remember what they were asked.

They stand for services of others. Each keeps its rows in a file of the working directory.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

TABLES = """
CREATE TABLE IF NOT EXISTS charges (key TEXT UNIQUE, customer TEXT, amount INTEGER);
CREATE TABLE IF NOT EXISTS mails (key TEXT UNIQUE, customer TEXT, text TEXT);
"""


@contextmanager
def outside() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect("outside.sqlite")
    try:
        connection.executescript(TABLES)
        yield connection
        connection.commit()
    finally:
        connection.close()


def charge(customer: str, amount: int, key: str | None = None) -> None:
    """Charge a customer. A second call with the same key changes nothing."""
    with outside() as connection:
        connection.execute(
            "INSERT OR IGNORE INTO charges VALUES (?, ?, ?)", (key, customer, amount)
        )


def send_mail(customer: str, text: str, key: str | None = None) -> None:
    """Send a mail. A second one with the same key is not delivered."""
    with outside() as connection:
        connection.execute("INSERT OR IGNORE INTO mails VALUES (?, ?, ?)", (key, customer, text))


def seen() -> dict[str, Any]:
    """Return what customers see: their charges and their mails."""
    with outside() as connection:
        charges = connection.execute("SELECT customer, amount FROM charges ORDER BY 1").fetchall()
        mails = connection.execute("SELECT customer, text FROM mails ORDER BY 1").fetchall()
    return {
        "charges": [f"{customer} pays {amount}" for customer, amount in charges],
        "mails": [f"{customer}: {text}" for customer, text in mails],
    }
