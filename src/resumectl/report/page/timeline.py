"""Compute the timeline of a trial: what each workflow did in each process, on one time axis. Pure.

Times are milliseconds on that axis: an uninterrupted run comes first, then the processes of the trial. The
pause between two of these has one fixed length, since it is the time that resumectl needs, not that of
an outage.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from resumectl.model.crash_plan import STARTED, subject_of
from resumectl.model.events import (
    BecameQuiet,
    Committed,
    CrashPointReached,
    EffectHappened,
    Event,
    LaunchStarted,
    MessagesSent,
    RequestEnded,
    RequestStarted,
    Site,
    StepEnded,
    StepReplayed,
    StepStarted,
)
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.text_enum import TextEnum
from resumectl.model.verdict import Finding
from resumectl.statuses import UNFINISHED

CLIENT = "client"  # the row of the request
OUTSIDE = "outside of workflows"  # the row of what no workflow did
_PAUSE = 0.07  # of the length of all processes
_ENDS = frozenset({"succeeded", "failed", "cancelled", "dead-lettered", "deleted"})


class BarKind(TextEnum):
    """Kind of a bar."""

    BASELINE = "baseline"
    EXECUTED = "executed"
    REPEATED = "repeated"
    INTERRUPTED = "interrupted"
    ALIVE = "alive"  # from the first to the last event of a workflow in a process


class MarkKind(TextEnum):
    """Kind of a mark."""

    COMMITTED = "committed"
    REPLAYED = "replayed"
    EFFECT = "effect"
    FINDING = "finding"


class ArrowKind(TextEnum):
    """Kind of an arrow."""

    CHILD = "child"
    MESSAGE = "message"
    RECOVERY = "recovery"
    REPETITION = "repetition"


@dataclass(frozen=True, slots=True)
class Bar:
    """Something that takes time.

    Attributes:
        kind: Its kind.
        row: Name of its row.
        start_ms: Its start, in milliseconds.
        end_ms: Its end, in milliseconds.
        name: Short name, such as that of the step.
        label: What it is, in words.
    """

    kind: BarKind
    row: str
    start_ms: float
    end_ms: float
    name: str
    label: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happens at one moment. `row`: name of its row; time in milliseconds."""

    kind: MarkKind
    row: str
    at_ms: float
    label: str


@dataclass(frozen=True, slots=True)
class Arrow:
    """A line from one row and moment to another one; times in milliseconds."""

    kind: ArrowKind
    row: str
    start_ms: float
    end_row: str
    end_ms: float
    label: str


@dataclass(frozen=True, slots=True)
class Span:
    """A process on the time axis.

    Attributes:
        number: Number of the process, from 1; 0 for the baseline.
        start_ms: Time at which it launches DBOS.
        end_ms: Time at which it is killed, or all of its workflows have ended.
        killed_at: Crash point at which it is killed; None if it is not killed.
    """

    number: int
    start_ms: float
    end_ms: float
    killed_at: str | None


@dataclass(frozen=True, slots=True)
class Timeline:
    """The drawing of a trial, in times.

    Attributes:
        spans: The baseline, if there is one, and the processes, in their order.
        rows: Names of its rows, from top to bottom.
        bars: What takes time.
        marks: What happens at one moment.
        arrows: What leads from one row and moment to another.
        other_rows: Number of workflows that are left out.
    """

    spans: Sequence[Span]
    rows: Sequence[str]
    bars: Sequence[Bar]
    marks: Sequence[Mark]
    arrows: Sequence[Arrow]
    other_rows: int

    @property
    def times(self) -> set[float]:
        """Times at which something happens, in milliseconds."""
        return {
            *(ms for span in self.spans for ms in (span.start_ms, span.end_ms)),
            *(ms for bar in self.bars for ms in (bar.start_ms, bar.end_ms)),
            *(mark.at_ms for mark in self.marks),
        }

    @property
    def end_ms(self) -> float:
        """End of the time axis, in milliseconds."""
        return max(*self.times, 1.0)


def timeline_of(
    trial: Observation, baseline: Observation, findings: Sequence[Finding], rows_max: int
) -> Timeline:
    """Return the timeline of a trial.

    Args:
        trial: Observation of the trial, with names.
        baseline: An uninterrupted run, with names.
        findings: Findings of the trial.
        rows_max: Maximum number of rows; workflows that are as in the baseline are left out first.
    """
    usual = _Drawing.of(baseline)
    usual_ms = usual.spans[-1].end_ms
    drawn = _Drawing.of(trial, start_ms=usual_ms + _pause_ms(usual_ms))
    marks = [*drawn.marks, *_finding_marks(drawn, findings)]
    rows = list(dict.fromkeys([*usual.rows, *drawn.rows]))
    kept = _most_important(rows, drawn, marks, rows_max)
    bars = [
        *(
            bar
            if bar.kind is BarKind.ALIVE
            else replace(bar, kind=BarKind.BASELINE, label=f"baseline: {bar.name}")
            for bar in usual.bars
        ),
        *drawn.bars,
    ]
    return Timeline(
        spans=[*(replace(span, number=0) for span in usual.spans), *drawn.spans],
        rows=[row for row in rows if row in kept],
        bars=[bar for bar in bars if bar.row in kept],
        marks=[mark for mark in marks if mark.row in kept],
        arrows=[each for each in drawn.arrows if {each.row, each.end_row} <= kept],
        other_rows=len(rows) - len(kept),
    )


def _most_important(
    rows: Sequence[str], drawn: "_Drawing", marks: Sequence[Mark], rows_max: int
) -> set[str]:
    """Return the rows to draw: those with findings, with what was cut off or repeated, then the first."""
    important = [mark.row for mark in marks if mark.kind is MarkKind.FINDING]
    important += [
        bar.row for bar in drawn.bars if bar.kind in (BarKind.INTERRUPTED, BarKind.REPEATED)
    ]
    important += [
        subject_of(span.killed_at.partition(":")[2]) for span in drawn.spans if span.killed_at
    ]
    known = set(rows)
    ordered = dict.fromkeys(row for row in (*important, *rows) if row in known)
    return set(list(ordered)[:rows_max])


@dataclass(slots=True)
class _Drawing:
    """What the events of one observation draw."""

    spans: list[Span] = field(default_factory=list)
    rows: dict[str, None] = field(default_factory=dict)
    bars: list[Bar] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    arrows: list[Arrow] = field(default_factory=list)
    # Last execution of each step, by its name and site.
    executed: dict[tuple[str, str], Bar] = field(default_factory=dict)
    # Child to the workflow that starts it.
    parents: dict[str, str] = field(default_factory=dict)
    # Row and time of the last event of each subject that a finding may name.
    places: dict[str, tuple[str, float]] = field(default_factory=dict)

    @classmethod
    def of(cls, run: Observation, start_ms: float = 0.0) -> "_Drawing":
        """Return the drawing of a run that begins at a time of the axis."""
        drawn = cls()
        lengths = [_length_us(process) / 1000 for process in run.processes]
        at_ms, pause_ms = start_ms, _pause_ms(sum(lengths))
        steps = (step for process in run.processes for step in process.snapshot.steps)
        drawn.parents = {step.child: step.workflow for step in steps if step.child}
        unfinished: Sequence[str] = ()
        for number, (process, length_ms) in enumerate(
            zip(run.processes, lengths, strict=True), start=1
        ):
            span = Span(number, at_ms, at_ms + length_ms, process.reached)
            drawn.spans.append(span)
            _Process(drawn, process, span).draw(unfinished)
            unfinished = [row.id for row in process.snapshot.workflows if row.status in UNFINISHED]
            at_ms = span.end_ms + pause_ms
        return drawn


