"""The commands that look: state, list-workflows, steps; and cancel and fork, which act on
one workflow. The looking ones import no dbos."""

import re
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated

import typer

from resumectl.cli.common import Common, command
from resumectl.cli.help import COMMAND, FILTERS, INSPECT, option
from resumectl.errors import ExitCode, Refusal
from resumectl.text import counted, natural_key, shell_word

if TYPE_CHECKING:
    from resumectl.database import Snapshot
    from resumectl.publishing.store.view import View
    from resumectl.publishing.store.workflows import WorkflowSeen

LIMIT_MAX, OFFSET_MAX = 1_000_000, 1_000_000_000

WorkflowId = Annotated[
    str, typer.Argument(metavar="WORKFLOW_ID", help="Id, as list-workflows shows it.")
]


def add_to(app: typer.Typer) -> None:
    """Add these commands."""
    command(app, "state", state, group=INSPECT, example=("state", "state --check --json"))
    command(
        app, "list-workflows", list_workflows, group=INSPECT,
        example=("list-workflows --limit 10", "list-workflows --tree --status SUCCESS --since 1h"),
    )  # fmt: skip
    command(app, "steps", steps, group=INSPECT, example=("steps alpha-1",))
    command(app, "cancel", cancel, group=INSPECT, example=("cancel alpha-1",))
    command(app, "fork", fork, group=INSPECT, example=("fork alpha-1 --from-step 2",))


def state(
    common: Common,
    name: Annotated[
        str | None, option(group=FILTERS, metavar="NAME", help="Filter by publisher.")
    ] = None,
    check: Annotated[
        bool,
        option("--check", group=COMMAND, help="Exit with code 1 if a batch broke its guarantee."),
    ] = False,
) -> ExitCode:
    """Show what survived: deliveries and counters."""
    from resumectl.publishing.store import records, takeover
    from resumectl.publishing.store.state import State, broken_promises
    from resumectl.report import console, machine
    from resumectl.report import publishing as tables

    found = State(())
    next_steps: list[str] = []
    with reading(common) as view:
        if view is not None:
            found = records.read_state(view, common.settings(), name=name)
            if found.is_unfinished:
                next_steps = takeover.survey(view, common.settings()).next_steps
    next_steps += [
        f"resumectl cancel {batch.id}  cancels what it has left"
        for batch in found.batches
        if batch.can_be_cancelled
    ]
    if name is not None and not found.publishers:
        raise Refusal(f"there is no publisher {name}", next_step="resumectl state  shows them all")
    if common.as_json:
        machine.show(
            {**machine.state_document(found), "next_steps": [*map(common.retyped, next_steps)]}
        )
    else:
        console.show(*tables.state_view(found))
        if not found.publishers:
            common.say_next("resumectl publish --name alpha --count 20")
        for step in next_steps:
            common.say_next(step)
    broken = any(broken_promises(batch) for batch in found.batches)
    return ExitCode.PROMISE_BROKEN if check and broken else ExitCode.DONE


