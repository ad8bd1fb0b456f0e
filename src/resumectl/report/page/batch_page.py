"""Gather what the page of a batch shows: its counts, its processes, and a timeline of its workflows. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from resumectl import __version__
from resumectl.publishing.store.state import KILLED, broken_promises, verdict
from resumectl.report.page.crash_map import SIGNS
from resumectl.report.page.drawing import Drawing, drawing_of
from resumectl.report.page.table import Table, table_of
from resumectl.report.page.timeline import (
    Arrow,
    ArrowKind,
    Bar,
    BarKind,
    Mark,
    MarkKind,
    Span,
    Timeline,
)
from resumectl.report.publisher_tables import (
    batches_sheet,
    counters_sheet,
    failures,
    processes_sheet,
    steps_sheet,
)

if TYPE_CHECKING:
    from resumectl.publishing.store.batch_history import BatchHistory
    from resumectl.publishing.store.workflows import WorkflowSeen


@dataclass(frozen=True, slots=True)
class BatchPage:
    """Everything that the page of a batch shows.

    Attributes:
        title: Title of the page.
        verdict: KEPT or BROKEN; VOID while it is unfinished.
        sentence: The verdict in words.
        failures: Error of each message that could not be delivered.
        drawing: Timeline of its workflows; None if nothing has run.
        tables: Counts, counters, processes and steps.
        commands: Purpose and command line of each command that goes on from here.
        version: Version of resumectl.
    """

    title: str
    verdict: str
    sentence: str
    failures: Sequence[str]
    drawing: Drawing | None
    tables: Sequence[Table]
    commands: Sequence[tuple[str, str]]
    version: str = __version__

    @property
    def sign(self) -> str:
        """Sign of the verdict."""
        return SIGNS[self.verdict]


def batch_page(history: "BatchHistory") -> BatchPage:
    """Return everything that the page of a batch shows.

    Args:
        history: History of the batch.
    """
    (batch,) = history.state.batches
    is_broken = bool(broken_promises(batch))
    word = "BROKEN" if is_broken else "VOID" if batch.is_unfinished else "KEPT"
    timeline = _timeline(history)
    commands = [("show its workflows", f"resumectl steps {batch.id}")]
    if batch.is_unfinished:
        commands.append(("resume it", "resumectl resume"))
    return BatchPage(
        title=f"Batch {batch.id}, {batch.guarantee}",
        verdict=word,
        sentence=verdict(history.state),
        failures=[str(line) for line in failures([batch])],
        drawing=drawing_of(timeline) if timeline is not None else None,
        tables=list(_tables(history)),
        commands=commands,
    )


def _tables(history: "BatchHistory") -> Iterator[Table]:
    yield table_of(batches_sheet(list(history.state.batches), title="Counts", totals=None))
    yield table_of(counters_sheet(history.state.publishers))
    yield table_of(processes_sheet(history.processes, title="Processes"))
    for workflow in history.workflows:
        yield table_of(steps_sheet(workflow, history.steps[workflow.id]))


def _timeline(history: "BatchHistory") -> Timeline | None:
    """Return the timeline; None if no process ran it."""
    if not history.processes:
        return None
    begin_ms = min(process.started_at_ms for process in history.processes)
    last: dict[int, int] = {process.id: process.started_at_ms for process in history.processes}
    for delivered in history.deliveries.values():
        for number, at in delivered:
            last[number] = max(last.get(number, at), at)
    for steps in history.steps.values():
        for step in steps:
            if len(step.processes) == 1 and step.completed_at_ms is not None:
                last[step.processes[0]] = max(last[step.processes[0]], step.completed_at_ms)
    spans = [
        Span(
            number=process.id,
            start_ms=process.started_at_ms - begin_ms,
            end_ms=(process.ended_at_ms or last[process.id]) - begin_ms,
            killed_at="an unknown instant after this" if process.ended == KILLED else None,
        )
        for process in history.processes
    ]
    drawn = [_workflow(history, workflow, begin_ms) for workflow in history.workflows]
    return Timeline(
        spans=spans,
        rows=[workflow.id for workflow in history.workflows],
        bars=[bar for bars, _, _ in drawn for bar in bars],
        marks=[mark for _, marks, _ in drawn for mark in marks],
        arrows=[arrow for _, _, arrows in drawn for arrow in arrows],
        other_rows=history.other_workflows,
    )


def _workflow(
    history: "BatchHistory", workflow: "WorkflowSeen", begin_ms: int
) -> tuple[list[Bar], list[Mark], list[Arrow]]:
    """Return the bars, marks and arrows of one workflow."""
    row = workflow.id
    bars: list[Bar] = []
    for step in history.steps[row]:
        if step.started_at_ms is None or step.completed_at_ms is None:
            continue
        by = " or ".join(map(str, step.processes))
        label = f"{step.name}, {row}/step-{step.number}, recorded by process {by}"
        start, end = step.started_at_ms - begin_ms, step.completed_at_ms - begin_ms
        bars.append(Bar(BarKind.EXECUTED, row, start, end, step.name, label))
    delivered = [(number, at - begin_ms) for number, at in history.deliveries[row]]
    marks = [
        Mark(MarkKind.EFFECT if n == 0 else MarkKind.FINDING, row, at, _delivery(row, number, n))
        for n, (number, at) in enumerate(delivered)
    ]
    arrows = [
        Arrow(ArrowKind.REPETITION, row, before, row, after, f"{row} was delivered again")
        for (_, before), (_, after) in pairwise(delivered)
    ]
    times = [
        *(ms for bar in bars for ms in (bar.start_ms, bar.end_ms)),
        *(at for _, at in delivered),
    ]
    if times:
        alive = Bar(BarKind.ALIVE, row, min(times), max(times), row, f"{row}: {workflow.status}")
        bars.insert(0, alive)
    return bars, marks, arrows


def _delivery(row: str, process: int, n: int) -> str:
    return f"{row} delivered by process {process}{', again' if n else ''}"
