"""When a trial proves nothing: not killed as planned, not readable, or another program."""

from dataclasses import replace

import pytest
from builders import (
    EXITED,
    KILLED,
    PLAN,
    TIMED_OUT,
    checker_of,
    crashed,
    observed,
    process,
    run,
    target_failed,
    trial,
    working,
)

from resumectl.model.events import AccessRefused, BecameQuiet
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.verdict import Judgement, Verdict

STEPS = [("charge", "ok")]
SURVIVED = trial(STEPS)


def judged(seen: Observation) -> Judgement:
    return checker_of([run(STEPS)] * 2).check(seen)


def with_first(**changes: object) -> Observation:
    first, later = SURVIVED.processes
    return replace(SURVIVED, processes=(replace(first, **changes), later))  # type: ignore[arg-type]


def with_last(last: ProcessRecord) -> Observation:
    return replace(SURVIVED, processes=(SURVIVED.processes[0], last))


def without(kind: type, record: ProcessRecord) -> ProcessRecord:
    return replace(record, events=tuple(e for e in record.events if not isinstance(e, kind)))


@pytest.mark.parametrize(
    ("seen", "why"),
    [
        (with_first(events=()), "process 1 did not reach its crash point: killed by SIGKILL"),
        (with_first(exit=EXITED), "process 1 did not end as planned: exit status 0"),
        (with_first(exit=TIMED_OUT), "process 1 did not end as planned: ended by the runner"),
        (with_first(events=(target_failed("boom"),)), "process 1 failed: boom"),
        (observed(process(), plan=f"{PLAN},{PLAN}"), "process 1 did not reach its crash point"),
        (observed(crashed(process(), process()).processes[0], plan=f"{PLAN},{PLAN}"),
         "process 2 did not start"),
        (with_last(without(BecameQuiet, replace(working(STEPS), exit=KILLED))),
         "the last process ended before its work: killed by SIGKILL"),
        (with_last(process([AccessRefused(1, "opens x", "type y")])),
         "the last process was stopped: opens x; type y"),
        (trial(STEPS, digest="edited"), "the file of the target is not the file of the baseline"),
    ],
)  # fmt: skip
def test_trial_that_proves_nothing_says_why(seen: Observation, why: str) -> None:
    judgement = judged(seen)
    assert judgement.verdict is Verdict.VOID
    assert judgement.why_void.startswith(why)
    assert judgement.findings == ()


@pytest.mark.parametrize("number", [0, 1])
def test_process_whose_events_cannot_be_read_makes_its_trial_void(number: int) -> None:
    said = "event 3: unknown kind 'step-begun'"
    processes = list(SURVIVED.processes)
    processes[number] = replace(processes[number], events=(), unreadable=said)
    judgement = judged(replace(SURVIVED, processes=tuple(processes)))
    assert judgement.verdict is Verdict.VOID
    assert said in judgement.why_void


def test_trial_that_was_killed_as_planned_is_judged() -> None:
    judgement = judged(SURVIVED)
    assert (judgement.verdict, judgement.crashes_reached) == (Verdict.KEPT, 1)
    assert SURVIVED.processes[0].exit == KILLED
