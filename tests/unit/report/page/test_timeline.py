"""The timeline of a trial says what was executed, cut off, repeated and recovered, and where."""

from dataclasses import replace

import pytest
from builders import KILLED, observed, process, snapshot, step_row, workflow_row

from resumectl.model.events import (
    BecameQuiet,
    Committed,
    CommittedFact,
    CrashPointReached,
    EffectHappened,
    Event,
    LaunchStarted,
    MessagesSent,
    RequestEnded,
    RequestStarted,
    SentMessage,
    Site,
    StepEnded,
    StepReplayed,
    StepStarted,
)
from resumectl.model.evidence import Missing
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.verdict import Finding, Kind
from resumectl.report.page.timeline import (
    CLIENT,
    ArrowKind,
    Bar,
    BarKind,
    MarkKind,
    Timeline,
    timeline_of,
)

PLAN = "before:w-1/step-1"


def commit(at_ms: int, *names: str) -> Committed:
    return Committed(at_ms * 1000, tuple(CommittedFact(name, "") for name in names), (), ())


def started(at_ms: int, step: str, number: int = 1, workflow: str = "w-1") -> StepStarted:
    return StepStarted(at_ms * 1000, step, Site(workflow, number, None), False, False, ())


def ended(at_ms: int, step: str, number: int = 1, workflow: str = "w-1") -> StepEnded:
    return StepEnded(at_ms * 1000, step, Site(workflow, number, None), False)


def launched(at_ms: int, *events: Event) -> tuple[Event, ...]:
    return (LaunchStarted(at_ms * 1000, {}, "d"), RequestStarted(at_ms * 1000 + 1000), *events)


def whole(at_ms: int = 100) -> ProcessRecord:
    """A process that does everything, and launches at this time."""
    events = launched(
        at_ms,
        commit(at_ms + 2, "w-1/accepted"),
        started(at_ms + 3, "charge"),
        ended(at_ms + 5, "charge"),
        commit(at_ms + 6, "w-1/step-1"),
        commit(at_ms + 8, "w-1/succeeded"),
        RequestEnded((at_ms + 9) * 1000, "ok", None),
        BecameQuiet((at_ms + 10) * 1000, 0, False),
    )
    return process(events, snapshot([workflow_row()]))


def killed(*events: Event, at_ms: int = 110, status: str = "PENDING") -> ProcessRecord:
    """A process that launches at 100 ms, and is killed at a crash point."""
    left = snapshot([workflow_row(status=status)])
    last = CrashPointReached(at_ms * 1000, PLAN)
    return process((*launched(100, *events), last), left, process_exit=KILLED)


# The first process follows the baseline, which lasts 10 ms, after a pause of 1 ms.
START_MS = 11


def of(*processes: ProcessRecord, findings: tuple[Finding, ...] = (), rows: int = 10) -> Timeline:
    trial = observed(*processes, plan=PLAN)
    return timeline_of(trial, observed(whole()), findings, rows)


def bars(timeline: Timeline, kind: BarKind) -> list[tuple[str, float, float]]:
    return [(bar.name, bar.start_ms, bar.end_ms) for bar in timeline.bars if bar.kind is kind]


def test_times_count_from_the_launch_and_later_processes_follow_after_a_pause() -> None:
    timeline = of(killed(commit(102, "w-1/accepted")), whole(at_ms=9_000))
    usual, first, second = timeline.spans
    assert (usual.number, usual.start_ms, usual.end_ms, usual.killed_at) == (0, 0, 10, None)
    assert first.start_ms == START_MS > usual.end_ms
    assert (first.end_ms - first.start_ms, first.killed_at) == (10, PLAN)
    assert second.start_ms > first.end_ms
    assert second.end_ms - second.start_ms == pytest.approx(10)
    assert second.killed_at is None


def test_step_that_runs_again_is_repeated_and_joined_with_its_first_execution() -> None:
    timeline = of(killed(started(103, "charge"), ended(105, "charge")), whole(at_ms=200))
    offset = timeline.spans[2].start_ms
    assert bars(timeline, BarKind.EXECUTED) == [("charge", START_MS + 3, START_MS + 5)]
    assert bars(timeline, BarKind.REPEATED) == [("charge", offset + 3, offset + 5)]
    (joined,) = [each for each in timeline.arrows if each.kind is ArrowKind.REPETITION]
    assert (joined.start_ms, joined.end_ms) == (START_MS + 5, offset + 3)


def test_step_that_did_not_end_lasts_until_the_kill() -> None:
    timeline = of(killed(started(103, "charge")), whole(at_ms=200))
    assert bars(timeline, BarKind.INTERRUPTED) == [("charge", START_MS + 3, START_MS + 10)]
    assert len(bars(timeline, BarKind.REPEATED)) == 1


