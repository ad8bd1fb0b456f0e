"""Find and drop the databases of trials on a PostgreSQL server, by their owner.

The name of a database contains its owner, and the owner's session shows the same name as its
application name. The next runner drops a database whose owner has no session. (An advisory lock would
belong to a single database, and the next runner may connect to another one.)
"""

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

from psycopg import sql

from resumectl.storage.postgres import connect

if TYPE_CHECKING:
    from resumectl.storage.postgres import Connection

PREFIX = "resumectl_sandbox_"
APPLICATION = "resumectl sandboxes "
EMBEDDED_DIRECTORY = "server"


def stop_embedded(root: Path) -> None:
    """End an embedded server whose runner has ended.

    Args:
        root: Directory that the runner gave to the server.
    """
    try:
        pid = int((root / EMBEDDED_DIRECTORY / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)  # immediate shutdown: its data is not needed any more
    except (FileNotFoundError, ProcessLookupError):
        return  # there is no server, or it has ended


def drop_owned_by(owner: str, url: str) -> None:
    """Drop every database of an owner that has ended.

    Args:
        owner: Name of the owner.
        url: URL of a database on the server, with its password.
    """
    with connect(url, "resumectl") as connection:
        drop_owned(connection, owner)


def drop_ownerless(connection: "Connection") -> None:
    """Drop every database whose owner has ended."""
    names = _names(
        connection
    )  # read before the sessions: a new owner connects before it makes a database
    rows = connection.execute(
        "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, %s)",
        [APPLICATION],
    ).fetchall()
    active = {row[0].removeprefix(APPLICATION) for row in rows}
    for name in names:
        if name.removeprefix(PREFIX).partition("_")[0] not in active:
            drop_database(connection, name)


def drop_owned(connection: "Connection", owner: str) -> None:
    for name in _names(connection):
        if name.startswith(f"{PREFIX}{owner}_"):
            drop_database(connection, name)


def _names(connection: "Connection") -> list[str]:
    # Only databases of this role: it cannot see the application names of other roles' sessions.
    rows = connection.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        " AND datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)",
        [PREFIX],
    ).fetchall()
    return [row[0] for row in rows]


def drop_database(connection: "Connection", name: str) -> None:
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )
