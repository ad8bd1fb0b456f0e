"""Recognise database errors of a full or failing disk."""

import sqlite3


def is_storage_failure(error: BaseException) -> bool:
    """Return whether an error means that the disk of the database is full or failing.

    Args:
        error: Error of SQLAlchemy, with the driver's error in `orig`.
    """
    original = getattr(error, "orig", None)
    if getattr(original, "sqlstate", None) == "53100":
        return True
    return isinstance(original, sqlite3.OperationalError) and any(
        sign in str(original) for sign in ("disk is full", "disk I/O error")
    )
