"""Check that a trial keeps the promises of its target: the checks, composed.

Each check is a function from a case to findings and exposures. No check knows how the process was
killed or where rows are stored.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from resumectl.judge.baseline import Baseline
from resumectl.judge.case import Case, Check, timed_out
from resumectl.judge.client import has_no_answer, never_started, not_started, with_descendants
from resumectl.judge.early_divergence import diverged_before_crash
from resumectl.judge.fields import FieldKind
from resumectl.judge.final_state import (
    missing_or_different,
    other_endings,
    repeated_messages,
    unexpected_fields,
    unobservable_outside,
)
from resumectl.judge.interrupted_steps import OtherAnswer, other_answers
from resumectl.judge.invariants import (
    changed_records,
    committed_again,
    other_databases,
    rerun_steps,
    steps_never_called,
    unrecorded_steps,
)
from resumectl.judge.process_ends import failed_process
from resumectl.judge.repetitions import (
    counted_by_name,
    inserted_again,
    new_names,
    recorded_again,
    too_many_in_process,
    too_many_or_few,
)
from resumectl.judge.restarts import started_once_more
from resumectl.judge.step_calls import broken_links, cut_off_steps, other_arguments, other_paths
from resumectl.judge.stuck import stuck_workflows
from resumectl.judge.trial_view import TrialView
from resumectl.judge.void import why_void
from resumectl.judge.workflow_aliases import is_scheduled
from resumectl.model.evidence import StartedByImport
from resumectl.model.observation import Observation
from resumectl.model.promise import Promise
from resumectl.model.verdict import Exposure, Finding, Judgement, Verdict

CHECKS: Sequence[Check] = (
    failed_process,
    stuck_workflows,
    other_endings,
    unobservable_outside,
    repeated_messages,
    missing_or_different,
    unexpected_fields,
    other_paths,
    other_databases,
    changed_records,
    steps_never_called,
    rerun_steps,
    unrecorded_steps,
    committed_again,
    too_many_in_process,
    other_arguments,
    broken_links,
    cut_off_steps,
    too_many_or_few,
    inserted_again,
    recorded_again,
    counted_by_name,
    new_names,
    not_started,
)


@dataclass(frozen=True, slots=True)
class Checker:
    """Checks the trials of one target.

    Args:
        baseline: Baseline of uninterrupted runs.
        effects_by_site: Effects that are identified by where they happen.
        promises: Effect, step or table to promise; others have the default promise.
    """

    baseline: Baseline
    effects_by_site: frozenset[str]
    promises: Mapping[str, Promise]

    def check(self, trial: Observation) -> Judgement:
        """Judge a trial.

        Args:
            trial: The trial, with aliases for the workflows whose ids vary.
        """
        reason = why_void(trial, self.baseline)
        judgement = Judgement(
            trial.plan,
            Verdict.VOID,
            why_void=reason,
            crashes_reached=trial.crashes_reached,
            attempts=trial.attempts,
            contacts=trial.contacts,
            last_commits=tuple(
                process.last_commit for process in trial.processes[: trial.crashes_reached]
            ),
        )
        return judgement if reason else self._checked(judgement, trial)

    def _checked(self, judgement: Judgement, trial: Observation) -> Judgement:
        known = {key.name for key in self.baseline.fields if key.kind is FieldKind.WORKFLOW}
        again = started_once_more(trial, known)
        case, diverged = self._case(trial, known, again)
        found = [each for check in CHECKS for each in check(case)]
        findings = {each for each in found if isinstance(each, Finding)}
        exposures = {each for each in found if isinstance(each, Exposure)}
        return replace(
            judgement,
            verdict=Verdict.BROKEN if findings else Verdict.KEPT,
            findings=_sorted_findings(findings),
            exposures=_sorted_exposures(
                {*_with_other_answers(exposures, case.other_answers), *_started_again(again)}
            ),
            diverged_before_crash=diverged,
        )

    def _case(
        self, trial: Observation, known: set[str], again: set[str]
    ) -> tuple[Case, tuple[str, ...]]:
        """Return the case of a trial, and its divergences before the crash."""
        present = {row.id for process in trial.processes for row in process.snapshot.workflows}
        scheduled = set(filter(is_scheduled, present - known))
        view = TrialView(trial, self.effects_by_site).without(again | scheduled)
        answers = tuple(other_answers(view, self.baseline))
        cancelled = timed_out(view)
        left_out = never_started(view, self.baseline)
        absent = frozenset(filter(is_scheduled, known - present))
        rule = replace(
            self.baseline.not_compared.opened_at(
                _open_steps(view, self.baseline, answers, cancelled)
            ),
            absent=absent | with_descendants(left_out, self.baseline),
            has_no_answer=has_no_answer(view),
            is_partial=bool(left_out),
        )
        baseline = self.baseline.comparing(rule)
        diverged = diverged_before_crash(view.without(baseline.begun_anew), baseline)
        if diverged:
            baseline = baseline.comparing(replace(rule, is_everything=True))
        return Case(view, baseline, self.promises, answers, cancelled), diverged


def _open_steps(
    view: TrialView,
    baseline: Baseline,
    answers: Iterable[OtherAnswer],
    cancelled: Iterable[str],
) -> dict[str, int]:
    """Return the first open step of each workflow in this trial.

    DBOS does not record which step a workflow executed when it was cancelled. An interrupted step that
    returned another result, and a step that received another message, are not compared themselves.
    """
    opened = dict.fromkeys(cancelled, 0)
    for answer in answers:
        earliest = opened.get(answer.workflow, answer.number - 1)
        opened[answer.workflow] = min(earliest, answer.number - 1)
    for workflow, numbered in view.received.items():
        usual = baseline.received.get(workflow, {})
        for number, message in numbered.items():
            if usual.get(number) != message:
                opened[workflow] = min(number, opened.get(workflow, number))
    return opened


def _started_again(workflows: Iterable[str]) -> Iterator[Exposure]:
    for workflow in workflows:
        if " by step " not in workflow:
            yield Exposure(workflow, 2, note=StartedByImport())


def _with_other_answers(
    exposures: Iterable[Exposure], answers: Iterable[OtherAnswer]
) -> Iterator[Exposure]:
    """Yield the exposures, with notes on interrupted steps that returned another result."""
    notes = {answer.subject: answer.note for answer in answers}
    for exposure in exposures:
        yield replace(exposure, note=notes.pop(exposure.subject, exposure.note))
    # Report the other result even if the step's repetition is a finding and not an exposure.
    yield from (Exposure(subject, 2, note=note) for subject, note in notes.items())


def _sorted_findings(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    return tuple(sorted(findings, key=lambda each: (each.kind, each.subject, repr(each.evidence))))


def _sorted_exposures(exposures: Iterable[Exposure]) -> tuple[Exposure, ...]:
    return tuple(sorted(exposures, key=lambda each: (each.subject, each.times, repr(each.note))))
