"""When and on what the figures were taken: one paragraph, to be quoted with them."""

import os
import platform
import sqlite3
from datetime import date
from importlib.metadata import version

from benchmarks.workspace import Workspace

_LIBRARIES = ("dbos", "sqlalchemy", "typer", "rich", "psycopg")


def described(workspace: Workspace) -> str:
    """Date, processors, and the versions of everything that matters."""
    parts = [
        date.today().isoformat(),
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs",
        f"Python {platform.python_version()}",
        *(f"{name} {version(name)}" for name in _LIBRARIES),
        f"SQLite {sqlite3.sqlite_version}",
    ]
    if workspace.server_version:
        parts.append(f"PostgreSQL {workspace.server_version}")
    return f"resumectl {version('resumectl')} · " + " · ".join(parts)
