"""Check the invariants of a single trial, which hold for every program.

Durable data of a crash does not change, recorded steps do not run again, and each recorded step is
called again before its workflow ends.
"""

from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from resumectl.judge.case import Case
from resumectl.judge.fields import Count, shortened
from resumectl.judge.replay_paths import never_called
from resumectl.judge.trial_view import TrialView, compared, steps_recorded
from resumectl.model.crash_plan import subject_of
from resumectl.model.events import Launched, StepStarted
from resumectl.model.evidence import (
    CommittedAgain,
    NeverCalled,
    NeverRecorded,
    Occurrence,
    OtherDatabase,
    RanAgain,
    RecordChanged,
    RecordLost,
)
from resumectl.model.snapshot import StepRow, WorkflowRow
from resumectl.model.verdict import Exposure, Finding, Kind
from resumectl.statuses import RESUMABLE_BY_ID, UNFINISHED

# Facts that become true once: a second one means that a checkpoint did not hold.
_ONCE = ("step-", "transaction-", "succeeded", "failed")
# Parts of a workflow that no recovery changes once it is under way.
_LASTING_PARTS = ("input", "deadline_ms", "priority", "user", "roles")
_STEP_PARTS = ("name", "output", "error", "child")
# A workflow on a queue may be changed, for example by a debouncer.
_NOT_BEGUN = ("ENQUEUED", "DELAYED")


def other_databases(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding if each process sets another system database.

    In a trial all processes use the same database. Outside of a trial, each uses the one that it sets.
    """
    launches = [
        launched
        for process in case.lasting.processes
        if (launched := process.last(Launched)) is not None
    ]
    for before, after in pairwise(launches):
        if before.database != after.database:
            evidence = OtherDatabase(before.database, after.database)
            yield Finding(Kind.STUCK, "the system database", evidence)


def changed_records(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each record that has changed since a crash."""
    view = case.lasting
    steps = {(row.workflow, row.number): row for row in view.final.snapshot.steps}
    workflows = {row.id: row for row in view.final.snapshot.workflows}
    # A workflow that was cancelled and resumed starts again.
    cancelled = {subject_of(name) for name in view.committed if name.endswith("/cancelled")}
    for process in view.processes[:-1]:
        for step in process.snapshot.steps:
            now = steps.get((step.workflow, step.number))
            if now is not None:
                yield from _changed_step(step, now)
            elif step.workflow in workflows:  # and not deleted with its workflow
                subject = f"{step.workflow}/step-{step.number}"
                yield Finding(Kind.LOST, subject, RecordLost())
        for workflow in process.snapshot.workflows:
            later = workflows.get(workflow.id)
            if later is not None and workflow.id not in cancelled:
                yield from _changed_workflow(workflow, later)


def _changed_step(before: StepRow, after: StepRow) -> Iterator[Finding]:
    for part in _STEP_PARTS:
        was, now = compared(before, part), compared(after, part)
        if was != now:
            evidence = RecordChanged(part, shortened(was), shortened(now))
            yield Finding(Kind.DIVERGED, f"{before.workflow}/step-{before.number}", evidence)


def _changed_workflow(before: WorkflowRow, after: WorkflowRow) -> Iterator[Finding]:
    if before.status in _NOT_BEGUN:
        return
    for part in _LASTING_PARTS:
        was, now = compared(before, part), compared(after, part)
        # A resume removes the deadline.
        if was is not None and now is not None and was != now:
            evidence = RecordChanged(part, shortened(was), shortened(now))
            yield Finding(Kind.DIVERGED, before.id, evidence)


def steps_never_called(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each recorded step that its workflow did not call again after the crash."""
    for step in never_called(case.lasting.processes):
        subject = f"{step.workflow}/step-{step.number}"
        yield Finding(Kind.DIVERGED, subject, NeverCalled(step.name))


def rerun_steps(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each step that was recorded before a crash and ran again."""
    recorded: set[tuple[str, int]] = set()
    for number, process in enumerate(case.lasting.processes, start=1):
        for event in process.all(StepStarted):
            if (event.site.workflow, event.site.step_number) in recorded:
                yield Finding(Kind.RERUN, f"{event.step}, {event.site}", RanAgain(number))
        recorded |= steps_recorded(process)


def unrecorded_steps(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each step that ran in several processes and has no record."""
    view = case.lasting
    ran_in: defaultdict[Count, set[int]] = defaultdict(set)
    may_lack = _MayLackRecord(view)
    for number, process in enumerate(view.processes, start=1):
        for event in process.all(StepStarted):
            if not may_lack.record_of(event):
                ran_in[Count(Occurrence.EXECUTION, event.step, str(event.site))].add(number)
    for key, numbers in ran_in.items():
        if len(numbers) > 1:
            yield Finding(Kind.RERUN, key.subject, NeverRecorded(tuple(sorted(numbers))))


class _MayLackRecord:
    """Filter for the steps that have a record, or that DBOS correctly does not record."""

    def __init__(self, view: TrialView) -> None:
        # DBOS records no step of a workflow that was cancelled meanwhile or reached its recovery limit.
        without = (*UNFINISHED, *RESUMABLE_BY_ID)
        rows = view.final.snapshot.workflows
        self._given_up = {row.id for row in rows if row.status in without}
        self._recorded = {at for process in view.processes for at in steps_recorded(process)}
        # The workflow of a record may have been deleted since.
        self._committed = view.committed

    def record_of(self, event: StepStarted) -> bool:
        """Return whether a step has a record or needs none."""
        site = event.site
        # Outside of any workflow, a step is a plain function.
        is_plain_function = not (site.workflow or site.begun_in)
        return (
            is_plain_function
            or (site.workflow, site.step_number) in self._recorded
            or site.workflow in self._given_up
            or str(site) in self._committed
        )


def committed_again(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each transition that becomes true once but was committed more often."""
    for name, times in case.lasting.committed.items():
        if times > 1 and name.rpartition("/")[2].startswith(_ONCE):
            yield Finding(Kind.DUPLICATED, name, CommittedAgain(times))
