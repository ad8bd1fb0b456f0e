"""Declare the commands that run workflows: publish, crash-after, resume, worker."""

from dataclasses import dataclass
from typing import Annotated

import typer

from resumectl.cli.common import Common, command, ends_in_order
from resumectl.cli.help import COMMAND, CRASH, DELIVERY, PUBLISH, option
from resumectl.cli.request import BatchOptions, read_request
from resumectl.errors import ExitCode


@dataclass(frozen=True, slots=True)
class KillOptions:
    """When and how the process is killed."""

    when: Annotated[
        str,
        option(
            group=CRASH,
            metavar="WHEN",
            help="Moment of the kill: before-delivery, after-delivery or after-checkpoint.",
        ),
    ] = "after-delivery"
    signal_name: Annotated[
        str | None,
        option(
            "--signal",
            group=CRASH,
            metavar="KILL|TERM",
            help="Signal that ends the process. [default: KILL]",
        ),
    ] = None
    by_exit: Annotated[
        bool,
        option("--exit", group=CRASH, help="End the process by os._exit instead of a signal."),
    ] = False


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    command(
        app, "publish", publish, group=PUBLISH,
        example=(
            "publish --name alpha --count 20",
            "publish --name orders --from messages.txt --guarantee idempotent",
        ),
    )  # fmt: skip
    command(
        app, "crash-after", crash_after, group=PUBLISH,
        example=("crash-after 7", "crash-after 7 --when before-delivery --guarantee at-most-once"),
    )  # fmt: skip
    command(
        app, "resume", resume, group=PUBLISH,
        example=("resume", "resume alpha-1 --timeout 60"),
    )  # fmt: skip
    command(app, "worker", worker, group=PUBLISH, example=("worker --adopt-every 5",))


def publish(
    common: Common,
    batch: BatchOptions,
    detach: Annotated[
        bool,
        option("--detach", group=DELIVERY, help="Enqueue the batch and exit; workers deliver it."),
    ] = False,
) -> ExitCode:
    """Publish a batch through a durable workflow."""
    from resumectl.cli.flows import publish as flow

    request = read_request(common, batch)
    with ends_in_order():
        return flow.publish(common, request, detach=detach)


def crash_after(
    common: Common,
    n: Annotated[int, typer.Argument(metavar="N", help="Number of the delivery at which to kill.")],
    batch: BatchOptions,
    crash: KillOptions,
) -> ExitCode:
    """Publish a batch and kill the process at the N-th delivery.

    A child process publishes and is killed. This one survives and shows what is left.
    """
    from resumectl.cli.flows import crash_after as flow

    request = read_request(common, batch)
    how = flow.how_to_crash(when=crash.when, signal_name=crash.signal_name, by_exit=crash.by_exit)
    return flow.crash_after(common, request, n, how)


def resume(
    common: Common,
    workflow_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORKFLOW_ID",
            help="Workflows to resume, also cancelled and dead-lettered ones. [default: all "
            "unfinished ones]",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        option(
            group=COMMAND,
            metavar="SECONDS",
            help="Maximum time to wait, in seconds. [default: no limit]",
        ),
    ] = None,
) -> ExitCode:
    """Resume everything unfinished, and wait for its end."""
    from resumectl.cli.flows import resume as flow

    with ends_in_order():
        return flow.resume(common, workflow_ids or [], timeout_s=timeout)


def worker(
    common: Common,
    adopt_every: Annotated[
        float,
        option(
            group=COMMAND,
            metavar="SECONDS",
            help="Interval between searches for the work of ended processes, in seconds.",
        ),
    ] = 5.0,
    no_adopt: Annotated[
        bool,
        option("--no-adopt", group=COMMAND, help="Do not take over the work of ended processes."),
    ] = False,
) -> ExitCode:
    """Serve the queues until stopped.

    SIGTERM and Ctrl-C stop the worker in order. It takes over the work of ended processes.
    """
    from resumectl.cli.flows import worker as flow

    with ends_in_order():
        return flow.serve(common, adopt_every_s=None if no_adopt else adopt_every)
