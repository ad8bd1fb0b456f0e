"""Declare the commands on trials: points, sweep, replay, check, sweeps, selftest."""

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from resumectl.cli.common import Common, command, ends_in_order, typed_options
from resumectl.cli.help import COMMAND, EXPERIMENT, TRIALS, option
from resumectl.cli.report_files import check_file, check_files
from resumectl.cli.target_options import (
    ChoiceOptions,
    Promises,
    ReportOptions,
    TargetOptions,
    TrialOptions,
)
from resumectl.errors import ExitCode, Refusal

if TYPE_CHECKING:
    from resumectl.cli.configured import Given

Jobs = Annotated[
    int | None,
    option(
        group=TRIALS,
        metavar="N",
        help="Number of trials that run at a time. [default: the number of cores]",
    ),
]


@dataclass(frozen=True, slots=True)
class PaceOptions:
    """How many trials run at a time, and how often all of them run."""

    jobs: Jobs = None
    watch: Annotated[
        bool,
        option(
            "--watch",
            group=TRIALS,
            help="Sweep again each time that a file of the program changes, until Ctrl-C.",
        ),
    ] = False


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    order = """shop.py:checkout --args '["order-1"]'"""
    command(app, "points", points, group=EXPERIMENT, example=(f"points {order}",))
    command(
        app, "sweep", sweep, group=EXPERIMENT,
        example=(f"sweep {order}", f"sweep {order} --promise charge=exactly-once"),
    )  # fmt: skip
    command(
        app, "replay", replay, group=EXPERIMENT,
        example=(f"replay before:checkout-1/step-1 {order}",),
    )  # fmt: skip
    command(
        app, "check", check, group=EXPERIMENT, example=("check 1 --promise charge=at-least-once",)
    )
    command(
        app, "repro", repro, group=EXPERIMENT,
        example=("repro 1", "repro 1:before:checkout-1/step-1 -o issue"),
    )  # fmt: skip
    command(
        app, "report", report, group=EXPERIMENT,
        example=("report 1 --open", "report 2 --against 1", "report 1:before:checkout-1/step-1", "report alpha-1"),
    )  # fmt: skip
    command(app, "init", init, group=EXPERIMENT, example=("init",))
    command(app, "sweeps", sweeps, group=EXPERIMENT, example=("sweeps",))
    command(app, "selftest", selftest, group=EXPERIMENT, example=("selftest",))


def _own(common: Common) -> Common:
    """Return the common options without the version, which is the target's."""
    return replace(common, app_version=None)


def _given(
    common: Common,
    target: TargetOptions,
    trial: TrialOptions | None = None,
    choice: ChoiceOptions | None = None,
) -> "Given":
    from resumectl.cli.configured import Given  # no other command needs what it loads

    return Given(
        target,
        trial or TrialOptions(),
        choice or ChoiceOptions(),
        common.app_version,
        typed_options(),
    )


def points(common: Common, target: TargetOptions) -> ExitCode:
    """Show the crash points of a program.

    Runs the program without a crash and lists each durable transition in its order.
    """
    from resumectl.cli.configured import read_one_spec

    spec = read_one_spec(_given(common, target), Path.cwd())
    from resumectl.report.activity import activity

    with activity(hidden=common.verbose) as doing:
        from resumectl.cli.flows import points as flow

        return flow.points(_own(common), spec, doing)


def sweep(
    common: Common,
    target: TargetOptions,
    trial: TrialOptions,
    choice: ChoiceOptions,
    reports: ReportOptions,
    pace: PaceOptions,
) -> ExitCode:
    """Kill at every crash point, resume and judge.

    Each trial is a real SIGKILL and a real second process in a sandbox of its own. Without TARGET, each
    target of [tool.resumectl.targets] in pyproject.toml is swept, or the built-in publisher.
    """
    from resumectl.cli.configured import is_publisher_by_default, read_specs
    from resumectl.cli.spec_from_options import checked_jobs

    given = _given(common, target, trial, choice)
    specs = read_specs(given, Path.cwd())
    if is_publisher_by_default(given, specs):
        common.say(
            "no target is named, here or in a pyproject.toml: the built-in publisher is swept"
        )
    number = checked_jobs(pace.jobs)
    check_files(reports)
    if pace.watch and common.as_json:
        raise Refusal(
            "--watch prints one result after the other, and --json prints one document",
            next_step="leave out one of them",
        )
    from resumectl.report.activity import activity

    with activity(hidden=common.verbose) as doing, ends_in_order():
        from resumectl.runner.fork_servers import ForkServers

        # They import dbos, and are warmed up, while this process imports it.
        first = specs[0].spec
        servers = ForkServers(first.interpreters, first.isolation)
        try:
            from resumectl.runner.trial_pools import TrialPools

            pools = TrialPools(common.settings(), jobs=number, started=(first, servers))
            pools.of(first).begin_warm_up()
            from resumectl.cli.flows import sweep as flow

            plan = flow.SweepPlan(specs, pools, is_watching=pace.watch)
            return flow.sweep(_own(common), plan, doing, reports)
        finally:
            servers.close()