def list_workflows(
    common: Common,
    status: Annotated[
        str | None, option(group=FILTERS, metavar="STATUS", help="Filter by workflow status.")
    ] = None,
    name: Annotated[
        str | None,
        option(group=FILTERS, metavar="TEXT", help="Filter by workflow name (substring)."),
    ] = None,
    publisher: Annotated[
        str | None, option(group=FILTERS, metavar="NAME", help="Filter by publisher.")
    ] = None,
    since: Annotated[
        str | None,
        option(
            group=FILTERS,
            metavar="WHEN",
            help="Filter by creation time: 30s, 10m, 2h or 1d ago, or since a date such as "
            "2026-01-31T12:00.",
        ),
    ] = None,
    limit: Annotated[int, option(group=COMMAND, metavar="N", help="Maximum number of rows.")] = 50,
    offset: Annotated[int, option(group=COMMAND, metavar="N", help="Number of rows to skip.")] = 0,
    tree: Annotated[
        bool,
        option("--tree", group=COMMAND, help="Indent child workflows under their parents."),
    ] = False,
) -> ExitCode:
    """List workflows, newest first."""
    from resumectl.publishing.store import workflows
    from resumectl.publishing.store.dbos_tables import has_dbos_tables
    from resumectl.report import console, machine
    from resumectl.report import publishing as tables
    from resumectl.statuses import ENDED, STATUSES

    if status is not None and status.upper() not in STATUSES:
        raise Refusal(
            f"the status {status!r} is unknown", next_step=f"one of {', '.join(STATUSES)}"
        )
    if not 1 <= limit <= LIMIT_MAX or not 0 <= offset <= OFFSET_MAX:
        raise Refusal(
            f"--limit is 1 to {LIMIT_MAX:,}, and --offset 0 to {OFFSET_MAX:,}",
            next_step="as in  --limit 50 --offset 50",
        )
    found: list[WorkflowSeen] = []
    depths: list[int] = []
    is_more = False
    with reading(common) as view:
        if view is not None and has_dbos_tables(view.connection, common.settings()):
            found = workflows.list_workflows(
                view.connection,
                status=status.upper() if status else None,
                name=name,
                publisher=publisher,
                since_ms=_since_ms(since) if since else None,
                limit=limit + 1,
                offset=offset,
                roots_only=tree,
            )
            is_more, found = len(found) > limit, found[:limit]
            depths = [0] * len(found)
            if tree:
                found, depths = _with_children(view.connection, found)
        elif since:
            _since_ms(since)
    if common.as_json:
        machine.show({"workflows": [machine.workflow_document(each) for each in found]})
        return ExitCode.DONE
    if not found:
        narrow = " match" if any((status, name, publisher, since)) else ""
        console.show(f"no workflows{narrow}" + (f" after the first {offset:,}" if offset else ""))
    else:
        console.show(tables.workflows_sheet(found, depths=depths))
    for each in found:
        if each.status in ENDED and each.unfinished_children:
            what = f"{each.id} has ended, {each.status}; of what it started has not"
            common.say(f"{what}: {each.unfinished_children}")
            common.say_next(f"resumectl resume, or  resumectl cancel {each.id}")
    if is_more:
        question = {
            "--status": status,
            "--name": name,
            "--publisher": publisher,
            "--since": since,
            "--limit": limit,
            "--offset": offset + limit,
        }
        asked = (
            f"{option} {shell_word(str(v))}" for option, v in question.items() if v is not None
        )
        common.say_next(f"resumectl list-workflows{' --tree' * tree} {' '.join(asked)}")
    return ExitCode.DONE


def _with_children(
    connection: "Snapshot", roots: Sequence["WorkflowSeen"]
) -> tuple[list["WorkflowSeen"], list[int]]:
    """Roots and everything below them, depth first; children oldest first, as they were made."""
    from resumectl.publishing.store import workflows

    below: dict[str, list[WorkflowSeen]] = {}
    level = list(roots)
    while level:
        children = workflows.list_workflows(connection, parents=[each.id for each in level])
        for child in sorted(children, key=lambda w: (w.created_at_ms, natural_key(w.id))):
            below.setdefault(str(child.parent), []).append(child)
        level = children
    found: list[WorkflowSeen] = []
    depths: list[int] = []
    stack = [(root, 0) for root in reversed(roots)]
    while stack:
        workflow, depth = stack.pop()
        found.append(workflow)
        depths.append(depth)
        stack.extend((child, depth + 1) for child in reversed(below.get(workflow.id, [])))
    return found, depths


