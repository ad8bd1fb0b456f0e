"""Follow the client of a trial: what it did not start, and what it starts once more if it asks again.

A client that gives up does not ask again after a crash, once an earlier process has accepted a workflow
of its request.
"""

from collections.abc import Iterable, Iterator

from resumectl.judge.baseline import NEVER, Baseline
from resumectl.judge.case import Case
from resumectl.judge.fields import Field, FieldKind
from resumectl.judge.trial_view import TrialView
from resumectl.model.events import RequestEnded, StepStarted
from resumectl.model.evidence import NeverStarted, Occurrence, StartedByRetry
from resumectl.model.verdict import Exposure, Finding


def never_started(view: TrialView, baseline: Baseline) -> frozenset[str]:
    """Return the workflows that a client did not start before it gave up.

    Args:
        view: The trial.
        baseline: Baseline of uninterrupted runs.
    """
    return baseline.client_starts - view.client_starts if view.has_given_up else frozenset()


def with_descendants(workflows: frozenset[str], baseline: Baseline) -> frozenset[str]:
    """Return workflows together with all workflows below them in the baseline.

    Args:
        workflows: Names of the workflows.
        baseline: Baseline of uninterrupted runs.
    """
    fields = baseline.fields.items()
    return _with_children(workflows, [(key, each) for key, values in fields for each in values])


def _with_children(
    workflows: frozenset[str], fields: Iterable[tuple[Field, object]]
) -> frozenset[str]:
    """Return workflows together with all workflows below them, from the parent of each workflow."""
    parents = [
        (key.name, parent)
        for key, parent in fields
        if key.kind is FieldKind.WORKFLOW and key.part == "parent"
    ]
    found = set(workflows)
    while below := {name for name, parent in parents if parent in found} - found:
        found |= below
    return frozenset(found)


def has_no_answer(view: TrialView) -> bool:
    """Return whether the client gave up before it got an answer."""
    is_answered = any(True for _ in view.observation.all(RequestEnded))
    return view.has_given_up and not is_answered


def not_started(case: Case) -> Iterator[Finding | Exposure]:
    """Yield an exposure for each workflow that the client did not start before it gave up."""
    for workflow in sorted(never_started(case.view, case.baseline)):
        yield Exposure(workflow, 0, note=NeverStarted())


def started_by_retry(view: TrialView, baseline: Baseline, workflow: str) -> Exposure | None:
    """Return what a client that asks again starts once more; None if it starts nothing.

    Args:
        view: Trial in which the client asks again.
        baseline: Baseline of uninterrupted runs.
        workflow: Workflow whose start an earlier process has accepted.
    """
    more = view.client_starts - baseline.client_starts
    if not more:
        return None
    started = _with_children(more, view.fields.items())
    again = [event for event in view.observation.all(StepStarted) if event.site.workflow in started]
    effects = sorted(
        key.subject
        for key, times in view.counts.items()
        if key.occurrence is Occurrence.EFFECT and times > baseline.counts.get(key, NEVER)[1]
    )
    note = StartedByRetry(
        workflows=tuple(sorted(more)),
        steps=tuple(dict.fromkeys(event.step for event in again)),
        effects=tuple(effects),
    )
    return Exposure(workflow, 1 + len(more), note=note)
