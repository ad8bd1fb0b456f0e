"""Declare the options of the commands that run a target."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from resumectl.cli.help import (
    CRASH_POINTS,
    JUDGING,
    NEXT_RELEASE,
    OUTSIDE,
    PUBLISHER,
    REPORTS,
    TARGET,
    TRIALS,
    option,
)
from resumectl.model.target import DOWNTIME_S


@dataclass(frozen=True, slots=True)
class TargetOptions:
    """The target and its environment."""

    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="Program under test: FILE.py:NAME or package.module:NAME. [default: the built-in "
            "publisher]",
            show_default=False,
        ),
    ] = None
    args: Annotated[
        str,
        option(group=TARGET, metavar="JSON", help="Positional arguments of the workflow, a list."),
    ] = "[]"
    kwargs: Annotated[
        str,
        option(group=TARGET, metavar="JSON", help="Keyword arguments of the workflow, an object."),
    ] = "{}"
    env: Annotated[
        list[str] | None,
        option(
            group=TARGET,
            metavar="NAME=VALUE",
            help="Environment variable of the target process; repeatable. {sandbox} and "
            "{database_url} become the directory and the database of the trial.",
        ),
    ] = None
    python: Annotated[
        str | None,
        option(
            group=TARGET,
            metavar="PATH",
            help="Python interpreter of the program, with its own DBOS. [default: $RESUMECTL_PYTHON, "
            "the active virtual environment, .venv next to a pyproject.toml in the program's "
            "directory or above it, resumectl's own]",
        ),
    ] = None
    client: Annotated[
        str | None,
        option(
            group=TARGET,
            metavar="retries|gives-up",
            help="What the client does after a crash: it asks again, or only if no workflow of its "
            "request was accepted. [default: retries if the request fixes the workflow ids, else "
            "gives-up]",
        ),
    ] = None
    redirect: Annotated[
        list[str] | None,
        option(
            group=OUTSIDE,
            metavar="URL",
            help="Database of the program to replace in each sandbox by an empty one with the same "
            "tables; repeatable.",
        ),
    ] = None
    prepare: Annotated[
        str | None,
        option(
            group=OUTSIDE,
            metavar="COMMAND",
            help="Command that creates the tables, run once, as in 'alembic upgrade head'; "
            "DATABASE_URL names the database.",
        ),
    ] = None
    allow_database: Annotated[
        list[str] | None,
        option(
            group=OUTSIDE,
            metavar="URL",
            help="Real database that every trial may write to; repeatable.",
        ),
    ] = None
    allow_host: Annotated[
        list[str] | None,
        option(
            group=OUTSIDE,
            metavar="HOST",
            help="Real host that every trial may connect to, HOST or HOST:PORT; repeatable.",
        ),
    ] = None
    count: Annotated[
        int, option(group=PUBLISHER, metavar="N", help="Number of messages in the batch.")
    ] = 5
    guarantee: Annotated[
        str,
        option(
            group=PUBLISHER,
            metavar="GUARANTEE",
            help="Delivery guarantee: exactly-once, idempotent, at-least-once or at-most-once.",
        ),
    ] = "exactly-once"
    concurrency: Annotated[
        int,
        option(group=PUBLISHER, metavar="N", help="Maximum number of messages in progress."),
    ] = 10
    on: Annotated[
        str, option(group=TRIALS, metavar="sqlite|postgres", help="Database of each trial.")
    ] = "sqlite"
    max_sleep: Annotated[
        float | None,
        option(
            group=TRIALS,
            metavar="SECONDS",
            help="Maximum duration of a DBOS.sleep, in seconds. [default: no limit]",
        ),
    ] = None
    after_launch: Annotated[
        str | None,
        option(
            group=TARGET,
            metavar="FUNCTION",
            help="FILE.py:FUNCTION to call in each process after DBOS.launch, as main does: it "
            "registers queues, applies schedules, creates tables. [default: none]",
        ),
    ] = None
    observe: Annotated[
        str | None,
        option(
            group=TARGET,
            metavar="FUNCTION",
            help="FILE.py:FUNCTION that returns what the outside world looks like, as plain data; it "
            "is called when all workflows have ended, and compared with the baseline. [default: "
            "that of the Scenario]",
        ),
    ] = None
    timeout: Annotated[
        float | None,
        option(
            group=TRIALS,
            metavar="SECONDS",
            help="Maximum duration of one process, and of --prepare, in seconds. [default: 30 without a "
            "crash, then from the baseline; 120 for --prepare]",
        ),
    ] = None


Promises = Annotated[
    list[str] | None,
    option(
        "--promise",
        group=JUDGING,
        metavar="NAME=PROMISE",
        help="Promise for one effect, step or table, as in charge=exactly-once. PROMISE is "
        "exactly-once, at-least-once or at-most-once; repeatable. [default: that of the Scenario, "
        "else at-least-once in a step and exactly-once outside of steps]",
    ),
]


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """How trials run, and the promises that they must keep."""

    promise: Promises = None
    resume_with: Annotated[
        str | None,
        option(
            group=NEXT_RELEASE,
            metavar="TARGET",
            help="Program of the processes after the kill. [default: the same]",
        ),
    ] = None
    resume_version: Annotated[
        str | None,
        option(
            group=NEXT_RELEASE,
            metavar="VERSION",
            help="Application version of the processes after the kill. [default: the same]",
        ),
    ] = None
    resume_python: Annotated[
        str | None,
        option(
            group=NEXT_RELEASE,
            metavar="PATH",
            help="Python interpreter of the processes after the kill, such as one with the next "
            "release of DBOS. [default: the same]",
        ),
    ] = None
    downtime: Annotated[
        float,
        option(
            group=TRIALS,
            metavar="SECONDS",
            help="Advance of the clock in the processes after the kill, in seconds; 0 for none.",
        ),
    ] = DOWNTIME_S
    isolation: Annotated[
        str,
        option(
            group=TRIALS,
            metavar="fork|spawn",
            help="Start each process by fork or, more slowly, with a fresh interpreter.",
        ),
    ] = "fork"
    keep: Annotated[
        bool,
        option(
            "--keep",
            group=TRIALS,
            help="Keep the sandboxes of trials that are not KEPT, in .resumectl/kept.",
        ),
    ] = False


@dataclass(frozen=True, slots=True)
class ReportOptions:
    """Files to which the result is written."""

    junit: Annotated[
        Path | None,
        option(group=REPORTS, metavar="FILE", help="Write the trials as JUnit XML."),
    ] = None
    summary: Annotated[
        Path | None,
        option(group=REPORTS, metavar="FILE", help="Write the result as Markdown."),
    ] = None
    sarif: Annotated[
        Path | None,
        option(
            group=REPORTS,
            metavar="FILE",
            help="Write the findings as SARIF, each at the source line of its step.",
        ),
    ] = None
    html: Annotated[
        Path | None,
        option(
            group=REPORTS,
            metavar="FILE",
            help="Write a page of HTML, with a map of the crash points and a drawing of each trial.",
        ),
    ] = None


@dataclass(frozen=True, slots=True)
class ChoiceOptions:
    """The trials that run."""

    edge: Annotated[
        str | None,
        option(
            group=CRASH_POINTS,
            metavar="before|after",
            help="Kill only on this side of each commit. [default: both]",
        ),
    ] = None
    only: Annotated[
        str | None,
        option(
            group=CRASH_POINTS,
            metavar="PATTERN",
            help="Filter by transition, as in '*/step-1'; * and ? are wildcards.",
        ),
    ] = None
    max_trials: Annotated[
        int | None,
        option(
            "--max",
            group=CRASH_POINTS,
            metavar="N",
            help="Maximum number of crash points; a random sample. [default: all]",
        ),
    ] = None
    seed: Annotated[int, option(group=CRASH_POINTS, metavar="N", help="Random seed for --max.")] = 1
    crashes: Annotated[
        int,
        option(
            group=CRASH_POINTS,
            metavar="1|2",
            help="Number of kills in each trial; 2 kills again during the recovery.",
        ),
    ] = 1
    repeat: Annotated[
        int, option(group=CRASH_POINTS, metavar="N", help="Number of trials of each crash point.")
    ] = 1
    budget: Annotated[
        str | None,
        option(
            group=CRASH_POINTS,
            metavar="DURATION",
            help="Maximum time for the trials, as in 60s or 5m: as many crash points as fit, the most "
            "informative first. [default: no limit]",
        ),
    ] = None
    failed: Annotated[
        bool,
        option(
            "--failed",
            group=CRASH_POINTS,
            help="Run only the crash points that were not KEPT in the last sweep of this target.",
        ),
    ] = False
    fail_fast: Annotated[
        bool, option("--fail-fast", group=JUDGING, help="Stop at the first broken promise.")
    ] = False
