"""Times become pixels: linear, but for steps that are too short for their names."""

from itertools import pairwise

import pytest

from resumectl.report.page.axis import Axis, Need
from resumectl.report.page.drawing import ROW_PX, TOP_PX, WIDTH_PX, drawing_of
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


def test_axis_is_linear_between_two_events() -> None:
    axis = Axis(100, 1000, [])
    assert [axis.x(ms) for ms in (0, 10, 55.5, 100)] == [0, 100, 555, 1000]


def test_long_pause_is_shortened() -> None:
    axis = Axis(100, 1000, [1])
    # A pause that is 99 times as long is ten times as wide.
    assert axis.x(100) - axis.x(1) == pytest.approx(99**0.5 * axis.x(1), abs=1)


def test_short_step_gets_the_room_of_its_name_and_the_order_stays() -> None:
    axis = Axis(100, 1000, [], [Need(50, 50.1, 60)])
    assert axis.x(50.1) - axis.x(50) == pytest.approx(60, abs=1)
    places = [axis.x(ms) for ms in (0, 25, 50, 50.1, 75, 100)]
    assert places == sorted(places)
    assert (places[0], places[-1]) == (0, 1000)


def test_steps_at_the_same_time_share_their_room() -> None:
    axis = Axis(100, 1000, [], [Need(50, 50.1, 60), Need(50, 50.1, 60)])
    assert axis.x(50.1) - axis.x(50) < 70


def test_half_of_the_width_is_left_if_many_steps_are_short() -> None:
    needs = [Need(n, n + 0.01, 60) for n in range(20)]
    axis = Axis(100, 1000, [], needs)
    widths = [axis.x(need.end_ms) - axis.x(need.start_ms) for need in needs]
    assert sum(width >= 59 for width in widths) in range(7, 12)
    assert widths[0] >= 59  # the most important one


def drawn(*bars: Bar, arrows: tuple[Arrow, ...] = (), marks: tuple[Mark, ...] = ()) -> Timeline:
    spans = [Span(1, 0, 40, "before:w-1/step-1"), Span(2, 50, 100, None)]
    return Timeline(spans, ["w-1", "w-2"], bars, marks, arrows, 0)


def test_bar_has_its_name_where_there_is_room() -> None:
    long, short = (
        Bar(BarKind.EXECUTED, "w-2", 0, end, "charge", "charge, w-2/step-1") for end in (40, 0.01)
    )
    assert [box.text for box in drawing_of(drawn(long)).boxes] == ["charge"]
    assert [box.text for box in drawing_of(drawn(short)).boxes] == ["charge"]  # stretched
    many = [Bar(BarKind.EXECUTED, "w-1", n, n + 0.01, "charge", "") for n in range(30)]
    again = Bar(BarKind.REPEATED, "w-1", 60, 60.01, "a rather long name", "")
    boxes = drawing_of(drawn(*many, again)).boxes
    assert {box.text for box in boxes} == {"", "charge", "a rather long name"}


def test_bar_keeps_room_for_its_name_beside_others_and_under_a_mark() -> None:
    bars = [Bar(BarKind.REPEATED, "w-1", 60, 60.02, "charge", "")]
    bars += [Bar(BarKind.EXECUTED, "w-2", n, n + 0.01, f"ship {n}", "") for n in range(4)]
    mark = Mark(MarkKind.FINDING, "w-1", 60.01, "")
    boxes = drawing_of(drawn(*bars, marks=(mark,))).boxes
    assert [box.text for box in boxes] == [bar.name for bar in bars]


def test_baseline_is_apart_from_the_processes() -> None:
    spans = [Span(0, 0, 40, None), Span(1, 50, 100, None)]
    usual, first = drawing_of(Timeline(spans, ["w-1"], [], [], [], 0)).bands
    assert (usual.text, first.text) == ("baseline", "process 1")
    assert first.x > usual.x + usual.width


def test_rows_are_below_each_other_and_the_axis_below_them() -> None:
    bars = [Bar(BarKind.EXECUTED, row, 0, 40, "x", "") for row in ("w-1", "w-2")]
    drawing = drawing_of(drawn(*bars))
    assert drawing.boxes[1].y - drawing.boxes[0].y == ROW_PX
    assert drawing.labels == ["w-1", "w-2"]
    assert drawing.height > TOP_PX + 2 * ROW_PX


def test_processes_the_pause_between_them_and_the_kill() -> None:
    drawing = drawing_of(drawn())
    first, pause, second = drawing.bands
    assert [box.kind for box in drawing.bands] == ["process", "pause", "process"]
    assert (first.x, second.x + second.width) == (0, WIDTH_PX)
    assert first.x + first.width == pytest.approx(pause.x)
    assert pause.x + pause.width == pytest.approx(second.x)
    assert first.width > pause.width
    (kill,) = drawing.lines
    assert kill.kind == "kill"
    assert kill.title == "process 1 is killed at before:w-1/step-1"
    assert kill.path.startswith(f"M{pause.x} ")


@pytest.mark.parametrize(
    ("kind", "letter"),
    [(ArrowKind.REPETITION, "C"), (ArrowKind.RECOVERY, "H"), (ArrowKind.MESSAGE, "L")],
)
def test_arrows_differ_in_form(kind: ArrowKind, letter: str) -> None:
    arrow = Arrow(kind, "w-1", 10, "w-2" if letter == "L" else "w-1", 20, "")
    assert letter in drawing_of(drawn(arrows=(arrow,))).lines[0].path


def test_marks_stand_in_their_row() -> None:
    marks = tuple(Mark(MarkKind.COMMITTED, row, 50, "") for row in ("w-1", "w-2"))
    first, second = drawing_of(drawn(marks=marks)).signs
    assert (first.x == second.x, second.y - first.y) == (True, ROW_PX)


def test_numbers_of_the_axis_begin_again_with_each_process_and_do_not_overlap() -> None:
    ticks = drawing_of(drawn()).ticks
    assert [tick.text for tick in ticks].count("0") == 2
    places = [tick.x for tick in ticks]
    assert all(later - earlier >= 30 for earlier, later in pairwise(places))
    assert ticks[-1].x + 6 * len(ticks[-1].text) < WIDTH_PX