def test_request_without_an_answer_lasts_until_the_kill() -> None:
    timeline = of(killed(commit(102, "w-1/accepted")), whole(at_ms=200))
    offset = timeline.spans[2].start_ms
    alive = [
        (bar.start_ms, bar.end_ms)
        for bar in timeline.bars
        if bar.row == CLIENT and bar.kind is BarKind.ALIVE
    ]
    assert alive == [(1, 9), (START_MS + 1, START_MS + 10), (offset + 1, offset + 9)]


def test_baseline_is_drawn_from_its_own_launch() -> None:
    assert bars(of(whole(at_ms=500)), BarKind.BASELINE) == [("charge", 3, 5)]


def test_recovery_leads_to_the_first_event_of_a_workflow_that_was_unfinished() -> None:
    for status, expected in (("PENDING", [("w-1", 2)]), ("SUCCESS", [])):
        timeline = of(killed(commit(102, "w-1/accepted"), status=status), whole(at_ms=200))
        offset = timeline.spans[2].start_ms
        arrows = [each for each in timeline.arrows if each.kind is ArrowKind.RECOVERY]
        assert [(each.row, each.end_ms - offset) for each in arrows] == expected


def test_child_and_message_lead_from_row_to_row() -> None:
    left = snapshot([workflow_row(), workflow_row("w-1-1")], [step_row(1, "child", child="w-1-1")])
    message = MessagesSent(107_000, "w-1", 2, (SentMessage("w-1-1", '"go"'),))
    events = launched(100, commit(102, "w-1/accepted"), commit(104, "w-1-1/enqueued"), message)
    timeline = of(process(events, left))
    found = {each.kind: (each.row, each.end_row, each.start_ms) for each in timeline.arrows}
    assert found == {
        ArrowKind.CHILD: ("w-1", "w-1-1", START_MS + 4),
        ArrowKind.MESSAGE: ("w-1", "w-1-1", START_MS + 7),
    }


def test_marks_are_commits_answers_from_records_and_effects() -> None:
    site = Site("w-1", 1, None)
    events = launched(
        100,
        commit(102, "w-1/accepted"),
        StepReplayed(103_000, "charge", site, "charge"),
        EffectHappened(104_000, "mail", site, ("ada",)),
        StepReplayed(105_000, "pack", Site("w-1", 2, None), "ship"),
        BecameQuiet(110_000, 0, False),
    )
    marks = of(process(events)).marks
    assert [(mark.kind, mark.row, mark.at_ms) for mark in marks] == [
        (MarkKind.COMMITTED, "w-1", START_MS + 2),
        (MarkKind.REPLAYED, "w-1", START_MS + 3),
        (MarkKind.EFFECT, "w-1", START_MS + 4),
        (MarkKind.FINDING, "w-1", START_MS + 5),
    ]
    assert marks[-1].label == "pack, w-1/step-2: refused, since ship is recorded"


def test_findings_are_marked_where_they_happened_last() -> None:
    subjects = {
        "charge, w-1/step-1": 4,  # the middle of its body
        "w-1/step-1": 6,
        "w-1": 8,
        "event w-1 status": 8,
        "answer": None,
    }
    for subject, at_ms in subjects.items():
        finding = Finding(Kind.DIVERGED, subject, Missing())
        marks = of(whole(), findings=(finding,)).marks
        found = [mark.at_ms for mark in marks if mark.kind is MarkKind.FINDING]
        assert found == ([] if at_ms is None else [START_MS + at_ms]), subject


def test_what_happens_after_all_is_quiet_is_not_drawn() -> None:
    record = whole()
    late = commit(150, "orders/inserted")
    timeline = of(replace(record, events=(*record.events, late)))
    assert "orders" not in timeline.rows
    assert timeline.end_ms == START_MS + 10


def test_rows_with_findings_and_repetitions_stay_if_there_are_too_many() -> None:
    others = [commit(102, f"w-{n}/accepted") for n in range(2, 30)]
    first = killed(*others, started(103, "charge", workflow="w-29"))
    finding = Finding(Kind.LOST, "w-28", Missing())
    timeline = of(first, whole(at_ms=200), findings=(finding,), rows=4)
    assert {"w-28", "w-29", "w-1"} <= set(timeline.rows)
    assert len(timeline.rows) == 4
    assert timeline.other_rows == 26
    assert all(isinstance(bar, Bar) and bar.row in timeline.rows for bar in timeline.bars)


def test_process_without_events_is_drawn_as_nothing() -> None:
    timeline = of(killed(), process(()))
    assert timeline.spans[2].start_ms == timeline.spans[2].end_ms
    trial: Observation = observed(process(()))
    assert timeline_of(trial, observed(process(())), (), 4).end_ms == 1
