"""A process that recovers and ends itself is a failure of the program."""

from dataclasses import replace

import pytest
from builders import (
    EXITED,
    KILLED,
    checker_of,
    observed,
    process,
    run,
    started,
    target_failed,
    trial,
    working,
)

from resumectl.model.events import BecameQuiet
from resumectl.model.evidence import ProcessEnded
from resumectl.model.observation import ProcessRecord
from resumectl.model.process_exit import ProcessExit
from resumectl.model.verdict import Finding, Kind, Verdict

STEPS = [("charge", "ok")]
SEGFAULT = ProcessExit(pid=1, signal=11, exit_status=None, in_time=True)


def without_end(exit_of: ProcessExit) -> ProcessRecord:
    """A process that began its step again, and then ended."""
    record = working(STEPS, events=[started("charge")], ran=[], status="PENDING")
    events = tuple(e for e in record.events if not isinstance(e, BecameQuiet))
    return replace(record, events=events, exit=exit_of)


@pytest.mark.parametrize(
    ("last", "evidence"),
    [
        (without_end(EXITED), ProcessEnded("exit status 0", "charge, w-1/step-1")),
        (without_end(SEGFAULT), ProcessEnded("killed by SIGSEGV", "charge, w-1/step-1")),
        (process([target_failed("boom")]), ProcessEnded("boom", "")),
    ],
)
def test_process_that_ends_itself_is_the_one_finding(
    last: ProcessRecord, evidence: ProcessEnded
) -> None:
    seen = observed(trial(STEPS).processes[0], last, plan=trial(STEPS).plan)
    judgement = checker_of([run(STEPS)] * 2).check(seen)
    assert judgement.findings == (Finding(Kind.FAILED, "process 2", evidence),)
    assert judgement.verdict is Verdict.BROKEN


def test_process_that_is_killed_from_outside_proves_nothing() -> None:
    seen = observed(trial(STEPS).processes[0], without_end(KILLED), plan=trial(STEPS).plan)
    assert checker_of([run(STEPS)] * 2).check(seen).verdict is Verdict.VOID
