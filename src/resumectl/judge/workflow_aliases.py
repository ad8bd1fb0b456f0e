"""Give stable aliases to workflows whose ids differ between runs.

A child with a random id has another id in each run. Its alias contains its name, its parent and the step
that started it, such as `~child of parent-1 by step 3`.
"""

import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from resumectl.judge.serialized_values import readable
from resumectl.model.crash_plan import encoded, subject_of
from resumectl.model.events import (
    Committed,
    EffectHappened,
    Launched,
    LaunchStarted,
    StartedWorkflow,
    StepEnded,
    StepReplayed,
    StepStarted,
    TargetImported,
)
from resumectl.model.map_texts import map_texts
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.snapshot import KeyedValueRow, Snapshot, StepRow, WorkflowRow

_CLIENT, _SCHEDULE = "the client", "the schedule"
_SCHEDULED_PREFIX = "sched-"  # prefix of the ids that DBOS 3.4.0 makes (_scheduler.py)
# Minimum length of an id that is replaced anywhere, such as in `receipt_0b0f…`. A shorter id, which
# may be a part of other words, is replaced only as a whole word.
_LONG = 16
# Fields that cannot contain a workflow id.
_WITHOUT_IDS: Mapping[type, frozenset[str]] = {
    LaunchStarted: frozenset({"promises", "digest"}),
    Launched: frozenset({"app_version"}),
    StepStarted: frozenset({"step"}),
    StepEnded: frozenset({"step"}),
    StepReplayed: frozenset({"step"}),
    EffectHappened: frozenset({"name"}),
    StartedWorkflow: frozenset({"name"}),
    WorkflowRow: frozenset({"name"}),
    StepRow: frozenset({"name"}),
}
_SERIALIZED: Mapping[type, frozenset[str]] = {
    WorkflowRow: frozenset({"input", "output", "error"}),
    StepRow: frozenset({"output", "error"}),
    KeyedValueRow: frozenset({"value"}),
}
V = TypeVar("V")


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
    aliases = _aliases(run, stable)
    if not aliases:
        return run
    renamer = _Renamer(aliases)
    processes = tuple(
        replace(
            process,
            events=tuple(map(renamer.renamed, process.events)),
            snapshot=_renamed_snapshot(process.snapshot, renamer),
        )
        for process in run.processes
    )
    return replace(run, processes=processes)


def _renamed_snapshot(snapshot: Snapshot, renamer: "_Renamer") -> Snapshot:
    return Snapshot(
        workflows=tuple(map(renamer.renamed, snapshot.workflows)),
        steps=tuple(map(renamer.renamed, snapshot.steps)),
        event=tuple(map(renamer.renamed, snapshot.event)),
        stream=tuple(map(renamer.renamed, snapshot.stream)),
        inbox=tuple(map(renamer.renamed, snapshot.inbox)),
    )


class _Renamer:
    """Replaces ids by aliases, also in the encodings of plans and URLs."""

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._alias_of: dict[str, str] = {}
        for workflow_id, alias in aliases.items():
            forms = (workflow_id, encoded(workflow_id), quote(workflow_id))
            self._alias_of |= dict.fromkeys(forms, alias)
        # The longest first: one id may be a prefix of another, such as a parent's of its child's.
        longest_first = sorted(self._alias_of, key=len, reverse=True)
        self._pattern = re.compile(
            "|".join(
                re.escape(form) if len(form) >= _LONG else rf"(?<![\w-]){re.escape(form)}(?![\w-])"
                for form in longest_first
            )
        )

    def text(self, text: str) -> str:
        """Replace the ids in a text by aliases."""
        return self._pattern.sub(lambda match: self._alias_of[match[0]], text)

    def renamed(self, value: V) -> V:
        """Replace the ids in an event or a row by aliases."""
        return map_texts(value, self.text, self._override)

    def _override(self, kind: type, name: str) -> Callable[[object], object] | None:
        if name in _WITHOUT_IDS.get(kind, ()):
            return _unchanged
        return self._serialized if name in _SERIALIZED.get(kind, ()) else None

    def _serialized(self, stored: object) -> object:
        """Return a stored value as text if it contains an id, and unchanged otherwise."""
        if not isinstance(stored, str):
            return stored  # None: there is no value
        text = readable(stored, self.text)
        return text if text != readable(stored) else stored


def _unchanged(value: object) -> object:
    return value


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
            starter = _SCHEDULE if workflow_id.startswith(_SCHEDULED_PREFIX) else _CLIENT
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
