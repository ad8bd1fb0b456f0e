"""Where a trial had taken another course before anything in it died: chance, not the crash. Pure."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from resumectl.judge.baseline import MISSING, Baseline
from resumectl.judge.trial_view import Field, fields_of
from resumectl.judge.workflow_aliases import is_alias
from resumectl.model.observation import Observation

_RECORDED = ("name", "output", "error")


def another_course(trial: Observation, baseline: Baseline) -> tuple[str, ...]:
    """What the first life had recorded otherwise than every uninterrupted run when it died.

    Up to the blow that life is an uninterrupted run itself. A step that answers something else
    one time in a hundred can be in it, and in none of the others.

    Args:
        trial: Lives, of which the first one died.
        baseline: What an uninterrupted run records.

    Returns:
        Of each workflow the first that differs, for people.
    """
    # An alias names who began a workflow, which may not be recorded yet.
    known = {key.workflow for key in baseline.fields if not is_alias(key.workflow)}
    first: dict[str, Field] = {}
    for key, value in _recorded(trial).items():
        is_compared = key.workflow in known and key not in baseline.masked
        usual = baseline.fields.get(key, (MISSING,))
        if is_compared and not baseline.is_open(key) and value not in usual:
            earliest = first.setdefault(key.workflow, key)
            first[key.workflow] = min(key, earliest, key=lambda each: each.number)
    return tuple(sorted(map(str, first.values())))


def _recorded(trial: Observation) -> Mapping[Field, Any]:
    found = fields_of(replace(trial, lives=trial.lives[:1]))
    return {k: value for k, value in found.items() if k.kind == "step" and k.what in _RECORDED}
