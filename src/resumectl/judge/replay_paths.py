"""Follow the path of a workflow through its steps, and find where the paths of two runs part.

DBOS replays a workflow by calling its body again and answering from the records. That works only if
the same records lead to the same next step in every process. If two runs with the same records part, a
recovery may take another path than the killed process.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from resumectl.model.events import StepReplayed, StepStarted
from resumectl.model.observation import ProcessRecord
from resumectl.model.serialized_values import readable
from resumectl.model.snapshot import StepRow
from resumectl.statuses import SUCCESS

# Recorded only if it really waited (DBOS 3.4.0, also in `recv` and `get_event`). The body does not see
# its result, the time of waking.
_SLEEP = "DBOS.sleep"
_MADE_BY_DBOS = "_dbos_"  # name prefix of DBOS's own workflows, such as the debouncer's


@dataclass(frozen=True, slots=True)
class PathStep:
    """One step of a path: its name and its result."""

    name: str
    output: str
    error: str
    child: str


@dataclass(frozen=True, slots=True)
class Path:
    """Path of a workflow: its input, its steps with their results, and its end.

    Attributes:
        given: Name of the workflow, and its input.
        steps: Its steps, by number.
        has_succeeded: Whether the workflow succeeded.
    """

    given: tuple[str, str]
    steps: Mapping[int, PathStep]
    has_succeeded: bool


@dataclass(frozen=True, slots=True)
class Divergence:
    """Point where two runs continued differently, although all steps before it returned the same.

    Attributes:
        number: Number of the step.
        here: Name of the step in this run; empty if the workflow ended.
        there: Name of the step in the other run; empty if the workflow ended.
    """

    number: int
    here: str
    there: str


def paths_of(process: ProcessRecord) -> dict[str, Path]:
    """Return the path of each workflow, by its id, at the end of a process."""
    steps: defaultdict[str, dict[int, PathStep]] = defaultdict(dict)
    for row in process.snapshot.steps:
        steps[row.workflow][row.number] = PathStep(
            row.name, readable(row.output), readable(row.error), row.child or ""
        )
    return {
        row.id: Path((row.name, readable(row.input)), steps[row.id], row.status == SUCCESS)
        for row in process.snapshot.workflows
        if not row.name.startswith(_MADE_BY_DBOS)
    }


def parting(here: Path, there: Path) -> Divergence | None:
    """Return the first point where two equal paths part; None if there is none.

    The comparison ends at a different result, because the next step may depend on it, and at a number
    without a record, because the step there is not known.
    """
    if here.given != there.given:
        return None
    number = 1
    while True:
        step_here, step_there = here.steps.get(number), there.steps.get(number)
        names = (step_here.name if step_here else "", step_there.name if step_there else "")
        if names[0] != names[1]:
            is_known = _is_known(here, number) and _is_known(there, number)
            return Divergence(number, *names) if is_known and _SLEEP not in names else None
        if (
            step_here is None
            or step_there is None
            or (step_here != step_there and step_here.name != _SLEEP)
        ):
            return None
        number += 1


def _is_known(path: Path, number: int) -> bool:
    """Return whether it is known what the workflow did at this number: a step or its end."""
    return number in path.steps or (path.has_succeeded and max(path.steps, default=0) < number)


def never_called(processes: Sequence[ProcessRecord]) -> Iterator[StepRow]:
    """Yield the steps that were recorded at a crash and that no later process called again.

    Args:
        processes: Processes of one trial.
    """
    ended = _succeeded(processes[-1])
    for before, process in enumerate(processes[:-1]):
        called = set().union(*map(_called, processes[before + 1 :]))
        resumed = ended - _succeeded(process)
        there = {row.id for row in process.snapshot.workflows}
        for step in process.snapshot.steps:
            # DBOS calls its own steps, such as the sleep inside a wait, only when they are needed.
            is_own = step.name.startswith("DBOS.")
            is_resumed = step.workflow in resumed & there
            if is_resumed and (step.workflow, step.number) not in called and not is_own:
                yield step


def _called(process: ProcessRecord) -> set[tuple[str | None, int | None]]:
    calls = (e for e in process.events if isinstance(e, StepReplayed | StepStarted))
    return {(event.site.workflow, event.site.step_number) for event in calls}


def _succeeded(process: ProcessRecord) -> set[str]:
    return {row.id for row in process.snapshot.workflows if row.status == SUCCESS}


def first_parting(path: Path, others: Sequence[Path]) -> Divergence | None:
    """Return the first parting of a path from one of the others; None if it parts from none."""
    return next((found for other in others if (found := parting(path, other))), None)


def distinct(runs: Sequence[Mapping[str, Path]]) -> dict[str, list[Path]]:
    """Return the different paths that each workflow took in several runs, by workflow."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for run in runs:
        for workflow_id, path in run.items():
            if path not in found[workflow_id]:
                found[workflow_id].append(path)
    return dict(found)
