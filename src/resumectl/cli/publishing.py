"""The commands that run workflows: publish, crash-after, resume, worker."""

from typing import Annotated

import typer

from resumectl.cli.common import Common, command, ends_in_order
from resumectl.cli.request import DEFAULT_COUNT, DEFAULT_NAME, read_request
from resumectl.errors import ExitCode

Name = Annotated[str, typer.Option(help="The publisher's name.")]
Count = Annotated[
    int | None, typer.Option(help="That many generated messages.", show_default=f"{DEFAULT_COUNT}")
]
From = Annotated[
    str | None,
    typer.Option(
        "--from", metavar="FILE", help="Messages from a file, one a line; - for standard input."
    ),
]
BatchId = Annotated[str | None, typer.Option("--id", help="The batch's id.", show_default="NAME-K")]
GuaranteeName = Annotated[
    str,
    typer.Option(
        metavar="GUARANTEE",
        help="exactly-once, idempotent, at-least-once or at-most-once.",
    ),
]
Concurrency = Annotated[
    int | None,
    typer.Option(help="Messages at work at a time, in each process.", show_default="10"),
]
Delay = Annotated[float, typer.Option(help="Seconds that a delivery takes.")]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "publish", publish)
    command(app, "crash-after", crash_after)
    command(app, "resume", resume)
    command(app, "worker", worker)


def publish(
    common: Common,
    name: Name = DEFAULT_NAME,
    count: Count = None,
    from_file: From = None,
    batch_id: BatchId = None,
    guarantee: GuaranteeName = "exactly-once",
    concurrency: Concurrency = None,
    delay: Delay = 0.0,
    detach: Annotated[
        bool, typer.Option("--detach", help="Enqueue only; leave the work to workers.")
    ] = False,
) -> ExitCode:
    """Publish a batch through a durable workflow."""
    from resumectl.cli.flows import publish as flow

    request = read_request(common, name, count, from_file, batch_id, guarantee, concurrency, delay)
    with ends_in_order():
        return flow.publish(common, request, detach=detach)


def crash_after(
    common: Common,
    n: Annotated[int, typer.Argument(metavar="N", help="Die about the N-th delivery.")],
    name: Name = DEFAULT_NAME,
    count: Count = None,
    from_file: From = None,
    batch_id: BatchId = None,
    guarantee: GuaranteeName = "exactly-once",
    concurrency: Concurrency = None,
    delay: Delay = 0.0,
    when: Annotated[
        str,
        typer.Option(metavar="WHEN", help="before-delivery, after-delivery or after-checkpoint."),
    ] = "after-delivery",
    signal_name: Annotated[
        str | None,
        typer.Option("--signal", metavar="KILL|TERM", help="How to die.", show_default="KILL"),
    ] = None,
    by_exit: Annotated[
        bool, typer.Option("--exit", help="Die by os._exit instead of a signal.")
    ] = False,
) -> ExitCode:
    """Publish, and die for real at the N-th delivery.

    A child process publishes and is killed; this one survives, and shows what is left.
    """
    from resumectl.cli.flows import crash_after as flow

    request = read_request(common, name, count, from_file, batch_id, guarantee, concurrency, delay)
    how = flow.how_to_die(when=when, signal_name=signal_name, by_exit=by_exit)
    return flow.crash_after(common, request, n, how)


def resume(
    common: Common,
    workflow_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[WORKFLOW_ID]...",
            help="Only these; also cancelled and dead-lettered ones.",
            show_default=False,
        ),
    ] = None,
    timeout: Annotated[
        float | None,
        typer.Option(help="Seconds to wait at most.", show_default="as long as it takes"),
    ] = None,
) -> ExitCode:
    """Take up everything unfinished, to its end."""
    from resumectl.cli.flows import resume as flow

    with ends_in_order():
        return flow.resume(common, workflow_ids or [], timeout_s=timeout)


def worker(
    common: Common,
    adopt_every: Annotated[
        float, typer.Option(help="Seconds between looks for what dead processes left.")
    ] = 5.0,
    no_adopt: Annotated[
        bool, typer.Option("--no-adopt", help="Leave alone what dead processes left.")
    ] = False,
) -> ExitCode:
    """Serve the queue until told to end.

    SIGTERM and Ctrl-C end it in order. It adopts what dead processes left.
    """
    from resumectl.cli.flows import worker as flow

    with ends_in_order():
        return flow.serve(common, adopt_every_s=None if no_adopt else adopt_every)
