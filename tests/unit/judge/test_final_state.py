"""What a trial ends with is compared with uninterrupted runs, and each difference is told once."""

import json
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    TIMED_OUT,
    argument,
    checker_of,
    observed,
    run,
    trial,
    workflow_row,
    working,
)

from resumectl.model.codec import Plain
from resumectl.model.events import Launched, OutsideObserved
from resumectl.model.evidence import (
    CannotObserve,
    EndedOtherwise,
    Missing,
    NotInBaseline,
    OtherArguments,
    OtherValue,
    TimedOut,
)
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.verdict import Exposure, Finding, Judgement, Kind

STEPS = [("charge", "ok")]


def judged(usual: Observation, seen: Observation) -> Judgement:
    return checker_of([usual] * 2).check(seen)


def with_last(seen: Observation, last: ProcessRecord) -> Observation:
    return replace(seen, processes=(*seen.processes[:-1], last))


def with_rows(seen: Observation, **columns: Any) -> Observation:
    last = seen.final
    (row,) = last.snapshot.workflows
    left = replace(last.snapshot, workflows=(replace(row, **columns),))
    return with_last(seen, replace(last, snapshot=left))


def test_workflow_that_ends_otherwise_has_failed_and_its_answer_is_no_finding_of_its_own() -> None:
    seen = with_rows(trial(STEPS, answer="sorry"), status="ERROR", error=json.dumps("no stock"))
    evidence = EndedOtherwise("ERROR", "SUCCESS", "'no stock'")
    assert judged(run(STEPS), seen).findings == (Finding(Kind.FAILED, "w-1", evidence),)


def test_timeout_that_passes_during_the_outage_is_an_exposure() -> None:
    usual = run(STEPS)
    launched = Launched(1, "1", True, "local", 2_000, (), "")
    seen = with_rows(trial(STEPS, events=[launched], ran=[]), status="CANCELLED")
    first, last = seen.processes
    (row,) = first.snapshot.workflows
    left = replace(first.snapshot, workflows=(replace(row, deadline_ms=1_000),))
    judgement = judged(usual, replace(seen, processes=(replace(first, snapshot=left), last)))
    assert judgement.findings == ()
    assert Exposure("w-1", 1, note=TimedOut()) in judgement.exposures


def test_answer_and_output_are_compared() -> None:
    seen = with_rows(trial(STEPS, answer="other"), output=json.dumps(2))
    judgement = judged(with_rows(run(STEPS), output=json.dumps(1)), seen)
    assert set(judgement.findings) == {
        Finding(Kind.DIVERGED, "answer", OtherValue("", "'other'", "'ok'")),
        Finding(Kind.DIVERGED, "w-1", OtherValue("output", "2", "1")),
    }


def test_workflow_that_is_not_there_is_lost_and_one_too_many_is_unexpected() -> None:
    usual = run(STEPS)
    more = replace(usual.final.snapshot, workflows=(workflow_row(), workflow_row("w-2")))
    with_two = with_last(usual, replace(usual.final, snapshot=more))
    assert Finding(Kind.LOST, "w-2", Missing()) in judged(with_two, trial(STEPS)).findings
    seen = trial(STEPS)
    seen = with_last(seen, replace(seen.final, snapshot=more))
    assert judged(usual, seen).findings == (Finding(Kind.UNEXPECTED, "w-2", NotInBaseline()),)


def look(value: Plain, error: str | None = None) -> OutsideObserved:
    return OutsideObserved(1, value, error)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (look({"sold": 1}), None),
        (
            look({"sold": 2}),
            Finding(Kind.DIVERGED, "observed sold", OtherValue("", "2", "1")),
        ),
        (look({}), Finding(Kind.LOST, "observed sold", Missing())),
        (look(None, "no table"), Finding(Kind.DIVERGED, "observe", CannotObserve("no table"))),
    ],
)
def test_outside_is_compared_as_observe_returns_it(
    seen: OutsideObserved, expected: Finding | None
) -> None:
    usual = run(STEPS, events=[look({"sold": 1})])
    found = judged(usual, trial(STEPS, events=[seen])).findings
    assert found == () if expected is None else expected in found


def test_argument_that_no_uninterrupted_run_gives_is_told() -> None:

    usual = run(STEPS, arguments=[argument("1")])
    seen = trial(STEPS, arguments=[argument("2")])
    evidence = OtherArguments(is_statement=False, given="2", usual="1")
    assert judged(usual, seen).findings == (Finding(Kind.DIVERGED, "w-1/step-1", evidence),)


def test_trial_that_is_not_complete_is_not_compared() -> None:

    seen = trial(STEPS, answer="other", status="PENDING")
    late = with_last(seen, replace(seen.final, exit=TIMED_OUT))
    assert {each.kind for each in judged(run(STEPS), late).findings} == {Kind.STUCK}
    assert observed(working(STEPS)).final.has_settled
