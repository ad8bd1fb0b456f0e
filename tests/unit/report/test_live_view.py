"""A frame of `watch` names what is under way first, and fits a narrow terminal."""

import pytest
from rich.text import Text

from resumectl.publishing.store.live_counts import (
    NOTHING,
    Live,
    LiveBatch,
    LiveDelivery,
    LiveProcess,
    LiveQueue,
)
from resumectl.report import console
from resumectl.report.live_view import Frame, LiveSweep, first_lines, live_document, live_view

HOSTILE = "[red]\x1b[2J\u202e"


def process(number: int, state: str) -> LiveProcess:
    return LiveProcess(number, "publish", "local", 1234, state, 7, 6)


def frame(name: str = "alpha-1") -> Frame:
    live = Live(
        processes=[process(n, "done") for n in range(20, 3, -1)]
        + [process(3, "frozen"), process(2, "killed"), process(1, "running")],
        batches=[LiveBatch(f"{name}{n}", 5, 5, "SUCCESS") for n in range(20)]
        + [LiveBatch(name, 5, 3, "PENDING")],
        queues=[LiveQueue(name, 2, 1)],
        deliveries=1234,
        newest=[LiveDelivery(0, name, 1)],
    )
    sweeps = [LiveSweep(n, name, 8, {"KEPT": 8}, "ended") for n in range(9, 1, -1)]
    sweeps.append(LiveSweep(1, name, 8, {"KEPT": 2, "BROKEN": 1}, "running"))
    return Frame(f"sqlite:///{name}", 0, live, sweeps, {"deliveries": 12.34}, "")


def text(shown: Frame, width: int = 120) -> list[str]:
    return [line.plain for line in console.lines(*live_view(shown), width=width)]


def test_what_is_under_way_comes_first_and_what_has_ended_is_cut() -> None:
    lines = text(frame())
    assert "1,234 deliveries   12.3 deliveries per second" in lines[0]
    rows = [line.split() for line in lines]
    processes = [row for row in rows if "publish" in row]
    assert [row[2] for row in processes] == ["frozen", "running", *["done"] * 5]
    assert processes[0][:5] == ["3", "publish", "frozen", "7", "6"]
    batches = [row for row in rows if row[1:2] in (["PENDING"], ["SUCCESS"])]
    assert (batches[0][0], len(batches)) == ("alpha-1", 6)
    sweeps = [row for row in rows if row[-1:] in (["running"], ["ended"]) and row[0].isdecimal()]
    assert [row[0] for row in sweeps] == ["1", "9", "8", "7", "6", "5"]
    assert sweeps[0][2:] == ["3", "8", "2", "1", "·", "·", "running"]


@pytest.mark.parametrize("width", [40, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    assert max(map(len, text(frame(), width))) <= width


def test_text_of_the_program_is_shown_as_it_is() -> None:
    whole = "\n".join(text(frame(HOSTILE)))
    assert "[red]\\x1b[2J\\u202e" in whole
    assert not {"\x1b", "\u202e"} & set(whole)


def test_empty_database_is_one_sentence() -> None:
    empty = Frame("sqlite:///x", 0, NOTHING, (), {}, "")
    assert text(empty)[2:] == ["nothing has been published or swept yet"]
    assert live_document(empty)["processes"] == []


@pytest.mark.parametrize(
    ("height", "expected"),
    [
        (9, ["1", "2", "3", "4"]),
        (4, ["1", "2", "3", "4"]),
        (3, ["1", "2", "2 more lines: watch --once"]),
        (0, ["1", "3 more lines: watch --once"]),
    ],
)
def test_small_terminal_shows_the_first_lines(height: int, expected: list[str]) -> None:
    lines = [Text(str(number)) for number in range(1, 5)]
    assert [line.plain for line in first_lines(lines, height)] == expected
