"""Two things that carry one generated value in every uninterrupted run carry one after a crash."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from builders import (
    argument,
    baseline_of,
    observed,
    process,
    sent,
    snapshot,
    started,
    step_row,
    workflow_row,
)

from resumectl.judge.baseline import Baseline
from resumectl.judge.case import Case
from resumectl.judge.step_calls import broken_links
from resumectl.judge.trial_view import TrialView
from resumectl.model.events import Event, MessagesSent, StepStarted
from resumectl.model.observation import Observation
from resumectl.model.snapshot import KeyedValueRow

A, B, C = "5f0c9f3c6d1e", "9b33dd1b5c2a", "4cc4df6b7857"


def call(text: str, *, is_opaque: bool = False) -> StepStarted:
    return started("look", 1, argument(text, is_opaque=is_opaque))


def run(
    said: Mapping[str, Any],
    *events: Event,
    returned: str = "",
    given: str = "",
    output: str = "",
    received: str = "",
) -> Observation:
    """A workflow with these DBOS events: what its step returned, what it was given and returned itself.

    And what it received, as the second of its steps.
    """
    left = snapshot(
        [workflow_row(input=json.dumps(given), output=json.dumps(output))],
        [
            step_row(1, "look", json.dumps(returned)),
            step_row(2, "DBOS.recv", json.dumps(received)),
        ],
        event=[KeyedValueRow("w-1", key, json.dumps(value)) for key, value in said.items()],
    )
    return observed(process(events, left))


def broken(*runs: Observation, trial: Observation) -> list[str]:
    case = Case(TrialView(trial), baseline_of(runs), {}, (), frozenset())
    return [each.subject for each in broken_links(case)]


def test_two_events_with_one_key_are_parted_by_another_key() -> None:
    runs = [run({"key": each, "paid with": f"key {each}"}) for each in (A, B)]
    assert broken(*runs, trial=run({"key": C, "paid with": f"key {C}"})) == []
    assert broken(*runs, trial=run({"key": C, "paid with": f"key {A}"})) == ["event w-1 paid with"]
    assert broken(*runs, trial=run({"key": C})) == []  # what is not there is reported as lost


@pytest.mark.parametrize(("is_opaque", "found"), [(False, ["w-1/step-1: arguments"]), (True, [])])
def test_object_that_a_step_is_given_differs_in_each_process(
    is_opaque: bool, found: list[str]
) -> None:
    runs = [run({"key": each}, call(each, is_opaque=is_opaque)) for each in (A, B)]
    assert broken(*runs, trial=run({"key": A}, call(C, is_opaque=is_opaque))) == found


def message(text: str, *, number: int = 1) -> MessagesSent:
    """A message that the workflow sent, as a step of its own."""
    return sent(json.dumps(text), number=number)


@pytest.mark.parametrize("received", [(), (A, B)])
def test_message_that_a_body_generates_belongs_to_it_also_where_it_is_received(
    received: tuple[str, str] | tuple[()],
) -> None:
    runs = [run({"key": each}, message(each), received=each if received else "") for each in (A, B)]
    trial = run({"key": A}, message(C), received=C if received else "")
    assert broken(*runs, trial=trial) == ["w-1/step-1: message"]


def test_messages_that_hand_on_what_was_received_carry_what_comes_from_outside() -> None:
    """As from a client, that asks again with another value."""

    def handed_on(one: str, other: str) -> Observation:
        messages = message(one, number=3), message(other, number=4)
        return run({}, *messages, received=f"{one} {other}")

    assert broken(handed_on(A, A), handed_on(B, B), trial=handed_on(A, C)) == []


def test_what_a_workflow_returns_belongs_to_it() -> None:
    runs = [run({"key": each}, output=each) for each in (A, B)]
    assert broken(*runs, trial=run({"key": A}, output=C)) == ["workflow w-1: output"]


@pytest.mark.parametrize("more", [{"returned": (A, B)}, {"given": (A, B)}])
def test_what_a_step_returned_or_a_client_gave_was_not_generated_by_the_body(
    more: dict[str, tuple[str, str]],
) -> None:
    """As who did the work: each step may return another one."""
    ((name, values),) = more.items()
    runs = [run({"one": each, "other": each}, **{name: each}) for each in values]
    assert broken(*runs, trial=run({"one": A, "other": C})) == []


def test_client_may_ask_for_two_workflows_with_another_value_each_time() -> None:
    def asked(one: str, other: str) -> Observation:
        first, second = run({}, given=one).final, run({}, given=other).final
        (other_row,) = second.snapshot.workflows
        workflows = (*first.snapshot.workflows, replace(other_row, id="w-2"))
        return observed(replace(first, snapshot=replace(first.snapshot, workflows=workflows)))

    assert broken(asked(A, A), asked(B, B), trial=asked(A, C)) == []


@pytest.mark.parametrize(
    ("values", "is_generated"),
    [
        (("6f1c4f", "0a0b0c"), False),  # too short
        (("20261125140433", "20261125140502"), False),
        (("20261125T140433Z", "20261125T140502Z"), False),
        (("2026-11-25T14:04:33.123456", "2026-11-25T14:05:02.654321"), False),
        (("receipt_5f0c9f3c6d1e", "receipt_9b33dd1b5c2a"), True),
        (("1764079473123456789", "1764079499987654321"), True),  # to the nanosecond
        (("7c9e6679-7425-40de-944b-e07fc1f90ae7", "3827406b-96b4-4477-a8eb-32d02aa8c648"), True),
        (("caa11030-1fc2-43c5-addc-542759386063", "1b8f2b9e-0001-4000-8000-000000000001"), True),
        (("a76b2cf0-cd3d-11f0-8de9-0242ac120002", "b1c9d1a2-cd3d-11f0-8de9-0242ac120002"), True),
        (("order-dGhp-c2lzYQ_x-3Zh", "order-bm90-aGVyMT_y-9Kq"), True),  # secrets.token_urlsafe
        (("checkout-service-1764079473", "checkout-service-1764079499"), False),
    ],
)
def test_only_what_is_never_equal_by_chance_links(
    values: tuple[str, str], is_generated: bool
) -> None:
    runs = [run({"one": each, "other": each}) for each in values]
    found = broken(*runs, trial=run({"one": values[0], "other": values[1]}))
    assert found == (["event w-1 other"] if is_generated else [])


def test_run_whose_value_looks_like_a_time_breaks_no_link() -> None:
    runs = [run({"one": each, "other": each}) for each in (A, "542759386063", B)]
    assert broken(*runs, trial=run({"one": A, "other": C})) == ["event w-1 other"]


def test_run_with_different_values_breaks_the_link() -> None:
    runs = [run({"one": each, "other": each}) for each in (A, B)]
    runs.append(run({"one": A, "other": B}))
    assert broken(*runs, trial=run({"one": A, "other": C})) == []


def test_constant_text_beside_a_generated_value_is_no_link() -> None:
    texts = [f"checkout-service-{each}" for each in (A, B, C)]
    runs = [run({"one": each, "other": each}) for each in texts[:2]]
    found = broken(*runs, trial=run({"one": texts[0], "other": texts[2]}))
    assert found == ["event w-1 other"]


def streamed(*entries: str) -> Observation:
    rows = [KeyedValueRow("w-1", "s", json.dumps(entry)) for entry in entries]
    return observed(process((), snapshot([workflow_row()], [], stream=rows)))


def test_entries_of_a_stream_are_linked_with_each_other() -> None:
    runs = [streamed(f"{each} is opened", f"{each} is paid") for each in (A, B)]
    assert broken(*runs, trial=streamed(f"{C} is opened", f"{C} is paid")) == []
    found = broken(*runs, trial=streamed(f"{C} is opened", f"{A} is paid"))
    assert found == ["stream w-1 s: entry 2 of 2"]
    # A step writes its entry again after a crash: what was where is not known.
    assert broken(*runs, trial=streamed(f"{C} is opened", f"{A} is paid", f"{A} is paid")) == []


def test_links_of_a_deploy_are_those_of_both_programs() -> None:
    def linked(*names: str) -> Baseline:
        return baseline_of([run(dict.fromkeys(names, each)) for each in (A, B)])

    deploy = linked("one", "other").or_as(linked("one", "other", "third"))
    trial = run({"one": A, "other": C, "third": B})
    found = [str(other) for _, other in deploy.links.broken_in(TrialView(trial))]
    assert found == ["event w-1 other"]


def test_what_is_the_same_in_every_run_is_compared_as_it_is() -> None:
    runs = [run({"one": A, "other": A}) for _ in range(2)]
    assert broken(*runs, trial=run({"one": A, "other": B})) == []
