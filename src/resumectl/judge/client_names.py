"""Name the workflows that the client of a trial starts without an id, in all of its records."""

from collections.abc import Sequence

from resumectl.judge.renaming import renamed
from resumectl.model.events import ClientStarted
from resumectl.model.observation import Observation
from resumectl.model.workflow_names import WorkflowNamer, WorkflowNames, ancestors_of


def names_of(runs: Sequence[Observation]) -> WorkflowNames:
    """Return the names of the workflows that the client starts without an id.

    Args:
        runs: The first uninterrupted run of each program; the names of the first program count.
    """
    starts: dict[str, tuple[str, ...]] = {}
    for run in reversed(runs):
        starts |= WorkflowNames.of(run.all(ClientStarted)).starts
    return WorkflowNames(starts)


def named(run: Observation, names: WorkflowNames) -> Observation:
    """Return a run with names in place of the ids of workflows that the client started without an id.

    Args:
        run: Observation of the run.
        names: Names of the first run.
    """
    return renamed(run, WorkflowNamer(names, run.all(ClientStarted)).names)


def named_workflows(run: Observation) -> set[str]:
    """Return the workflows that have such names, and those whose ids are derived from one.

    Args:
        run: Observation of the run, with names.
    """
    names = {start.workflow for start in run.all(ClientStarted) if start.is_id_generated}
    rows = {row.id for process in run.processes for row in process.snapshot.workflows}
    return names | {each for each in rows if names.intersection(ancestors_of(each))}
