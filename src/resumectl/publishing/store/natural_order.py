"""Sort ids in SQL as `text.natural_key` does, on SQLite and on PostgreSQL."""

import sqlalchemy as sa

from resumectl.text import NUMBER_DIGITS, natural_key

_FUNCTION = "resumectl_natural_key"


def natural_order(
    connection: sa.Connection, column: sa.ColumnElement[str]
) -> sa.ColumnElement[str]:
    """Return the SQL expression for `natural_key` of a column.

    Args:
        connection: Connection on which it will be executed; on SQLite the function is added to it.
        column: Column with ids.
    """
    if connection.dialect.name == "sqlite":
        driver = connection.connection.driver_connection
        assert driver is not None
        # Once for each connection of the driver: SQLite does not replace a function while a
        # statement is being read.
        if _FUNCTION not in connection.info:
            driver.create_function(_FUNCTION, 1, natural_key, deterministic=True)
            connection.info[_FUNCTION] = True
        return sa.Function(_FUNCTION, column, type_=sa.Text())
    padded = sa.func.regexp_replace(column, "([0-9]+)", "0" * NUMBER_DIGITS + r"\1", "g")
    cut = sa.func.regexp_replace(
        padded, f"[0-9]*([0-9]{{{NUMBER_DIGITS}}})", r"\1", "g", type_=sa.Text
    )
    return sa.collate(cut, "C")  # byte by byte, whatever the server's language
