"""Lay a timeline out in pixels. Pure: the template turns the shapes into SVG."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from resumectl.model.text_enum import TextEnum
from resumectl.report.page.axis import Axis, Need
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

WIDTH_PX = 860
ROW_PX = 28
TOP_PX = 22  # for the names of the processes
AXIS_PX = 20
_SHAPE_BYTES = 120  # of one shape, without its title
_CHARACTER_PX = 6.0  # of a label in a bar
_TICK_MIN_PX = 35
_TICKS_MAX = 30  # of a process
_BAR_MIN_PX = 3
_NICE = (1, 2, 5)

# Vertical place of each kind of bar in its row: offset and height.
_PLACES: Mapping[BarKind, tuple[int, int]] = {
    BarKind.ALIVE: (10, 3),
    BarKind.EXECUTED: (5, 13),
    BarKind.REPEATED: (5, 13),
    BarKind.INTERRUPTED: (5, 13),
    BarKind.BASELINE: (5, 13),
}
# Kinds of bars with a name, those that get room for it first in front.
_NAMED = (BarKind.REPEATED, BarKind.INTERRUPTED, BarKind.EXECUTED, BarKind.BASELINE)
_MIDDLE_PX = 11


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle. `kind`: its class; `text`: text in it, empty where there is no room."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    title: str
    text: str = ""


@dataclass(frozen=True, slots=True)
class Line:
    """A line. `kind`: its class; `path`: its points, as SVG writes them."""

    kind: str
    path: str
    title: str


@dataclass(frozen=True, slots=True)
class Sign:
    """A sign at one place. `kind`: its class."""

    kind: str
    x: float
    y: float
    title: str


@dataclass(frozen=True, slots=True)
class Tick:
    """A number on the axis."""

    x: float
    text: str


@dataclass(frozen=True, slots=True)
class Drawing:
    """A timeline in pixels.

    Attributes:
        height: Height of the drawing.
        labels: Name of each row, from top to bottom.
        bands: Processes, and the pauses between them.
        boxes: Bars.
        lines: Arrows, and the lines of kills.
        signs: Marks.
        ticks: Numbers on the axis: milliseconds since the process launched DBOS.
        other_rows: Number of workflows that are left out.
    """

    height: int
    labels: Sequence[str]
    bands: Sequence[Box]
    boxes: Sequence[Box]
    lines: Sequence[Line]
    signs: Sequence[Sign]
    ticks: Sequence[Tick]
    other_rows: int

    @property
    def size(self) -> int:
        """Size in HTML, in bytes; about."""
        shapes: list[Box | Line | Sign] = [*self.boxes, *self.lines, *self.signs]
        titles = [shape.title for shape in shapes]
        return _SHAPE_BYTES * len(titles) + sum(map(len, (*titles, *self.labels, *self.labels)))


class Shape(TextEnum):
    """Kind of a shape that is not a bar, a mark or an arrow."""

    PROCESS = "process"
    PAUSE = "pause"
    KILL = "kill"


def drawing_of(timeline: Timeline) -> Drawing:
    """Return the drawing of a timeline."""
    return _Layout(timeline).drawing()


class _Layout:
    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline
        named = [bar for bar in timeline.bars if bar.kind in _NAMED]
        named.sort(key=lambda bar: (_NAMED.index(bar.kind), len(bar.name)))
        needs = [Need(bar.start_ms, bar.end_ms, _text_px(bar.name)) for bar in named]
        self._axis = Axis(timeline.end_ms, WIDTH_PX, timeline.times, needs)
        self._row = {row: number for number, row in enumerate(timeline.rows)}
        self._bottom = TOP_PX + ROW_PX * len(timeline.rows)

    def drawing(self) -> Drawing:
        timeline = self._timeline
        return Drawing(
            height=self._bottom + AXIS_PX,
            labels=timeline.rows,
            bands=list(self._bands()),
            boxes=[self._box(bar) for bar in timeline.bars],
            lines=[*map(self._line, timeline.arrows), *self._kills()],
            signs=[self._sign(mark) for mark in timeline.marks],
            ticks=[tick for span in timeline.spans for tick in self._ticks(span)],
            other_rows=timeline.other_rows,
        )

    def _x(self, at_ms: float) -> float:
        return self._axis.x(at_ms)

    def _y(self, row: str) -> int:
        return TOP_PX + ROW_PX * self._row[row]

    def _bands(self) -> Iterator[Box]:
        height = self._bottom - TOP_PX
        before: Span | None = None
        for span in self._timeline.spans:
            x = self._x(span.start_ms)
            # Processes that share the work of a batch overlap.
            if before is not None and before.number and before.end_ms < span.start_ms:
                left = self._x(before.end_ms)
                title = f"no process between {before.number} and {span.number}"
                yield Box(Shape.PAUSE, left, TOP_PX, round(x - left, 1), height, title)
            width = round(self._x(span.end_ms) - x, 1)
            name = f"process {span.number}" if span.number else "baseline"
            yield Box(Shape.PROCESS, x, TOP_PX, width, height, name, _fitting(name, width))
            before = span

    def _box(self, bar: Bar) -> Box:
        x, (offset, height) = self._x(bar.start_ms), _PLACES[bar.kind]
        width = max(_BAR_MIN_PX, round(self._x(bar.end_ms) - x, 1))
        text = _fitting(bar.name, width) if bar.kind in _NAMED else ""
        return Box(bar.kind, x, self._y(bar.row) + offset, width, height, bar.label, text)

    def _line(self, arrow: Arrow) -> Line:
        x1, x2 = self._x(arrow.start_ms), self._x(arrow.end_ms)
        y1, y2 = self._y(arrow.row) + _MIDDLE_PX, self._y(arrow.end_row) + _MIDDLE_PX
        if arrow.kind is ArrowKind.REPETITION:
            top = y1 - _MIDDLE_PX
            return Line(arrow.kind, f"M{x1} {y1}C{x1} {top} {x2} {top} {x2} {y2}", arrow.label)
        if arrow.kind is ArrowKind.RECOVERY:
            return Line(arrow.kind, f"M{x1} {y1}H{x2}", arrow.label)
        # The head stands a little to the right, so that the line is not hidden by the ticks.
        return Line(arrow.kind, f"M{x1} {y1}L{round(x2 + 4, 1)} {y2}", arrow.label)

    def _kills(self) -> Iterator[Line]:
        for span in self._timeline.spans:
            if span.killed_at is not None:
                title = f"process {span.number} is killed at {span.killed_at}"
                yield Line(
                    Shape.KILL, f"M{self._x(span.end_ms)} {TOP_PX - 6}V{self._bottom}", title
                )

    def _sign(self, mark: Mark) -> Sign:
        y = self._y(mark.row) + (_MIDDLE_PX if mark.kind is not MarkKind.FINDING else 6)
        return Sign(mark.kind, self._x(mark.at_ms), y, mark.label)

    def _ticks(self, span: Span) -> Iterator[Tick]:
        step_ms = _step_ms((span.end_ms - span.start_ms) / _TICKS_MAX)
        number, next_px = 0, 0.0
        while span.start_ms + number * step_ms <= span.end_ms:
            at_ms = number * step_ms
            x = self._x(span.start_ms + at_ms)
            text = f"{at_ms:g}"
            if x >= next_px and x + _text_px(text) <= WIDTH_PX:
                yield Tick(x, text)
                next_px = x + _TICK_MIN_PX
            number += 1


def _text_px(text: str) -> float:
    return len(text) * _CHARACTER_PX + 6


def _fitting(text: str, width: float) -> str:
    return text if _text_px(text) <= width + 0.5 else ""


def _step_ms(minimum_ms: float) -> float:
    """Return the smallest of 1, 2, 5, 10, 20 … that is at least this long, in milliseconds."""
    power = 1.0
    while True:
        for nice in _NICE:
            if nice * power >= minimum_ms:
                return nice * power
        power *= 10