def replay(
    common: Common,
    plan: Annotated[str, typer.Argument(metavar="PLAN", help="Crash plan, as sweep prints it.")],
    target: TargetOptions,
    trial: TrialOptions,
    times: Annotated[
        int,
        option(
            group=TRIALS, metavar="N", help="Number of runs; with 2 or more, count the outcomes."
        ),
    ] = 1,
) -> ExitCode:
    """Run one trial and show its events in order."""
    from resumectl.cli.configured import read_one_spec

    spec = read_one_spec(_given(common, target, trial), Path.cwd())
    from resumectl.report.activity import activity

    with activity(hidden=common.verbose) as doing:
        from resumectl.cli.flows import replay as flow

        return flow.replay(_own(common), spec, plan, doing, times=times)


def repro(
    common: Common,
    trial: Annotated[
        str,
        typer.Argument(
            metavar="TRIAL",
            help="Number of a sweep, for its first finding; or SWEEP:PLAN, for that of a crash plan.",
        ),
    ],
    output: Annotated[
        Path,
        option("--output", "-o", group=COMMAND, metavar="DIR", help="Directory of the two files."),
    ] = Path("repro"),
    runs: Annotated[
        int, option(group=COMMAND, metavar="N", help="Number of runs of the file.")
    ] = 20,
) -> ExitCode:
    """Write a file that shows a finding with dbos alone.

    Takes the simplest crash that shows it, says how many runs of the file fail, and writes a text for
    an issue beside it.
    """
    if not 1 <= runs <= 1_000:
        raise Refusal(f"--runs {runs} is not 1 to 1,000", next_step="as in  --runs 20")
    from resumectl.report.activity import activity

    with activity(hidden=common.verbose) as doing, ends_in_order():
        from resumectl.cli.flows import repro as flow

        return flow.repro(common, read_trial(trial), output, doing, runs=runs)


def report(
    common: Common,
    what: Annotated[
        str,
        typer.Argument(
            metavar="SWEEP|TRIAL|BATCH",
            help="Number of a sweep; SWEEP:PLAN, for the trials of one crash plan; or id of a batch.",
        ),
    ],
    output: Annotated[
        Path | None,
        option(
            "--output",
            "-o",
            group=COMMAND,
            metavar="FILE",
            help="The file. [default: resumectl-1.html for sweep 1]",
        ),
    ] = None,
    against: Annotated[
        int | None,
        option(group=COMMAND, metavar="SWEEP", help="Number of an earlier sweep to compare with."),
    ] = None,
    open_page: Annotated[
        bool, option("--open", group=COMMAND, help="Open the page in a browser.")
    ] = False,
) -> ExitCode:
    """Write a sweep, a trial or a batch as a page of HTML.

    Shows the map of its crash points, a timeline of each trial, findings, exposures and recovery times. The
    page is one file, and it needs no network.
    """
    number = what.partition(":")[0]
    is_batch = not _is_number(number)
    if against is not None and what != number:
        raise Refusal(
            "--against compares whole sweeps",
            next_step=f"resumectl report SWEEP --against {against}",
        )
    name = what.replace("/", "_") if is_batch else re.sub(r"[^\w.]+", "-", what).strip("-")
    file = output or Path(f"resumectl-{name}.html")
    check_file("output", file)
    from resumectl.cli.flows import report as flow

    if is_batch:
        return flow.report_batch(common, what, file, is_opened=open_page)
    sweep_id, plan = read_trial(what)
    return flow.report_sweep(common, sweep_id, plan, file, against=against, is_opened=open_page)


def read_trial(text: str) -> tuple[int, str | None]:
    """Return the number of a sweep, and the crash plan after the colon; None if there is none.

    Args:
        text: SWEEP or SWEEP:PLAN.

    Raises:
        Refusal: The text is neither.
    """
    number, colon, plan = text.partition(":")
    if not _is_number(number) or (colon and not plan):
        raise Refusal(f"{text!r} is no trial", next_step="as in  1  or  1:before:checkout-1/step-1")
    return int(number), plan or None


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal()


def init(common: Common) -> ExitCode:
    """Write a first table of targets to pyproject.toml.

    Looks for workflows, handlers, queues and databases in the Python files below the working
    directory, and imports none of them.
    """
    from resumectl.cli.flows import init as flow

    return flow.init(common)


def check(
    common: Common,
    sweep_id: Annotated[int, typer.Argument(metavar="SWEEP", help="Number of the sweep.")],
    reports: ReportOptions,
    promise: Promises = None,
) -> ExitCode:
    """Judge an earlier sweep again without running anything."""
    check_files(reports)
    from resumectl.cli.flows import stored_sweeps as flow

    return flow.check(common, sweep_id, promise or [], reports)


def sweeps(common: Common) -> ExitCode:
    """List sweeps, newest first."""
    from resumectl.cli.flows import stored_sweeps as flow

    return flow.sweeps(common)


def selftest(common: Common, jobs: Jobs = None) -> ExitCode:
    """Sweep known mistakes and check that each is found.

    The corrected version of each mistake must come out KEPT.
    """
    from resumectl.cli.flows import selftest as flow
    from resumectl.cli.spec_from_options import checked_jobs

    return flow.selftest(common, jobs=checked_jobs(jobs))
