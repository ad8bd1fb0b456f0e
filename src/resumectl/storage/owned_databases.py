"""Databases of trials on a PostgreSQL server: whose they are, and how they are dropped.

A database carries the name of its owner, whose session shows the same name as its application. A
database whose owner has no session is dropped by the next runner. (An advisory lock would belong to
a single database, and the next runner may connect to another one.)
"""

import os
import signal
from pathlib import Path

from psycopg import sql

from resumectl.storage.postgres import Connection, connect

PREFIX = "resumectl_lab_"
APPLICATION = "resumectl lab "
EMBEDDED_DIRECTORY = "server"


def stop_embedded(root: Path) -> None:
    """End a server whose process of origin has died.

    Args:
        root: As it was made with.
    """
    try:
        pid = int((root / EMBEDDED_DIRECTORY / "postmaster.pid").read_text().split()[0])
        os.kill(pid, signal.SIGQUIT)  # at once: nobody will ask for its data
    except (FileNotFoundError, ProcessLookupError):
        return  # there is none, or none any more


def drop_owned_by(owner: str, url: str) -> None:
    """Drop every database of an owner that has died.

    Args:
        owner: As `Server` named itself.
        url: Of a database on the server.
    """
    with connect(url, "resumectl") as connection:
        drop_owned(connection, owner)


def drop_ownerless(connection: Connection) -> None:
    """Drop what the dead have left."""
    names = _names(connection)  # before it is asked who lives: nobody makes one unseen
    rows = connection.execute(
        "SELECT application_name FROM pg_stat_activity WHERE starts_with(application_name, %s)",
        [APPLICATION],
    ).fetchall()
    alive = {row[0].removeprefix(APPLICATION) for row in rows}
    for name in names:
        if name.removeprefix(PREFIX).partition("_")[0] not in alive:
            drop_database(connection, name)


def drop_owned(connection: Connection, owner: str) -> None:
    for name in _names(connection):
        if name.startswith(f"{PREFIX}{owner}_"):
            drop_database(connection, name)


def _names(connection: Connection) -> list[str]:
    # Of this role alone: what another's sessions call themselves is not shown to it.
    rows = connection.execute(
        "SELECT datname FROM pg_database WHERE starts_with(datname, %s)"
        " AND datdba = (SELECT oid FROM pg_roles WHERE rolname = current_user)",
        [PREFIX],
    ).fetchall()
    return [row[0] for row in rows]


def drop_database(connection: Connection, name: str) -> None:
    connection.execute(
        sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name))
    )
