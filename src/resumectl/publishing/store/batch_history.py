"""Read the history of one batch: its workflows, their steps, its deliveries, and the processes that ran them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resumectl.publishing.store import records, workflows
from resumectl.publishing.store.dbos_tables import has_dbos_tables
from resumectl.publishing.store.records import ProcessSeen
from resumectl.publishing.store.state import State
from resumectl.publishing.store.view import View
from resumectl.publishing.store.workflows import StepSeen, WorkflowFilter, WorkflowSeen
from resumectl.settings import Settings
from resumectl.text import natural_key

_WORKFLOWS_MAX = 40


@dataclass(frozen=True, slots=True)
class BatchHistory:
    """The history of one batch.

    Attributes:
        state: State of its publisher, with this batch only.
        workflows: Its own workflow, then those of its messages; repeated deliveries first.
        other_workflows: Number of workflows that are left out.
        steps: Recorded steps, by workflow.
        deliveries: Process and time of each delivery, by workflow; times in milliseconds since the epoch.
        processes: Processes that ran a step of it, or delivered a message.
    """

    state: State
    workflows: Sequence[WorkflowSeen]
    other_workflows: int
    steps: Mapping[str, Sequence[StepSeen]]
    deliveries: Mapping[str, Sequence[tuple[int, int]]]
    processes: Sequence[ProcessSeen]


def read_history(view: View, settings: Settings, batch_id: str) -> BatchHistory | None:
    """Return the history of a batch; None if there is no such batch.

    Args:
        view: View of a database with resumectl's tables.
        settings: Settings that name the database.
        batch_id: Id of the batch.
    """
    state = records.read_state(view, settings, batch_ids=[batch_id])
    if not state.publishers:
        return None
    connection = view.connection
    every = records.read_processes(view)
    found: list[WorkflowSeen] = []
    if has_dbos_tables(connection, settings):
        own = WorkflowFilter(workflow_ids=[batch_id])
        children = WorkflowFilter(parents=[batch_id])
        found = [
            *workflows.list_workflows(connection, own),
            *workflows.list_workflows(connection, children),
        ]
    delivered = records.deliveries_of_batch(connection, batch_id)
    found.sort(
        key=lambda w: (w.id != batch_id, len(delivered.get(w.id, ())) < 2, natural_key(w.id))
    )
    kept = found[:_WORKFLOWS_MAX]
    steps = {each.id: workflows.list_steps(connection, each.id, every) for each in kept}
    concerned = {process for each in delivered.values() for process, _ in each}
    concerned |= {p for each in steps.values() for step in each for p in step.processes}
    return BatchHistory(
        state=state,
        workflows=kept,
        other_workflows=len(found) - len(kept),
        steps=steps,
        deliveries={each.id: delivered.get(each.id, []) for each in kept},
        processes=[each for each in every if each.id in concerned],
    )
