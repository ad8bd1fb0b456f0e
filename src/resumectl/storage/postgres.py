"""Connect to PostgreSQL with the driver itself, which no hook of SQLAlchemy sees.

Loads the driver only to connect: trials on SQLite do without it, and it takes a fifth of what dbos takes
to load.
"""

from typing import TYPE_CHECKING

from sqlalchemy.engine import make_url

if TYPE_CHECKING:
    import psycopg

    Connection = psycopg.Connection[tuple[str, ...]]

_CONNECT_TIMEOUT_S = 10
_ADVANCE = (
    "SELECT nextval(format('%I.%I', schemaname, sequencename)) FROM pg_sequences"
    " WHERE schemaname NOT IN ('dbos', 'resumectl')"
)


def conninfo(url: str) -> str:
    """Return a SQLAlchemy URL of a PostgreSQL database in the form that libpq reads.

    Args:
        url: URL of the database, with its password.
    """
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def connect(url: str, application: str) -> "Connection":
    """Open a connection in autocommit mode.

    Args:
        url: URL of the database, with its password.
        application: Name that the session shows to the server.
    """
    import psycopg

    return psycopg.connect(
        conninfo(url),
        autocommit=True,
        connect_timeout=_CONNECT_TIMEOUT_S,
        application_name=application,
    )


def advance_sequences(database_url: str) -> None:
    """Advance each sequence of a program by one, as a transaction does that a kill rolls back.

    Args:
        database_url: URL of the trial's database, with its password. SQLite has no sequences.
    """
    if make_url(database_url).get_backend_name() == "postgresql":
        with connect(database_url, "resumectl") as connection:
            connection.execute(_ADVANCE)
