"""What is wrong with a run that nothing interrupted."""

from dataclasses import replace
from typing import Any

import pytest
from builders import (
    TIMED_OUT,
    observed,
    process,
    snapshot,
    step_row,
    target_failed,
    workflow_row,
    working,
)

from resumectl.judge.baseline_health import CHANGED, baseline_problem, problem_beside, suggested_fix
from resumectl.model.events import (
    EffectsCounted,
    ErrorLogged,
    Event,
    Launched,
    LaunchStarted,
    OutsideObserved,
    RequestEnded,
    Stranded,
)
from resumectl.model.observation import Observation
from resumectl.model.target_error import NotAFunction, TargetError

LAUNCH = LaunchStarted(1, {}, "d")
LAUNCHED = Launched(2, "1", False, "local", 0, (), "")
HEALTHY = observed(working([("charge", "ok")]))


def late(
    *rows: Any, steps: tuple[Any, ...] = (), events: tuple[Event, ...] = (LAUNCH,)
) -> Observation:
    """A run that did not end in time."""
    return observed(process(events, snapshot(rows, steps), process_exit=TIMED_OUT), seconds=30.0)


def pending(**columns: Any) -> Any:
    return workflow_row(**{"status": "PENDING", **columns})


@pytest.mark.parametrize(
    ("run", "problem", "fix"),
    [
        (HEALTHY, "", None),
        (observed(process([target_failed("boom")])), "boom", None),
        (observed(process([LAUNCH])), "its process ended before its work: exit status 0", None),
        (
            observed(process([RequestEnded(1, None, TargetError("no stock", NotAFunction()))])),
            "no stock",
            None,
        ),
        (
            observed(process([RequestEnded(1, 1, None), OutsideObserved(1, None, "no table")])),
            "its observe: no table",
            "correct the Scenario's observe",
        ),
        (
            observed(process([RequestEnded(1, 1, None), EffectsCounted(1, {}, "no list")])),
            "its effects: no list",
            "correct the Scenario's observe, or its effects",
        ),
        (late(events=()), "it does not end within 30 s; it did not launch DBOS", "--timeout 300"),
        (
            late(),
            "all of its workflows ended, but the request still waits",
            "correct the workflow that waits for ever",
        ),
        (
            late(pending(), steps=(step_row(1, "DBOS.sleep", "1600.5"),)),
            "w-1 is still PENDING in a DBOS.sleep",
            "--max-sleep 0.5",
        ),
        (
            late(pending(), steps=(step_row(2, "DBOS.sleep", "1600.5"),)),
            "w-1 is still PENDING waiting for a message or an event",
            "send it what it waits for",
        ),
        (
            late(pending(status="ENQUEUED", queue="mail")),
            "w-1 is still ENQUEUED on queue mail, which is full or not served",
            "let the queue mail run more at a time",
        ),
        (
            late(pending(status="DELAYED", queue="mail")),
            "since its delay is longer than that",
            "shorter delay_seconds",
        ),
        (
            late(pending(), events=(LAUNCH, ErrorLogged(1, "w-1: no class"))),
            "w-1 is still PENDING; DBOS logged: w-1: no class",
            "correct the error that DBOS logged",
        ),
        (
            observed(process([LAUNCH, Stranded(1, ("w-1",), ())], snapshot([pending()]))),
            "none of its workflows can continue; w-1 is still PENDING",
            "correct the workflow that waits for ever",
        ),
    ],
)
def test_problem_of_an_uninterrupted_run(run: Observation, problem: str, fix: str | None) -> None:
    found = baseline_problem(run)
    assert problem in found
    assert bool(found) is bool(problem)
    if fix is not None:
        assert fix in suggested_fix(run)


def test_changed_file_is_a_problem_beside_the_first_run() -> None:
    edited = observed(working([("charge", "ok")], digest="edited"))
    assert problem_beside(edited, HEALTHY) == CHANGED
    assert problem_beside(HEALTHY, HEALTHY) == ""
    failed = replace(HEALTHY, processes=(process([target_failed("boom")]),))
    assert problem_beside(failed, HEALTHY) == "boom"


@pytest.mark.parametrize(("wait_s", "limit"), [(1_800.0, "--timeout 2400"), (3_600.0, None)])
def test_more_time_is_suggested_as_far_as_a_user_can_set_it(
    wait_s: float, limit: str | None
) -> None:
    waiting = step_row(2, "DBOS.sleep", str(wait_s))
    fix = suggested_fix(late(pending(), steps=(waiting,), events=(LAUNCH, LAUNCHED)))
    assert fix.startswith("send it what it waits for")
    assert fix.partition("give it more time:  ")[2] == (limit or "")
