"""Declare the commands that maintain the database: doctor, migrate, reset."""

import sys
from typing import Annotated

import typer

from resumectl.cli.common import Common, command
from resumectl.cli.help import COMMAND, MAINTAIN, option
from resumectl.errors import ExitCode, Refusal


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    command(app, "doctor", doctor, group=MAINTAIN, example=("doctor",))
    command(
        app, "migrate", migrate, group=MAINTAIN,
        example=("migrate --db-url postgresql://owner@localhost/shop --grant-to shop",),
    )  # fmt: skip
    command(app, "reset", reset, group=MAINTAIN, example=("reset --yes",))


def doctor(common: Common) -> ExitCode:
    """Check the database and say what to do."""
    from resumectl.cli.flows import doctor as flow

    return flow.examine(common)


def migrate(
    common: Common,
    grant_to: Annotated[
        str | None,
        option(
            group=COMMAND, metavar="ROLE", help="Role that may use the tables (PostgreSQL only)."
        ),
    ] = None,
) -> ExitCode:
    """Create or migrate the tables of resumectl and of DBOS."""
    from resumectl.cli.flows import migrate as flow

    return flow.migrate(common, grant_to=grant_to)


def reset(
    common: Common,
    yes: Annotated[
        bool, option("--yes", "-y", group=COMMAND, help="Do not ask for confirmation.")
    ] = False,
) -> ExitCode:
    """Delete everything that resumectl stored in its database.

    Deletes all batches, deliveries, sweeps and their workflows. Keeps the tables themselves, the
    workflows of other applications and the directory .resumectl/kept. Refuses while a process of
    resumectl uses the database.
    """
    from resumectl.cli.flows import reset as flow

    settings = common.settings()
    if not yes and not _is_sure(f"Delete everything in {settings.shown_url}?"):
        raise Refusal("nothing was deleted", next_step="resumectl reset --yes")
    return flow.reset(common)


def _is_sure(question: str) -> bool:
    try:
        return typer.confirm(question, err=True)
    except typer.Abort:  # no terminal to answer
        print(file=sys.stderr)  # the next line must not stand behind the question
        return False
