"""The checks together: each is composed, and what they find is told once and in order."""

import inspect
import pkgutil
from dataclasses import replace
from importlib import import_module

from builders import (
    checker_of,
    committed,
    observed,
    process,
    run,
    sent,
    snapshot,
    trial,
    workflow_row,
    working,
)

import resumectl.judge
from resumectl.judge.case import Check
from resumectl.judge.checker import CHECKS
from resumectl.model.events import StartedWorkflow, TargetImported
from resumectl.model.evidence import BrokenLink, StartedByImport
from resumectl.model.snapshot import KeyedValueRow
from resumectl.model.verdict import Exposure, Finding, Kind, Verdict

STEPS = [("charge", "ok")]


def test_every_check_of_the_package_is_composed_once() -> None:
    modules = [
        import_module(f"resumectl.judge.{each.name}")
        for each in pkgutil.iter_modules(resumectl.judge.__path__)
    ]
    checks = {
        function
        for module in modules
        for _, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and is_check(function)
    }
    assert checks == set(CHECKS)
    assert len(checks) == len(CHECKS)


def is_check(function: Check) -> bool:
    signature = inspect.signature(function)
    takes = [each.annotation for each in signature.parameters.values()]
    is_public = not function.__name__.startswith("_")
    return is_public and [getattr(each, "__name__", each) for each in takes] == ["Case"]


def test_finding_that_two_processes_show_is_told_once_and_all_are_sorted() -> None:
    judgement = checker_of([run(STEPS)] * 2).check(
        trial([("charge", "other"), ("refund", "x")], answer="other")
    )
    keys = [(each.kind, each.subject) for each in judgement.findings]
    assert judgement.verdict is Verdict.BROKEN
    assert keys == sorted(set(keys))


def test_message_that_is_sent_again_and_not_received_is_an_exposure() -> None:
    notified = committed(("w-1/notified", "paid"))
    usual = run(STEPS, events=[notified])
    inbox = [KeyedValueRow("w-1", "paid", "1")]
    seen = trial(STEPS, events=[notified])
    first, last = seen.processes
    last = replace(last, snapshot=replace(last.snapshot, inbox=tuple(inbox)))
    seen = replace(seen, processes=(replace(first, events=(*first.events, notified)), last))
    judgement = checker_of([usual] * 2).check(seen)
    assert judgement.findings == ()
    assert Exposure("message to w-1 paid", 2) in judgement.exposures


def test_two_things_that_carry_one_generated_value_are_compared_with_each_other() -> None:
    one, other = "5f0c9f3c6d1e", "9b33dd1b5c2a"

    def said(key: str, paid_with: str) -> tuple[KeyedValueRow, ...]:
        return KeyedValueRow("w-1", "key", f'"{key}"'), KeyedValueRow(
            "w-1", "paid with", f'"{paid_with}"'
        )

    def ended(key: str, paid_with: str) -> object:
        seen = working(STEPS)
        return replace(seen, snapshot=replace(seen.snapshot, event=said(key, paid_with)))

    runs = [observed(ended(each, each)) for each in (one, other)]  # type: ignore[arg-type]
    seen = trial(STEPS)
    broken = replace(seen, processes=(seen.processes[0], ended(one, other)))  # type: ignore[arg-type]
    evidence = BrokenLink("event w-1 key")
    expected = Finding(Kind.DIVERGED, "event w-1 paid with", evidence)
    assert checker_of(runs).check(broken).findings == (expected,)


def test_workflow_that_an_import_starts_once_more_is_an_exposure() -> None:
    usual = run(STEPS)
    seen = trial(STEPS)
    first, last = seen.processes
    alias = "~work of the client no. 2"
    imported = TargetImported(1, (StartedWorkflow(alias, "work"),))
    more = replace(last.snapshot, workflows=(*last.snapshot.workflows, workflow_row(alias)))
    last = replace(last, events=(imported, *last.events), snapshot=more)
    judgement = checker_of([usual] * 2).check(replace(seen, processes=(first, last)))
    assert judgement.findings == ()
    assert Exposure(alias, 2, note=StartedByImport()) in judgement.exposures


def test_message_that_a_body_sends_is_no_message_of_a_client() -> None:
    usual = run(STEPS, events=[sent("1")])
    assert checker_of([usual] * 2).check(trial(STEPS, events=[sent("1")])).findings == ()
    assert process(left=snapshot()).has_settled
