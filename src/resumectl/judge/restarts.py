"""Find the workflows that the import of the program starts again in each process.

The import is then the client, and it retries in each process. If it sets no workflow id, it starts one
more workflow each time. This is the program's behaviour, and no finding about the first workflow.
"""

from collections.abc import Collection

from resumectl.judge.workflow_aliases import is_alias
from resumectl.model.events import TargetImported
from resumectl.model.observation import Observation


def started_once_more(trial: Observation, known: Collection[str]) -> set[str]:
    """Return the workflows that an import started in addition to those of an uninterrupted run.

    Args:
        trial: Trial with aliases for the workflows whose ids vary.
        known: Ids of the workflows of an uninterrupted run.

    Returns:
        Their ids, and those of all workflows below them.
    """
    found = {
        workflow.id
        for process in trial.processes[1:]
        for event in process.all(TargetImported)
        for workflow in event.started
        if is_alias(workflow.id) and workflow.id not in known
    }
    rows = [row for process in trial.processes for row in process.snapshot.workflows]
    while below := {row.id for row in rows if row.parent in found} - found:
        found |= below
    return found
