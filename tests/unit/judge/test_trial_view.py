"""What the judge sees of a run: fields, counts and calls, computed once."""

import json
from dataclasses import replace

import pytest
from builders import (
    argument,
    effect,
    ended,
    observed,
    process,
    replayed,
    run,
    snapshot,
    started,
    step_row,
    trial,
    workflow_row,
)

from resumectl.judge.fields import Count, Field, FieldKind, numbered_field
from resumectl.judge.trial_view import TrialView, are_alike, effects_by_site, plain_values
from resumectl.model.events import EffectsCounted
from resumectl.model.evidence import Occurrence
from resumectl.model.snapshot import KeyedValueRow

PAID = Count(Occurrence.EFFECT, "paid", "1")


def test_fields_hold_what_dbos_recorded_and_what_the_client_got() -> None:
    left = snapshot(
        [workflow_row(output=json.dumps(1))],
        [step_row(1, "charge", json.dumps("ok")), step_row(2, "DBOS.sleep", json.dumps(99))],
        event=[KeyedValueRow("w-1", "key", json.dumps(2))],
    )
    fields = TrialView(observed(process([started("charge", 1, argument("7"))], left))).fields
    assert fields[Field(FieldKind.WORKFLOW, "w-1", "output")] == "1"
    assert fields[numbered_field("w-1", 1, "output")] == "'ok'"
    assert fields[numbered_field("w-1", 1, "arguments")] == ("7",)
    assert fields[numbered_field("w-1", 2, "name")] == "DBOS.sleep"
    assert numbered_field("w-1", 2, "output") not in fields  # the time of waking
    assert fields[Field(FieldKind.EVENT, "event w-1 key", "", "w-1")] == ["2"]
    assert fields[Field(FieldKind.ANSWER, "")] is None


def test_messages_in_an_inbox_are_in_no_order_and_those_of_a_stream_are() -> None:
    rows = tuple(KeyedValueRow("w-1", "k", json.dumps(n)) for n in (2, 1))
    left = replace(snapshot(inbox=rows), stream=rows)
    fields = TrialView(observed(process(left=left))).fields
    assert fields[Field(FieldKind.INBOX, "inbox w-1 k", "", "w-1")] == ["1", "2"]
    assert fields[Field(FieldKind.STREAM, "stream w-1 k", "", "w-1")] == ["2", "1"]


def test_received_messages_are_compared_together() -> None:
    steps = [step_row(n, "DBOS.recv", json.dumps(text)) for n, text in ((1, "b"), (2, "a"))]
    view = TrialView(observed(process(left=snapshot([workflow_row()], steps))))
    assert view.received == {"w-1": {1: "'b'", 2: "'a'"}}
    assert view.fields[Field(FieldKind.RECEIVED, "w-1", "", "w-1")] == ["'a'", "'b'"]


def test_counts_are_of_all_processes_and_of_what_the_scenario_counts() -> None:
    counted = EffectsCounted(1, {"delivery": {"1": 2}}, None)
    seen = trial([("charge", "ok")], events=[effect("paid", "1"), counted])
    first, last = seen.processes
    first = replace(first, events=(started("charge"), effect("paid", "1"), *first.events))
    counts = TrialView(replace(seen, processes=(first, last))).counts
    assert counts[PAID] == 2
    assert counts[Count(Occurrence.EFFECT, "delivery", "1")] == 2
    assert counts[Count(Occurrence.EXECUTION, "charge", "w-1/step-1")] == 2


def test_transaction_that_is_undone_with_its_process_is_not_counted() -> None:
    body = replace(started("store"), is_transaction=True)
    view = TrialView(observed(process([body, replace(ended("store"), is_transaction=True)])))
    assert (view.started, view.ended) == ({}, {})


def test_effects_that_differ_between_runs_are_told_apart_by_where() -> None:
    runs = [run([("charge", "ok")], events=[effect("paid", each)]) for each in "ab"]
    assert effects_by_site(runs) == {"paid"}
    assert effects_by_site(runs[:1] * 2) == set()
    assert Count(Occurrence.EFFECT, "paid", "w-1/step-1") in TrialView(runs[0], {"paid"}).counts


def test_view_without_a_workflow_has_no_trace_of_it() -> None:
    seen = trial([("charge", "ok")], events=[effect("paid", "1")])
    view = TrialView(seen).without(["w-1"])
    assert (view.counts, view.calls, view.committed) == ({}, ((), ()), {})
    assert {key.kind for key in view.fields} == {FieldKind.ANSWER, FieldKind.OBSERVED}
    same = TrialView(seen)
    assert same.without([]) is same
    assert same.without(["w-2"]).counts == same.counts


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (argument("1"), argument("1"), True),
        (argument("1"), argument("2"), False),
        (argument("1", is_opaque=True), argument("2", is_opaque=True), True),
        (argument("1.5", without_time="<t>"), argument("2.5", without_time="<t>"), True),
        (argument("1.5", without_time="<t>"), argument("2.5"), False),
    ],
)
def test_calls_are_alike_apart_from_objects_and_times(
    one: object, other: object, expected: bool
) -> None:
    calls = [started("charge", 1, each) for each in (one, other)]  # type: ignore[arg-type]
    assert are_alike(*calls) is expected
    assert not are_alike(calls[0], started("charge", 1, argument("1"), argument("2")))
    assert plain_values(started("f", 1, argument("1"), argument("o", is_opaque=True))) == ["1"]


def test_first_process_is_a_view_of_its_own() -> None:
    seen = trial([("charge", "ok")], first=[])
    assert TrialView(seen).first_process.observation.processes == seen.processes[:1]
    assert replayed("charge").is_refused is False
