"""Which workflows are stuck, and what is said of why."""

from dataclasses import replace
from typing import Any

import pytest
from builders import TIMED_OUT, checker_of, crashed, run, workflow_row, working

from resumectl.model.events import ErrorLogged, Event, Launched, Stranded
from resumectl.model.evidence import NoAnswer, WorkflowStuck
from resumectl.model.snapshot import WorkflowRow
from resumectl.model.verdict import Finding, Kind

STEPS = [("charge", "ok")]
LAUNCHED = Launched(1, "2", True, "shop", 1, (), "")
PENDING = workflow_row(status="PENDING", executor="shop", version="2")


def findings(*rows: WorkflowRow, events: tuple[Event, ...] = (), **changes: Any) -> list[Finding]:
    last = working(STEPS, events=events)
    left = replace(last.snapshot, workflows=rows)
    last = replace(last, snapshot=left, **changes)
    seen = crashed(working(STEPS, status="PENDING"), last)
    found = checker_of([run(STEPS)] * 2).check(seen).findings
    return [each for each in found if each.kind is Kind.STUCK]


def why(row: WorkflowRow, *events: Event) -> WorkflowStuck:
    stranded = Stranded(1, (row.id,), ())
    (finding,) = findings(row, events=(LAUNCHED, *events, stranded))
    assert isinstance(finding.evidence, WorkflowStuck)
    return finding.evidence


def test_process_that_settles_leaves_nothing_stuck() -> None:
    assert findings(PENDING) == []


def test_version_and_executor_that_differ_are_told() -> None:
    assert (why(PENDING).version, why(PENDING).process_executor) == ("", "")
    other = why(replace(PENDING, version="1"))
    assert (other.version, other.process_version, other.process_executor) == ("1", "2", "")
    other = why(replace(PENDING, executor="shop-7"))
    assert (other.executor, other.process_executor) == ("shop-7", "shop")
    # A queue is served by any executor.
    other = why(replace(PENDING, executor="shop-7", status="ENQUEUED", queue="mail"))
    assert (other.process_executor, other.queue) == ("", "mail")


def test_last_error_that_dbos_logged_of_it_is_told() -> None:
    logged = [ErrorLogged(1, "w-1: old"), ErrorLogged(1, "w-1: no class"), ErrorLogged(1, "w-2: x")]
    assert why(PENDING, *logged).logged == "w-1: no class"


def test_workflow_that_waits_for_a_stranded_one_is_no_finding_of_its_own() -> None:
    parent = replace(PENDING, id="w-0")
    (finding,) = findings(PENDING, parent, events=(LAUNCHED, Stranded(1, ("w-1",), ())))
    assert isinstance(finding.evidence, WorkflowStuck)
    assert (finding.subject, finding.evidence.waiting) == ("w-1", ("w-0",))


@pytest.mark.parametrize("rows", [(), (workflow_row(),)])
def test_request_without_an_answer_is_stuck(rows: tuple[WorkflowRow, ...]) -> None:
    assert findings(*rows, exit=TIMED_OUT) == [Finding(Kind.STUCK, "the request", NoAnswer())]


def test_process_without_a_launch_says_what_it_can() -> None:
    (finding,) = findings(PENDING, exit=TIMED_OUT)
    assert isinstance(finding.evidence, WorkflowStuck)
    assert (finding.evidence.is_time_up, finding.evidence.version) == (True, "")
