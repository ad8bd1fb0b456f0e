"""Give stable aliases to workflows whose ids differ between runs.

A child with a random id has another id in each run. Its alias contains its name, its parent and the step
that started it, such as `~child of parent-1 by step 3`.
"""

from collections import Counter
from collections.abc import Sequence

from resumectl.judge.renaming import renamed
from resumectl.model.crash_plan import SCHEDULED_PREFIX, subject_of
from resumectl.model.events import Committed, TargetImported
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.snapshot import WorkflowRow

_CLIENT, _SCHEDULE = "the client", "the schedule"


def is_alias(subject: str) -> bool:
    """Return whether the name of a workflow or transition is an alias."""
    return subject.startswith("~")


def has_parent(alias: str) -> bool:
    """Return whether a workflow, or an ancestor of it, was started by a workflow with a stable id."""
    return not any(f" of {each} " in alias for each in (_CLIENT, _SCHEDULE))


def is_scheduled(subject: str) -> bool:
    """Return whether a schedule of DBOS started a workflow or an ancestor of it."""
    return f" of {_SCHEDULE} " in subject


def started_at_import(run: Observation) -> set[str]:
    """Return the workflows that the import of the program started, in all processes."""
    return {each.id for event in run.all(TargetImported) for each in event.started}


def stable_ids(runs: Sequence[Observation]) -> set[str]:
    """Return the ids of the workflows that every run has, including deleted ones."""
    return set.intersection(*map(_ids, runs))


def _ids(run: Observation) -> set[str]:
    left = {row.id for row in run.final.snapshot.workflows}
    committed = (fact.name for event in run.all(Committed) for fact in event.facts)
    return left | set(map(subject_of, committed))


def aliased(run: Observation, stable: set[str]) -> Observation:
    """Return an observation with aliases for all workflows that have no stable id.

    Args:
        run: Observation of a run.
        stable: Ids of the workflows that keep their ids.
    """
    return renamed(run, _aliases(run, stable))


def _aliases(run: Observation, stable: set[str]) -> dict[str, str]:
    """Return the aliases of all workflows that are not stable, by id."""
    rows: dict[str, WorkflowRow] = {}
    started_by: dict[str, int] = {}  # child to the number of the parent's step that started it
    for process in run.processes:
        for row in process.snapshot.workflows:
            rows.setdefault(row.id, row)
        _note_starts(process, started_by)
    found: dict[str, str] = {}
    counts: Counter[str] = Counter()

    def alias_of(workflow_id: str) -> str:
        """Return the alias of a workflow, after making that of its parent."""
        if workflow_id in stable or workflow_id not in rows:
            return workflow_id
        if workflow_id not in found:
            row = rows[workflow_id]
            starter = _SCHEDULE if workflow_id.startswith(SCHEDULED_PREFIX) else _CLIENT
            whose = f"~{row.name} of {alias_of(row.parent) if row.parent else starter}"
            if workflow_id in started_by:
                found[workflow_id] = f"{whose} by step {started_by[workflow_id]}"
            else:
                counts[whose] += 1
                found[workflow_id] = f"{whose} no. {counts[whose]}"
        return found[workflow_id]

    for workflow_id in rows:
        alias_of(workflow_id)
    return found


def _note_starts(process: ProcessRecord, started_by: dict[str, int]) -> None:
    for step in process.snapshot.steps:
        # Later steps of the parent that await the child name it too, so only the first counts.
        if step.child:
            started_by.setdefault(step.child, step.number)
