"""An event file is read to the last whole line, and a damaged one is refused."""

from pathlib import Path

import pytest
from builders import effect, sent, started

from resumectl.model.codec import SchemaError
from resumectl.model.event_file import line_of, read_events

EVENTS = (started("charge"), effect("mail", "x"), sent("hello"))


def test_events_are_read_back_in_their_order(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(b"".join(line_of(event) for event in EVENTS))
    assert read_events(path) == EVENTS
    assert read_events(str(path)) == EVENTS


def test_line_that_the_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "events"
    for cut in range(1, len(line_of(EVENTS[2]))):
        path.write_bytes(line_of(EVENTS[0]) + line_of(EVENTS[2])[:-cut])
        assert read_events(path) == EVENTS[:1]


def test_process_that_ended_before_its_first_event_has_none(tmp_path: Path) -> None:
    assert read_events(tmp_path / "events") == ()


@pytest.mark.parametrize("line", [b"{\n", b"\xff\n", b"[]\n", b'{"kind": "step-begun"}\n', b"\n"])
def test_damaged_line_is_refused_with_its_number(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "events"
    path.write_bytes(line_of(EVENTS[0]) + line + line_of(EVENTS[1]))
    with pytest.raises(SchemaError, match=r"^event 2: "):
        read_events(path)


def test_text_of_the_program_takes_one_line(tmp_path: Path) -> None:
    event = sent("two\nlines\u2028\u0000")
    assert line_of(event).count(b"\n") == 1
    path = tmp_path / "events"
    path.write_bytes(line_of(event))
    assert read_events(path) == (event,)
