"""Replace the ids of workflows in an observation by names, wherever they occur."""

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TypeVar
from urllib.parse import quote

from resumectl.model.crash_plan import encoded
from resumectl.model.events import (
    EffectHappened,
    Launched,
    LaunchStarted,
    StartedWorkflow,
    StepEnded,
    StepReplayed,
    StepStarted,
)
from resumectl.model.map_texts import map_texts
from resumectl.model.observation import Observation
from resumectl.model.serialized_values import readable
from resumectl.model.snapshot import KeyedValueRow, Snapshot, StepRow, WorkflowRow

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


def renamed(run: Observation, names: Mapping[str, str]) -> Observation:
    """Return an observation with names in place of ids.

    Args:
        run: Observation of a run.
        names: Name of each workflow that gets another name, by its id.
    """
    if not names:
        return run
    renamer = _Renamer(names)
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
    """Replaces ids by names, also in the encodings of plans and URLs."""

    def __init__(self, names: Mapping[str, str]) -> None:
        self._name_of: dict[str, str] = {}
        for workflow_id, name in names.items():
            forms = (workflow_id, encoded(workflow_id), quote(workflow_id))
            self._name_of |= dict.fromkeys(forms, name)
        # The longest first: one id may be a prefix of another, such as a parent's of its child's.
        longest_first = sorted(self._name_of, key=len, reverse=True)
        self._pattern = re.compile(
            "|".join(
                re.escape(form) if len(form) >= _LONG else rf"(?<![\w-]){re.escape(form)}(?![\w-])"
                for form in longest_first
            )
        )

    def text(self, text: str) -> str:
        """Replace the ids in a text by names."""
        return self._pattern.sub(lambda match: self._name_of[match[0]], text)

    def renamed(self, value: V) -> V:
        """Replace the ids in an event or a row by names."""
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
