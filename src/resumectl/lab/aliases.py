"""Workflows whose ids differ from run to run, under names that do not. Pure.

A child started under an id made by chance has another one in each run; it is told by its
name, its parent and the step that started it, as in `~child of parent-1 by step 3`.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from resumectl.lab.evidence_text import readable
from resumectl.lab.plan import named, subject_of
from resumectl.lab.trial import Observation


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
    plain = run.as_plain()
    for life in plain["lives"]:
        life["left"] = {kind: _read(rows, aliases) for kind, rows in life["left"].items()}
    # Ids are found in values of every shape; as text all of them are found alike.
    text = json.dumps(plain)
    for workflow_id, alias in aliases.items():
        for form in (workflow_id, named(workflow_id, "").removesuffix("/"), quote(workflow_id)):
            text = text.replace(json.dumps(form)[1:-1], json.dumps(alias)[1:-1])
    return Observation.from_plain(json.loads(text))


def _read(rows: Iterable[dict[str, Any]], aliases: Mapping[str, str]) -> list[dict[str, Any]]:
    """The same rows, with a stored value as text where an id stands in it."""

    def say(text: str) -> str:
        for workflow_id, alias in aliases.items():
            text = text.replace(workflow_id, alias)
        return text

    found = []
    for row in rows:
        said = {key: readable(row[key], say) for key in _VALUES if row.get(key) is not None}
        found.append(row | {key: text for key, text in said.items() if text != readable(row[key])})
    return found


_VALUES = ("input", "output", "error")


def is_alias(subject: str) -> bool:
    """Whether a workflow, or a transition of it, goes by an alias."""
    return subject.startswith("~")


def has_parent(alias: str) -> bool:
    """Whether a workflow, or one further up, was started by one whose id does not vary."""
    return f" of {_NOBODY} " not in alias


_NOBODY = "nobody"


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
    for workflow_id, workflow in seen.items():
        if workflow_id in stable:
            continue
        parent = workflow["parent"]
        whose = f"~{workflow['name']} of {found.get(parent, parent) or _NOBODY}"
        if workflow_id in started_by:
            found[workflow_id] = f"{whose} by step {started_by[workflow_id]}"
        else:
            turns[whose] += 1
            found[workflow_id] = f"{whose} no. {turns[whose]}"
    # The longest first: one id may be the beginning of another, as a parent's of its child's.
    return dict(sorted(found.items(), key=lambda pair: -len(pair[0])))
