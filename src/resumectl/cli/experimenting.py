"""The commands of the lab: points, sweep, replay, check, sweeps, selftest."""

from typing import Annotated

import typer

from resumectl.cli.common import Common, command, ends_in_order
from resumectl.cli.subject import (
    ChoiceOptions,
    Promises,
    ScenarioOptions,
    TrialOptions,
    checked_jobs,
    read_specification,
)
from resumectl.errors import ExitCode

Jobs = Annotated[int | None, typer.Option(help="Trials at a time.", show_default="cores")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "points", points)
    command(app, "sweep", sweep)
    command(app, "replay", replay)
    command(app, "check", check)
    command(app, "sweeps", sweeps)
    command(app, "selftest", selftest)


def points(common: Common, scenario: ScenarioOptions) -> ExitCode:
    """Show the crash points of a workflow.

    Every durable transition of an uninterrupted run, in its order.
    """
    from resumectl.cli.flows import experiment as flow

    return flow.points(common, read_specification(scenario, TrialOptions()))


def sweep(
    common: Common,
    scenario: ScenarioOptions,
    trial: TrialOptions,
    choice: ChoiceOptions,
    jobs: Jobs = None,
) -> ExitCode:
    """Die at every crash point, resume, and judge.

    Each trial is a real SIGKILL and a real second process, on a database of its own.
    """
    from resumectl.cli.flows import sweep as flow

    specification = read_specification(scenario, trial, choice)
    with ends_in_order():
        return flow.sweep(common, specification, jobs=checked_jobs(jobs))


def replay(
    common: Common,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="As `sweep` prints it.")],
    scenario: ScenarioOptions,
    trial: TrialOptions,
    times: Annotated[int, typer.Option(help="Repeat it, and count how it comes out.")] = 1,
) -> ExitCode:
    """Run one trial, and tell it as a story."""
    from resumectl.cli.flows import experiment as flow

    return flow.replay(common, read_specification(scenario, trial), plan, times=times)


def check(
    common: Common,
    sweep_id: Annotated[int, typer.Argument(metavar="SWEEP", help="Its number.")],
    promise: Promises = None,
) -> ExitCode:
    """Judge an earlier sweep again, without running anything."""
    from resumectl.cli.flows import judge as flow

    return flow.check(common, sweep_id, promise or [])


def sweeps(common: Common) -> ExitCode:
    """List the sweeps, newest first."""
    from resumectl.cli.flows import judge as flow

    return flow.sweeps(common)


def selftest(common: Common, jobs: Jobs = None) -> ExitCode:
    """Sweep the classic mistakes: each must be caught.

    And each corrected twin must raise no alarm. So the tester is tested.
    """
    from resumectl.cli.flows import selftest as flow

    return flow.selftest(common, jobs=checked_jobs(jobs))
