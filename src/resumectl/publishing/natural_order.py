"""The natural order of ids: a-9 before a-10. The same in Python, on SQLite and on PostgreSQL.

An id is compared as text in which every number has twenty digits.
"""

import re

import sqlalchemy as sa

_DIGITS = 20  # as many as the largest number of 64 bits has
_NUMBER = re.compile("[0-9]+")
_FUNCTION = "resumectl_natural_key"


def natural_key(text: str) -> str:
    """Return what a text is sorted by, with alpha-1-2 before alpha-1-10."""
    return _NUMBER.sub(lambda number: number[0].zfill(_DIGITS)[-_DIGITS:], text)


def natural_order(
    connection: sa.Connection, column: sa.ColumnElement[str]
) -> sa.ColumnElement[str]:
    """Return an expression to order by, which is `natural_key` of a column.

    Args:
        connection: In which it will be executed; SQLite has to be given the function.
        column: Of ids.
    """
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        assert driver is not None
        # Once for each of the driver's connections: SQLite does not replace a function while a
        # statement is being read.
        if _FUNCTION not in connection.info:
            driver.create_function(_FUNCTION, 1, natural_key, deterministic=True)
            connection.info[_FUNCTION] = True
        return sa.Function(_FUNCTION, column, type_=sa.Text())
    padded = sa.func.regexp_replace(column, "([0-9]+)", "0" * _DIGITS + r"\1", "g")
    cut = sa.func.regexp_replace(padded, f"[0-9]*([0-9]{{{_DIGITS}}})", r"\1", "g", type_=sa.Text)
    return sa.collate(cut, "C")  # byte by byte, whatever the server's language
