"""Suggest what to type when a target is refused access outside its sandbox."""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy.engine import make_url

from resumectl.storage.outside_access import Location, is_same_database
from resumectl.text import shell_word


def prepare_option(directory: Path) -> str:
    """Return a `--prepare` option that makes a program's tables, or that leaves them to the program.

    Args:
        directory: Directory in which the command runs.
    """
    has_alembic = Path(directory, "alembic.ini").is_file()
    return "--prepare 'alembic upgrade head'" if has_alembic else "--prepare true"


def database_fix(
    location: Location, sandbox_url: str, environ: Mapping[str, str], directory: Path
) -> str:
    """Return what to type when a database is refused.

    Args:
        location: Location of the refused database.
        sandbox_url: URL of the trial's own database.
        environ: The user's environment; a variable that holds the database's URL is named.
        directory: The user's directory.
    """
    url = shell_word(str(location))
    name = next((n for n, value in environ.items() if is_same_database(value, location)), None)
    is_own_kind = make_url(sandbox_url).get_backend_name() == location.backend
    filled, on = "{database_url}", ""
    if location.backend == "postgresql" and not is_own_kind:
        on = " --on postgres"
    elif location.backend == "sqlite" and name is not None:
        scheme, is_url, _ = environ[name].rpartition("://")
        if not is_url or not is_own_kind:
            filled = f"{scheme}{':///' if is_url else ''}{{sandbox}}/{Path(location.database).name}"
    ways = []
    if name is not None:
        ways.append(f"it is what {name} names, so  --env {shell_word(f'{name}={filled}')}{on}")
    if location.backend == "sqlite" and Path(location.database).is_file():
        ways.append(f"for a copy of its tables in the sandbox, without rows:  --redirect {url}")
    elif location.backend in ("sqlite", "postgresql"):
        prepare = prepare_option(directory)
        kind = "an empty database" if prepare.endswith("true") else "a database"
        ways.append(f"for {kind} in the sandbox:  --redirect {url} {prepare}{on}")
    ways.append(f"to let every trial write to it:  --allow-database {url}")
    return "; or ".join(ways)


def host_fix(at: str) -> str:
    """Return what to type when a host is refused.

    Args:
        at: `HOST` or `HOST:PORT`.
    """
    return (
        "let it call a stub on 127.0.0.1 instead; or let every trial call the real one:  "
        f"--allow-host {shell_word(at)}"
    )


def creator_fix(at: str | None) -> str:
    """Return what to type when the database of an engine with `creator=` is not known.

    Args:
        at: `HOST:PORT` that the `creator=` function has connected to; None if it is not known.
    """
    ways = ["give the engine the URL of the database in place of `creator=`"]
    if at is not None:
        ways.append(f"to let every trial use what is there:  --allow-host {shell_word(at)}")
    return "; or ".join(ways)
