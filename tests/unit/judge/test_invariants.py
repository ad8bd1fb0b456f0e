"""What holds of every trial by itself, whatever the program does."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from builders import (
    WORKFLOW,
    checker_of,
    committed,
    crashed,
    run,
    started,
    step_row,
    workflow_row,
    working,
)

from resumectl.model.events import Event, Launched
from resumectl.model.evidence import (
    CommittedAgain,
    NeverCalled,
    NeverRecorded,
    OtherDatabase,
    RanAgain,
    RecordChanged,
    RecordLost,
)
from resumectl.model.observation import ProcessRecord
from resumectl.model.snapshot import StepRow, WorkflowRow
from resumectl.model.verdict import Finding, Kind

STEPS = [("charge", "ok"), ("ship", "ok")]


def findings(first: ProcessRecord, later: ProcessRecord) -> set[Finding]:
    return set(checker_of([run(STEPS)] * 2).check(crashed(first, later)).findings)


def left(
    record: ProcessRecord,
    *,
    steps: Sequence[StepRow] | None = None,
    workflows: Sequence[WorkflowRow] | None = None,
) -> ProcessRecord:
    rows = record.snapshot
    return replace(
        record,
        snapshot=replace(
            rows,
            steps=rows.steps if steps is None else tuple(steps),
            workflows=rows.workflows if workflows is None else tuple(workflows),
        ),
    )


def recording(*events: Event, ran: Sequence[int] = (), status: str = "SUCCESS") -> ProcessRecord:
    return working(STEPS, ran=ran, events=events, status=status)


CRASHED = recording(ran=(1, 2), status="PENDING")
CHARGE, SHIP = step_row(1, "charge", "ok"), step_row(2, "ship", "ok")
STEP_1, STEP_2 = f"{WORKFLOW}/step-1", f"{WORKFLOW}/step-2"


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (recording(), None),
        (
            left(recording(), steps=[replace(CHARGE, output="paid"), SHIP]),
            Finding(Kind.DIVERGED, STEP_1, RecordChanged("output", "ok", "paid")),
        ),
        (left(recording(), steps=[CHARGE]), Finding(Kind.LOST, STEP_2, RecordLost())),
        (
            left(recording(), workflows=[workflow_row(input="2")]),
            Finding(Kind.DIVERGED, WORKFLOW, RecordChanged("input", "1", "2")),
        ),
        (
            recording(ran=(1,)),
            Finding(Kind.RERUN, f"charge, {STEP_1}", RanAgain(2)),
        ),
    ],
)
def test_record_stays_as_it_was_at_the_crash(
    later: ProcessRecord, expected: Finding | None
) -> None:
    found = findings(CRASHED, later)
    assert (found == set()) if expected is None else (expected in found)


def test_deleted_workflow_takes_its_records_along() -> None:
    gone = left(recording(), steps=[], workflows=[])
    assert not any(isinstance(f.evidence, RecordLost) for f in findings(CRASHED, gone))


def test_recorded_step_is_called_again_before_its_workflow_ends() -> None:
    later = recording()
    skipping = replace(later, events=tuple(e for e in later.events if e.KIND != "step-replayed"))
    expected = {
        Finding(Kind.DIVERGED, STEP_1, NeverCalled("charge")),
        Finding(Kind.DIVERGED, STEP_2, NeverCalled("ship")),
    }
    assert expected <= findings(CRASHED, skipping)


def test_step_that_ran_in_two_processes_has_a_record() -> None:
    call = started("log", 9)
    found = findings(recording(call, ran=(1, 2), status="PENDING"), recording(call))
    expected = Finding(Kind.RERUN, f"log, {WORKFLOW}/step-9", NeverRecorded((1, 2)))
    assert expected in found


@pytest.mark.parametrize(("fact", "is_once"), [("step-1", True), ("claimed", False)])
def test_transition_that_becomes_true_once_is_committed_once(fact: str, is_once: bool) -> None:
    commit = committed(f"{WORKFLOW}/{fact}")
    found = findings(recording(commit, ran=(1, 2), status="PENDING"), recording(commit))
    expected = Finding(Kind.DUPLICATED, f"{WORKFLOW}/{fact}", CommittedAgain(2))
    assert (expected in found) is is_once


def launched(database: str) -> Launched:
    return Launched(1, "1", True, "local", 1, (), database)


def test_each_process_sets_the_same_system_database() -> None:
    first = recording(launched("sqlite:///a"), ran=(1, 2), status="PENDING")
    assert findings(first, recording(launched("sqlite:///a"))) == set()
    expected = Finding(
        Kind.STUCK, "the system database", OtherDatabase("sqlite:///a", "sqlite:///b")
    )
    assert findings(first, recording(launched("sqlite:///b"))) == {expected}
