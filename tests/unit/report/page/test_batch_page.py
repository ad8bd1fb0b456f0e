"""The page of a batch draws who delivered what, when, and what was delivered again."""

import pytest

from resumectl.publishing.store.batch_history import BatchHistory
from resumectl.publishing.store.records import ProcessSeen
from resumectl.publishing.store.state import BatchState, Counts, PublisherState, State
from resumectl.publishing.store.workflows import StepSeen, WorkflowSeen
from resumectl.report.page.batch_page import batch_page
from resumectl.report.page.drawing import WIDTH_PX

BEGAN = 1_700_000_000_000


def process(number: int, start: int, end: int | None, ended: str) -> ProcessSeen:
    finish = None if end is None else BEGAN + end
    return ProcessSeen(number, "local", "v", "publish", 1, "here", BEGAN + start, finish, ended)


def workflow(workflow_id: str) -> WorkflowSeen:
    return WorkflowSeen(
        workflow_id, "deliver", "a", False, "SUCCESS", None, 1, "local", "v", BEGAN, None, None, 1,
        0, None,
    )  # fmt: skip


def history(*processes: ProcessSeen, repeated: int = 0, pending: int = 0) -> BatchHistory:
    counts = Counts(expected=2, delivered=2 - pending, repeated=repeated, pending=pending)
    batch = BatchState("a-1", "a", "exactly-once", "SUCCESS", counts)
    step = StepSeen(1, "deliver", None, False, BEGAN + 10, BEGAN + 40, (1,))
    return BatchHistory(
        state=State((PublisherState("a", (batch,), 2, ()),)),
        workflows=[workflow("a-1"), workflow("a-1-1")],
        other_workflows=3,
        steps={"a-1": [], "a-1-1": [step]},
        deliveries={"a-1": [], "a-1-1": [(1, BEGAN + 20), (2, BEGAN + 120)]},
        processes=processes,
    )


KILLED, RECOVERS = process(1, 0, None, "killed"), process(2, 100, 200, "done")


def test_delivery_that_is_repeated_is_marked_and_joined() -> None:
    page = batch_page(history(KILLED, RECOVERS, repeated=1))
    assert page.verdict == "BROKEN"
    drawing = page.drawing
    assert drawing is not None
    assert [sign.kind for sign in drawing.signs] == ["effect", "finding"]
    assert drawing.signs[1].title == "a-1-1 delivered by process 2, again"
    assert [line.kind for line in drawing.lines] == ["repetition", "kill"]
    assert (drawing.labels, drawing.other_rows) == (["a-1", "a-1-1"], 3)


def test_killed_process_ends_with_the_last_that_is_known_of_it() -> None:
    drawing = batch_page(history(KILLED, RECOVERS)).drawing
    assert drawing is not None
    first, pause, second = drawing.bands
    assert [band.kind for band in drawing.bands] == ["process", "pause", "process"]
    (step,) = [box for box in drawing.boxes if box.kind == "executed"]
    assert step.x + step.width <= first.x + first.width + 0.2
    assert pause.x < second.x


@pytest.mark.parametrize("first_end", [150, 900])  # before the other one, and long after it
def test_processes_at_the_same_time_have_no_pause(first_end: int) -> None:
    workers = process(1, 0, first_end, "done"), process(2, 100, 200, "done")
    drawing = batch_page(history(*workers)).drawing
    assert drawing is not None
    assert [band.kind for band in drawing.bands] == ["process", "process"]
    assert max(band.x + band.width for band in drawing.bands) == pytest.approx(WIDTH_PX)


def test_batch_that_no_process_ran_has_no_drawing() -> None:
    page = batch_page(history(pending=2))
    assert (page.drawing, page.verdict) == (None, "VOID")
    assert ("resume it", "resumectl resume") in page.commands
