"""Workflows whose ids differ from run to run, under names that do not. Pure.

A child started under an id made by chance has another one in each run; it is told by its
name, its parent and the step that started it, as in `~child of parent-1 by step 3`.
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from resumectl.judge.serialized_values import readable
from resumectl.model.crash_plan import spelled, subject_of
from resumectl.model.observation import Observation


def stable_ids(runs: Sequence[Observation]) -> set[str]:
    """The ids of workflows that every run has, those included that are deleted in the end."""
    return set.intersection(*map(_ids, runs))


def _ids(run: Observation) -> set[str]:
    left = {str(w["id"]) for w in run.final.left["workflows"]}
    commits = (e for life in run.lives for e in life.events if e["kind"] == "commit")
    return left | {subject_of(name) for commit in commits for name, _ in commit["facts"]}


def aliased(run: Observation, stable: set[str]) -> Observation:
    """The same observation, with every other workflow under its alias."""
    aliases = _aliases(run, stable)
    if not aliases:
        return run
    say = _Saying(aliases)
    plain = run.as_plain()
    for life in plain["lives"]:
        life["left"] = {kind: _read(rows, say) for kind, rows in life["left"].items()}
        life["events"] = [
            {k: v if k in _NO_IDS else _said(v, say) for k, v in event.items()}
            for event in life["events"]
        ]
    return Observation.from_plain(plain)


# What is told of an event in the lab's own words.
_NO_IDS = frozenset({"kind", "at_us", "promises", "app_version", "digest", "step", "name"})
# An id so long is found wherever it stands, as in `receipt_0b0f…`; a shorter one, which may be
# a part of anything, only where it stands by itself.
_LONG = 16


class _Saying:
    """Says a text with aliases in the place of ids; as they are, and as plans and URLs have them."""

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._alias_of: dict[str, str] = {}
        for workflow_id, alias in aliases.items():
            in_a_plan = spelled(workflow_id)
            self._alias_of |= dict.fromkeys((workflow_id, in_a_plan, quote(workflow_id)), alias)
        # The longest first: one id may be the beginning of another, as a parent's of its child's.
        forms = sorted(self._alias_of, key=len, reverse=True)
        self._pattern = re.compile(
            "|".join(
                re.escape(form) if len(form) >= _LONG else rf"(?<![\w-]){re.escape(form)}(?![\w-])"
                for form in forms
            )
        )

    def __call__(self, text: str) -> str:
        return self._pattern.sub(lambda match: self._alias_of[match[0]], text)


def _said(value: Any, say: _Saying) -> Any:
    if isinstance(value, str):
        return say(value)
    if isinstance(value, dict):
        return {say(key): _said(inner, say) for key, inner in value.items()}
    return [_said(each, say) for each in value] if isinstance(value, list) else value


def _read(rows: Iterable[dict[str, Any]], say: _Saying) -> list[dict[str, Any]]:
    """The same rows, with a stored value as text where an id stands in it."""
    found = []
    for row in rows:
        stored = {key: row[key] for key in _STORED if row.get(key) is not None}
        read = {key: readable(each, say) for key, each in stored.items()}
        found.append(
            {key: each if key in stored else _said(each, say) for key, each in row.items()}
            | {key: text for key, text in read.items() if text != readable(stored[key])}
        )
    return found


_STORED = ("input", "output", "error", "value")


def is_alias(subject: str) -> bool:
    """Whether a workflow, or a transition of it, goes by an alias."""
    return subject.startswith("~")


def started_at_import(run: Observation) -> set[str]:
    """Return the workflows that the import of the program started, in all processes."""
    events = (life.last("imported") or {"started": ()} for life in run.lives)
    return {workflow_id for event in events for workflow_id, _ in event["started"]}


def has_parent(alias: str) -> bool:
    """Whether a workflow, or one further up, was started by one whose id does not vary."""
    return not any(f" of {each} " in alias for each in (_CLIENT, _SCHEDULE))


def is_scheduled(subject: str) -> bool:
    """Return whether a schedule of DBOS started a workflow, or one above it."""
    return f" of {_SCHEDULE} " in subject


_CLIENT, _SCHEDULE = "the client", "the schedule"
_SCHEDULED_PREFIX = "sched-"  # of the ids that DBOS 3.4.0 makes (_scheduler.py)


def _aliases(run: Observation, stable: set[str]) -> dict[str, str]:
    found: dict[str, str] = {}
    turns: Counter[str] = Counter()
    seen: dict[str, dict[str, Any]] = {}
    started_by: dict[str, int] = {}  # child to the number of its parent's step
    for life in run.lives:
        for workflow in life.left["workflows"]:
            seen.setdefault(workflow["id"], workflow)
        for step in life.left["steps"]:
            # The parent's later steps, which await it, name the child as well.
            if step["child"]:
                started_by.setdefault(step["child"], step["number"])

    def alias_of(workflow_id: str) -> str:
        """The alias of one that has none yet; its parent's comes first."""
        if workflow_id in stable or workflow_id not in seen:
            return workflow_id
        if workflow_id not in found:
            workflow = seen[workflow_id]
            parent = workflow["parent"]
            starter = _SCHEDULE if workflow_id.startswith(_SCHEDULED_PREFIX) else _CLIENT
            whose = f"~{workflow['name']} of {alias_of(parent) if parent else starter}"
            if workflow_id in started_by:
                found[workflow_id] = f"{whose} by step {started_by[workflow_id]}"
            else:
                turns[whose] += 1
                found[workflow_id] = f"{whose} no. {turns[whose]}"
        return found[workflow_id]

    for workflow_id in seen:
        alias_of(workflow_id)
    return found
