"""Find the workflows that had not ended when the last process could do no more, and say why."""

from collections.abc import Iterator, Sequence

from resumectl.judge.case import Case
from resumectl.model.events import Launched, Stranded
from resumectl.model.evidence import NoAnswer, WorkflowStuck
from resumectl.model.observation import ProcessRecord
from resumectl.model.snapshot import WorkflowRow
from resumectl.model.verdict import Exposure, Finding, Kind
from resumectl.statuses import UNFINISHED


def stuck_workflows(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each workflow that had not ended when the last process could do no more."""
    process = case.view.final
    if process.has_settled:
        return
    unfinished = [row for row in process.snapshot.workflows if row.status in UNFINISHED]
    stranded = process.last(Stranded)
    ids = stranded.workflows if stranded is not None else ()
    # A workflow that waits for a stranded one is a consequence, so it gets no finding of its own.
    reported = [row for row in unfinished if row.id in ids] or unfinished
    waiting = [row.id for row in unfinished if row not in reported]
    for row in reported:
        yield Finding(Kind.STUCK, row.id, _why_stuck(process, row, waiting))
    if not unfinished:
        yield Finding(Kind.STUCK, "the request", NoAnswer())


def _why_stuck(process: ProcessRecord, row: WorkflowRow, waiting: Sequence[str]) -> WorkflowStuck:
    launched = process.last(Launched)
    is_other_version = launched is not None and row.version not in (None, launched.app_version)
    is_other_executor = (
        launched is not None
        and not is_other_version
        and row.status == "PENDING"
        and row.executor != launched.executor_id
    )
    snapshot = process.snapshot
    existing = {None, *(each.id for each in snapshot.workflows)}
    begun = {step.child for step in snapshot.steps if step.workflow == row.id}
    return WorkflowStuck(
        status=row.status,
        executor=str(row.executor),
        queue=row.queue or "",
        version=str(row.version) if is_other_version else "",
        process_version=launched.app_version if launched and is_other_version else "",
        process_executor=launched.executor_id if launched and is_other_executor else "",
        is_time_up=not process.exit.in_time,
        deleted_children=tuple(sorted(child for child in begun if child and child not in existing)),
        logged=process.logged_of(row.id),
        waiting=tuple(waiting),
    )
