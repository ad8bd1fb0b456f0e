"""The commands that keep house: doctor, migrate, reset."""

from typing import Annotated

import typer

from resumectl.cli.common import Common, command
from resumectl.errors import ExitCode, Refusal


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "doctor", doctor)
    command(app, "migrate", migrate)
    command(app, "reset", reset)


def doctor(common: Common) -> ExitCode:
    """Examine the database, and say what to do."""
    from resumectl.cli.flows import doctor as flow

    return flow.examine(common)


def migrate(
    common: Common,
    grant_to: Annotated[
        str | None,
        typer.Option(
            metavar="ROLE", help="Let this role use the tables (PostgreSQL).", show_default=False
        ),
    ] = None,
) -> ExitCode:
    """Create or migrate the tables, DBOS's as well."""
    from resumectl.cli.flows import migrate as flow

    return flow.migrate(common, grant_to=grant_to)


def reset(
    common: Common,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
) -> ExitCode:
    """Delete everything that was published."""
    from resumectl.cli.flows import reset as flow

    settings = common.settings()
    if not yes and not _is_sure(f"Delete everything in {settings.shown_url}?"):
        raise Refusal("nothing was deleted", next_step="resumectl reset --yes")
    return flow.reset(common)


def _is_sure(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # nobody there to answer
        return False