class _Process:
    """Draws the events of one process."""

    def __init__(self, drawn: _Drawing, process: ProcessRecord, span: Span) -> None:
        self._drawn = drawn
        self._process = process
        self._span = span
        self._origin_us = _origin_us(process)
        self._running: dict[tuple[str, str], StepStarted] = {}
        self._first: dict[str, float] = {}
        self._last: dict[str, float] = {}
        self._ended: set[str] = set()

    def draw(self, unfinished: Sequence[str]) -> None:
        """Add everything that the process did.

        Args:
            unfinished: Workflows that had not ended when the process before it was killed.
        """
        is_over = False
        for event in self._process.events:
            is_over = is_over or isinstance(event, BecameQuiet)
            if not is_over:
                self._draw(event)
        for key in list(self._running):
            self._add_execution(key, self._span.end_ms, is_interrupted=True)
        if self._process.last(RequestStarted) and not self._process.last(RequestEnded):
            self._see(CLIENT, self._span.end_ms)  # it waited until the process ended
        self._add_lifelines()
        for workflow in unfinished:
            if workflow in self._first:
                arrow = Arrow(
                    ArrowKind.RECOVERY, workflow, self._span.start_ms, workflow,
                    self._first[workflow],
                    f"process {self._span.number} recovers {workflow}",
                )  # fmt: skip
                self._drawn.arrows.append(arrow)

    def _draw(self, event: Event) -> None:
        at_ms = self._at_ms(event)
        if isinstance(event, Committed):
            for fact in event.facts:
                self._commit(fact.name, fact.detail, at_ms)
        elif isinstance(event, StepStarted):
            self._see(_row(event.site), at_ms)
            self._running[event.step, str(event.site)] = event
        elif isinstance(event, StepEnded):
            self._add_execution((event.step, str(event.site)), at_ms, is_interrupted=False)
        elif isinstance(event, StepReplayed):
            label = f"{event.step}, {event.site}: "
            if event.is_refused:
                kind, label = (
                    MarkKind.FINDING,
                    f"{label}refused, since {event.recorded} is recorded",
                )
            else:
                kind, label = MarkKind.REPLAYED, f"{label}answered from its record"
            self._mark(kind, _row(event.site), at_ms, label)
        elif isinstance(event, EffectHappened):
            row = _row(event.site)
            effect = f"{event.name}({', '.join(event.about)})"
            self._mark(MarkKind.EFFECT, row, at_ms, f"effect {effect}")
            for subject in (effect, f"{event.name}({event.site})"):
                self._drawn.places[subject] = (row, at_ms)
        elif isinstance(event, MessagesSent):
            for message in event.messages:
                self._arrow(
                    ArrowKind.MESSAGE, event.workflow, message.destination, at_ms, "message"
                )
        elif isinstance(event, RequestStarted | RequestEnded):
            self._see(CLIENT, at_ms)

    def _commit(self, name: str, detail: str, at_ms: float) -> None:
        row = subject_of(name)
        fact = name.rpartition("/")[2]
        self._mark(MarkKind.COMMITTED, row, at_ms, f"{name} committed{detail and f' ({detail})'}")
        self._drawn.places[name] = (row, at_ms)
        if fact in _ENDS:
            self._ended.add(row)
        else:
            self._ended.discard(row)
        parent = self._drawn.parents.get(row)
        if fact in STARTED and parent is not None:
            self._arrow(ArrowKind.CHILD, parent, row, at_ms, "starts")

    def _arrow(self, kind: ArrowKind, row: str, end_row: str, at_ms: float, what: str) -> None:
        self._see(row, at_ms)
        label = f"{row}: {what} to {end_row}" if what == "message" else f"{row} {what} {end_row}"
        self._drawn.arrows.append(Arrow(kind, row, at_ms, end_row, at_ms, label))

    def _mark(self, kind: MarkKind, row: str, at_ms: float, label: str) -> None:
        self._see(row, at_ms)
        self._drawn.marks.append(Mark(kind, row, at_ms, label))

    def _add_execution(self, key: tuple[str, str], end_ms: float, *, is_interrupted: bool) -> None:
        event = self._running.pop(key, None)
        if event is None:
            return
        row, start_ms = _row(event.site), self._at_ms(event)
        earlier = self._drawn.executed.get(key)
        kind = BarKind.EXECUTED if earlier is None else BarKind.REPEATED
        kind = BarKind.INTERRUPTED if is_interrupted else kind
        label = f"{event.step}, {event.site}: {kind} in process {self._span.number}"
        bar = Bar(kind, row, start_ms, end_ms, event.step, label)
        self._see(row, end_ms)
        self._drawn.bars.append(bar)
        self._drawn.executed[key] = bar
        self._drawn.places[str(event.site)] = (row, end_ms)
        # A finding that names the step is about the run of its body.
        self._drawn.places[f"{event.step}, {event.site}"] = (row, (start_ms + end_ms) / 2)
        if earlier is not None:
            joined = f"{event.step}, {event.site} ran again"
            arrow = Arrow(ArrowKind.REPETITION, row, earlier.end_ms, row, start_ms, joined)
            self._drawn.arrows.append(arrow)

    def _add_lifelines(self) -> None:
        for row, start_ms in self._first.items():
            is_workflow = any(each.id == row for each in self._process.snapshot.workflows)
            is_open = is_workflow and row not in self._ended
            end_ms = self._span.end_ms if is_open else self._last[row]
            self._drawn.bars.append(Bar(BarKind.ALIVE, row, start_ms, end_ms, row, row))

    def _see(self, row: str, at_ms: float) -> None:
        self._drawn.rows.setdefault(row)
        self._drawn.places[row] = (row, at_ms)
        self._first.setdefault(row, at_ms)
        self._last[row] = at_ms

    def _at_ms(self, event: Event) -> float:
        at_ms = self._span.start_ms + (event.at_us - self._origin_us) / 1000
        return min(max(at_ms, self._span.start_ms), self._span.end_ms)


def _pause_ms(length_ms: float) -> float:
    """Return the length of a pause on an axis with processes of this length."""
    return max(1.0, _PAUSE * length_ms)


def _row(site: Site) -> str:
    return site.workflow or site.begun_in or OUTSIDE


def _origin_us(process: ProcessRecord) -> int:
    """Return the time at which a process launches DBOS; that of its first event if it does not."""
    launch = process.last(LaunchStarted)
    if launch is not None:
        return launch.at_us
    return process.events[0].at_us if process.events else 0


def _length_us(process: ProcessRecord) -> int:
    """Return the time from the launch until the process is killed, or all is quiet."""
    ends: list[Event] = [*process.all(CrashPointReached), *process.all(BecameQuiet)]
    ends += process.events[-1:]
    return max(0, ends[0].at_us - _origin_us(process)) if ends else 0


def _finding_marks(drawn: _Drawing, findings: Sequence[Finding]) -> Iterator[Mark]:
    """Yield a mark where each finding happened last; none for a finding that belongs to no row."""
    for finding in findings:
        # Such as `checkout-1`, `charge, checkout-1/step-2` and `event checkout-1 status`.
        subject = finding.subject
        names = (subject, subject.rpartition(", ")[2], *subject.split())
        place = next((drawn.places[name] for name in names if name in drawn.places), None)
        if place is not None:
            yield Mark(MarkKind.FINDING, *place, f"{finding.kind}: {subject}")
