"""The path of a workflow through its steps, and where two runs of it part. Pure.

DBOS replays a workflow by calling its body again and answering from the records. That works
only if the same records lead to the same next step, in every process: where two runs part
although their records were the same, a recovery may take another path than the life that died.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from resumectl.judge.serialized_values import readable
from resumectl.model.observation import LifeSeen

# Recorded only by a wait that lasted (DBOS 3.4.0, `recv` and `get_event` as well), with a
# result, the time of waking, that the body never sees.
_SLEEP = "DBOS.sleep"
_MADE_BY_DBOS = "_dbos_"  # workflows of its own, as the debouncer's


@dataclass(frozen=True, slots=True)
class Path:
    """What a workflow was given, what it called in turn with which result, and how it ended."""

    given: tuple[str, str]  # the workflow's name, its input
    steps: Mapping[int, tuple[str, ...]]  # by number: name, output, error, child
    has_succeeded: bool


@dataclass(frozen=True, slots=True)
class Parting:
    """Where one run went on otherwise than another, from the same records."""

    number: int  # of the step
    here: str  # the step's name; empty: the workflow ended
    there: str


def paths_of(life: LifeSeen) -> dict[str, Path]:
    """The path of each workflow by its id, as a life left it."""
    steps: defaultdict[str, dict[int, tuple[str, ...]]] = defaultdict(dict)
    for step in life.left["steps"]:
        steps[step["workflow"]][step["number"]] = (
            step["name"],
            readable(step["output"]),
            readable(step["error"]),
            step["child"] or "",
        )
    return {
        workflow["id"]: Path(
            (workflow["name"], readable(workflow["input"])),
            steps[workflow["id"]],
            workflow["status"] == "SUCCESS",
        )
        for workflow in life.left["workflows"]
        if not workflow["name"].startswith(_MADE_BY_DBOS)
    }


def parting(here: Path, there: Path) -> Parting | None:
    """The first place where two paths part that were the same until then.

    Nothing is claimed where a result differs, for the next step may depend on it; nor beyond
    a number without a record, for what was there is not known.
    """
    if here.given != there.given:
        return None
    number = 1
    while True:
        steps = [path.steps.get(number, ()) for path in (here, there)]
        names = [step[0] if step else "" for step in steps]
        if names[0] != names[1]:
            is_known = all(
                step or (path.has_succeeded and max(path.steps, default=0) < number)
                for path, step in zip((here, there), steps, strict=True)
            )
            return Parting(number, *names) if is_known and _SLEEP not in names else None
        if not all(steps) or (steps[0] != steps[1] and names[0] != _SLEEP):
            return None
        number += 1


def never_asked_for(lives: Sequence[LifeSeen]) -> Iterator[tuple[str, int, str]]:
    """Steps that were recorded at a crash, and that no later life's workflow called again.

    Yields:
        The workflow's id, the step's number, and its name.
    """
    ended = {w["id"] for w in lives[-1].left["workflows"] if w["status"] == "SUCCESS"}
    for before, life in enumerate(lives[:-1]):
        asked = {
            (event["workflow"], event["number"])
            for later in lives[before + 1 :]
            for event in later.events
            if event["kind"] in ("replayed", "ran")
        }
        unfinished = {w["id"] for w in life.left["workflows"] if w["status"] != "SUCCESS"}
        for step in life.left["steps"]:
            at = step["workflow"], step["number"]
            # DBOS's own, as the sleep within a wait, are called by what it finds when it looks.
            is_own = step["name"].startswith("DBOS.")
            if step["workflow"] in ended & unfinished and at not in asked and not is_own:
                yield *at, step["name"]


def differing(path: Path, others: Sequence[Path]) -> Parting | None:
    """Where a path parts from the first of the others that it parts from."""
    return next((found for other in others if (found := parting(path, other))), None)


def distinct(runs: Sequence[Mapping[str, Any]]) -> dict[str, list[Path]]:
    """By workflow, the different paths that it took in several runs."""
    found: defaultdict[str, list[Path]] = defaultdict(list)
    for run in runs:
        for workflow_id, path in run.items():
            if path not in found[workflow_id]:
                found[workflow_id].append(path)
    return dict(found)