_SPAN = re.compile(r"([0-9]{1,6})\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _since_ms(text: str) -> int:
    """A span before now, or a date, as Unix milliseconds."""
    span = _SPAN.fullmatch(text.strip())
    if span:
        return int((time.time() - int(span[1]) * _SECONDS[span[2]]) * 1000)
    try:
        return int(datetime.fromisoformat(text.strip()).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Refusal(
            f"{text!r} is neither a span of time nor a date",
            next_step="as in  --since 10m  or  --since 2026-01-31T12:00",
        ) from None


def steps(common: Common, workflow_id: WorkflowId) -> ExitCode:
    """Show the steps of a workflow and which process ran them."""
    from resumectl.publishing.store import records, workflows
    from resumectl.report import console, machine
    from resumectl.report import publishing as tables

    with reading(common) as view:
        workflow = _existing(common, view, workflow_id)
        assert view is not None
        processes = records.read_processes(view)
        found = workflows.list_steps(view.connection, workflow_id, processes)
    if common.as_json:
        machine.show(
            {
                "workflow": machine.workflow_document(workflow),
                "steps": [machine.step_document(each) for each in found],
            }
        )
        return ExitCode.DONE
    concerned = {process for step in found for process in step.processes}
    console.show(
        tables.steps_sheet(workflow, found),
        tables.processes_sheet([x for x in processes if x.id in concerned], title="Processes"),
    )
    return ExitCode.DONE


def cancel(common: Common, workflow_id: WorkflowId) -> ExitCode:
    """Cancel a workflow and its children.

    A step in progress runs to its end.
    """
    from resumectl.publishing import remote
    from resumectl.statuses import ENDED

    before = _look_up_own(common, workflow_id)
    if before.status in ENDED:
        if not before.unfinished_children:
            raise Refusal(
                f"{workflow_id} has ended: {before.status}",
                next_step=f"resumectl steps {workflow_id}",
            )
        common.say(f"{workflow_id} has ended: {before.status}; what it has started is cancelled")
    remote.cancel(common.settings(), workflow_id)
    return _show_one(common, workflow_id, f"resumectl resume {workflow_id}  takes it up")


def fork(
    common: Common,
    workflow_id: WorkflowId,
    from_step: Annotated[
        int,
        option(
            group=COMMAND,
            metavar="N",
            help="First step to run again, from 1.",
            show_default=False,
        ),
    ],
) -> ExitCode:
    """Start a workflow again from one of its steps.

    The new workflow keeps what the old one recorded before that step.
    """
    from resumectl.publishing import remote

    original = _look_up_own(common, workflow_id)
    if original.is_of_a_sweep:
        raise Refusal(f"{workflow_id} is of a sweep", next_step="resumectl sweep  begins another")
    if not 1 <= from_step <= original.steps + 1:
        raise Refusal(
            f"{workflow_id} has {counted(original.steps, 'step')}: it cannot begin at step {from_step}",
            next_step=f"resumectl steps {workflow_id}",
        )
    fork_id = _free_fork_id(common, workflow_id)
    remote.fork(common.settings(), workflow_id, from_step=from_step, fork_id=fork_id)
    return _show_one(common, fork_id, "resumectl resume  (or a worker) executes it")


def _free_fork_id(common: Common, workflow_id: str) -> str:
    number = 1
    while _find(common, f"{workflow_id}.fork{number}") is not None:
        number += 1
    return f"{workflow_id}.fork{number}"


def _find(common: Common, workflow_id: str) -> "WorkflowSeen | None":
    try:
        return _look_up(common, workflow_id)
    except Refusal:
        return None


def _look_up(common: Common, workflow_id: str) -> "WorkflowSeen":
    with reading(common) as view:
        return _existing(common, view, workflow_id)


def _look_up_own(common: Common, workflow_id: str) -> "WorkflowSeen":
    """Look a workflow up that is to be changed, where no other application is at work."""
    from resumectl.publishing.store.ownership import refuse_other_applications

    with reading(common) as view:
        found = _existing(common, view, workflow_id)
        assert view is not None
        refuse_other_applications(view.connection, common.settings(), is_first_use=False)
    return found


def _existing(common: Common, view: "View | None", workflow_id: str) -> "WorkflowSeen":
    from resumectl.publishing.store import workflows
    from resumectl.publishing.store.dbos_tables import has_dbos_tables

    if view is not None and has_dbos_tables(view.connection, common.settings()):
        found = workflows.list_workflows(view.connection, workflow_ids=[workflow_id])
        if found:
            return found[0]
    raise Refusal(f"there is no workflow {workflow_id}", next_step="resumectl list-workflows")


def _show_one(common: Common, workflow_id: str, next_step: str) -> ExitCode:
    from resumectl.report import console, machine
    from resumectl.report import publishing as tables

    workflow = _look_up(common, workflow_id)
    if common.as_json:
        machine.show({"workflows": [machine.workflow_document(workflow)]})
    else:
        console.show(tables.workflows_sheet([workflow], depths=[0]))
    common.say_next(next_step)
    return ExitCode.DONE


@contextmanager
def reading(common: Common) -> "Iterator[View | None]":
    """The database at one moment; None where nothing has been written yet.

    Looking creates no database, and changes none.
    """
    from resumectl.database import failures_explained, open_engine
    from resumectl.publishing.store.migration import is_readable
    from resumectl.publishing.store.view import viewing

    settings = common.settings()
    common.start_logging()
    if settings.is_sqlite and not settings.sqlite_path.exists():
        yield None
        return
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            with engine.connect() as connection:
                is_there = is_readable(connection)
            if not is_there:
                yield None
                return
            with viewing(settings, engine) as view:
                yield view
    finally:
        engine.dispose()
