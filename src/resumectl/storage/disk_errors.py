"""Recognise a database error that means that the disk is full or failing."""

import sqlite3


def is_storage_failure(error: BaseException) -> bool:
    """Whether the disk under the database is full or failing: nothing can go on without it.

    Args:
        error: SQLAlchemy's, with the driver's in `orig`.
    """
    original = getattr(error, "orig", None)
    if getattr(original, "sqlstate", None) == "53100":
        return True
    return isinstance(original, sqlite3.OperationalError) and any(
        sign in str(original) for sign in ("disk is full", "disk I/O error")
    )
