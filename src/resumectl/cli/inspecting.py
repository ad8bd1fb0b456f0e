"""Declare the commands that inspect and change workflows: state, list-workflows, steps, cancel, fork.

Only cancel and fork load dbos.
"""

from typing import TYPE_CHECKING, Annotated

import typer

from resumectl.cli.common import Common, command
from resumectl.cli.help import COMMAND, FILTERS, INSPECT, option
from resumectl.cli.list_options import FilterOptions, PageOptions
from resumectl.cli.reading import reading
from resumectl.errors import ExitCode, Refusal
from resumectl.text import counted

if TYPE_CHECKING:
    from resumectl.publishing.store.view import View
    from resumectl.publishing.store.workflows import WorkflowSeen

WorkflowId = Annotated[
    str,
    typer.Argument(metavar="WORKFLOW_ID", help="Id of the workflow, as list-workflows shows it."),
]


def add_to(app: typer.Typer) -> None:
    """Add these commands to the program."""
    command(app, "state", state, group=INSPECT, example=("state", "state --check --json"))
    command(
        app, "list-workflows", list_workflows, group=INSPECT,
        example=("list-workflows --limit 10", "list-workflows --tree --status SUCCESS --since 1h"),
    )  # fmt: skip
    command(app, "steps", steps, group=INSPECT, example=("steps alpha-1",))
    command(app, "watch", watch, group=INSPECT, example=("watch", "watch --once --json"))
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
    from resumectl.report import console, json_documents
    from resumectl.report import publisher_tables as tables

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
        raise Refusal(
            f"there is no publisher {name}", next_step="resumectl state  shows all publishers"
        )
    if common.as_json:
        json_documents.show(
            {
                **json_documents.state_document(found),
                "next_steps": [*map(common.retyped, next_steps)],
            }
        )
    else:
        console.show(*tables.state_view(found))
        if not found.publishers:
            common.say_next("resumectl publish --name alpha --count 20")
        for step in next_steps:
            common.say_next(step)
    broken = any(broken_promises(batch) for batch in found.batches)
    return ExitCode.PROMISE_BROKEN if check and broken else ExitCode.DONE


def watch(
    common: Common,
    once: Annotated[bool, option("--once", group=COMMAND, help="Print one frame and end.")] = False,
    every: Annotated[
        float,
        option(group=COMMAND, metavar="SECONDS", help="Time between two frames, in seconds."),
    ] = 1.0,
) -> ExitCode:
    """Show what processes are doing, until Ctrl-C.

    Shows processes, batches, queues, sweeps and the newest deliveries of a database to which any process
    writes.
    """
    if not 0.1 <= every <= 3600:
        raise Refusal(f"--every {every} is not 0.1 to 3600", next_step="as in  --every 2")
    from resumectl.cli.flows import live as flow

    return flow.watch(common, once=once, every_s=every)


def list_workflows(common: Common, wanted: FilterOptions, page: PageOptions) -> ExitCode:
    """List workflows, newest first."""
    from resumectl.cli.flows import list_workflows as flow

    return flow.list_workflows(common, wanted, page)


def steps(common: Common, workflow_id: WorkflowId) -> ExitCode:
    """Show the steps of a workflow and which process ran them."""
    from resumectl.publishing.store import records, workflows
    from resumectl.report import console, json_documents
    from resumectl.report import publisher_tables as tables

    with reading(common) as view:
        workflow = _existing(common, view, workflow_id)
        assert view is not None
        processes = records.read_processes(view)
        found = workflows.list_steps(view.connection, workflow_id, processes)
    if common.as_json:
        json_documents.show(
            {
                "workflow": json_documents.workflow_document(workflow),
                "steps": [json_documents.step_document(each) for each in found],
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
        common.say(
            f"{workflow_id} has ended: {before.status}; its unfinished children are cancelled"
        )
    remote.cancel(common.settings(), workflow_id)
    return _show_one(common, workflow_id, f"resumectl resume {workflow_id}  resumes it")


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
        raise Refusal(
            f"{workflow_id} is the workflow of a sweep",
            next_step="resumectl sweep  starts another one",
        )
    if not 1 <= from_step <= original.steps + 1:
        raise Refusal(
            f"{workflow_id} has {counted(original.steps, 'step')}: it cannot start at step {from_step}",
            next_step=f"resumectl steps {workflow_id}",
        )
    fork_id = _free_fork_id(common, workflow_id)
    remote.fork(common.settings(), workflow_id, from_step=from_step, fork_id=fork_id)
    return _show_one(common, fork_id, "resumectl resume  (or a worker) runs it")


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
    """Look up a workflow to change; refuse a database that another application uses."""
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
        found = workflows.list_workflows(
            view.connection, workflows.WorkflowFilter(workflow_ids=[workflow_id])
        )
        if found:
            return found[0]
    raise Refusal(f"there is no workflow {workflow_id}", next_step="resumectl list-workflows")


def _show_one(common: Common, workflow_id: str, next_step: str) -> ExitCode:
    from resumectl.report import console, json_documents
    from resumectl.report import publisher_tables as tables

    workflow = _look_up(common, workflow_id)
    if common.as_json:
        json_documents.show({"workflows": [json_documents.workflow_document(workflow)]})
    else:
        console.show(tables.workflows_sheet([workflow], depths=[0]))
    common.say_next(next_step)
    return ExitCode.DONE
