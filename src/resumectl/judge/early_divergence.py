"""Find what had diverged before the first process was killed: the crash did not cause it."""

from resumectl.judge.baseline import MISSING, Baseline
from resumectl.judge.fields import Field, FieldKind
from resumectl.judge.trial_view import TrialView
from resumectl.judge.workflow_aliases import is_alias

_RECORDED = ("name", "output", "error")


def diverged_before_crash(view: TrialView, baseline: Baseline) -> tuple[str, ...]:
    """Return the records of the first process that differ from every uninterrupted run.

    Up to the kill, that process is an uninterrupted run itself. A step that returns another result one
    time in a hundred may do so in this run and in none of the others.

    Args:
        view: The trial.
        baseline: Baseline of uninterrupted runs.

    Returns:
        The first different step of each workflow, for people.
    """
    # An alias contains the step that started the workflow, which may not be recorded yet.
    known = {key.workflow for key in baseline.fields if not is_alias(key.workflow)}
    rule = baseline.not_compared
    first: dict[str, Field] = {}
    for key, value in view.first_process.fields.items():
        is_recorded = key.kind is FieldKind.STEP and key.part in _RECORDED
        is_compared = is_recorded and key.workflow in known and key not in rule.varying
        usual = baseline.fields.get(key, (MISSING,))
        if is_compared and not rule.covers(key) and value not in usual:
            earliest = first.setdefault(key.workflow, key)
            first[key.workflow] = min(key, earliest, key=lambda each: each.number)
    return tuple(sorted(map(str, first.values())))
