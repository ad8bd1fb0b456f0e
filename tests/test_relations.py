"""What carries one value made by chance in every uninterrupted run carries one after a crash."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from resumectl.judge.linked_values import carried_together, torn_apart
from resumectl.model.observation import LifeSeen, Observation

A, B, C = "5f0c9f3c6d1e", "9b33dd1b5c2a", "4cc4df6b7857"


def call(payload: str, *, opaque: Sequence[int] = ()) -> Mapping[str, Any]:
    """Of the body of the workflow's step."""
    where = {"step": "look", "workflow": "w-1", "number": 1, "transaction": False, "begun_in": None}
    return {"kind": "ran", **where, "payload": [payload], "opaque": opaque}


def run(
    events: Mapping[str, Any],
    *calls: Mapping[str, Any],
    returned: str = "",
    given: str = "",
    output: str = "",
    received: str = "",
) -> Observation:
    """A workflow that has set these events; what its step returned, what it was given, its own.

    And what it received, as the second of its steps.
    """
    workflow: dict[str, Any] = dict.fromkeys(
        ("error", "parent", "priority", "user", "roles", "timeout_ms", "partition")
    )
    step = {"workflow": "w-1", "number": 1, "name": "look", "error": None, "child": None}
    left = {
        "workflows": [
            workflow
            | {"id": "w-1", "name": "work", "status": "SUCCESS", "input": json.dumps(given)}
            | {"output": json.dumps(output)}
        ],
        "steps": [
            step | {"output": json.dumps(returned)},
            step | {"number": 2, "name": "DBOS.recv", "output": json.dumps(received)},
        ],
        "event": [
            {"workflow": "w-1", "key": key, "value": json.dumps(value)}
            for key, value in events.items()
        ],
        "stream": [],
        "inbox": [],
    }
    return Observation("", [LifeSeen(calls, "ended", None, 0, True, left)], 1.0)


def torn(*runs: Observation, trial: Observation) -> list[str]:
    return [each.subject for each in torn_apart(trial, carried_together(runs))]


def test_two_events_with_one_key_are_torn_apart_by_another() -> None:
    runs = [run({"key": each, "paid with": f"key {each}"}) for each in (A, B)]
    assert torn(*runs, trial=run({"key": C, "paid with": f"key {C}"})) == []
    assert torn(*runs, trial=run({"key": C, "paid with": f"key {A}"})) == ["event w-1 paid with"]
    assert torn(*runs, trial=run({"key": C})) == []  # what is not there is told as lost


@pytest.mark.parametrize(("opaque", "found"), [((), ["w-1/step-1: arguments"]), ([0], [])])
def test_an_object_that_a_step_is_given_is_another_in_each_life(
    opaque: Sequence[int], found: list[str]
) -> None:
    runs = [run({"key": each}, call(each, opaque=opaque)) for each in (A, B)]
    assert torn(*runs, trial=run({"key": A}, call(C, opaque=opaque))) == found


def message(text: str, *, number: int = 1) -> Mapping[str, Any]:
    """That the workflow sent, as a step of its own."""
    sent = {"workflow": "w-1", "number": number, "messages": [json.dumps(text)]}
    return {"kind": "sent", **sent}


@pytest.mark.parametrize("received", [(), (A, B)])
def test_what_a_body_makes_and_sends_belongs_to_it_also_where_it_is_received(
    received: tuple[str, str] | tuple[()],
) -> None:
    runs = [run({"key": each}, message(each), received=each if received else "") for each in (A, B)]
    trial = run({"key": A}, message(C), received=C if received else "")
    assert torn(*runs, trial=trial) == ["w-1/step-1: message"]


def test_messages_that_hand_on_what_was_received_carry_what_comes_from_outside() -> None:
    """As from a client, that asks again with another value."""

    def handed_on(one: str, other: str) -> Observation:
        messages = message(one, number=3), message(other, number=4)
        return run({}, *messages, received=f"{one} {other}")

    assert torn(handed_on(A, A), handed_on(B, B), trial=handed_on(A, C)) == []


def test_what_a_workflow_returns_belongs_to_it() -> None:
    runs = [run({"key": each}, output=each) for each in (A, B)]
    assert torn(*runs, trial=run({"key": A}, output=C)) == ["workflow w-1: output"]


@pytest.mark.parametrize("more", [{"returned": (A, B)}, {"given": (A, B)}])
def test_what_a_step_returned_or_a_client_gave_was_not_made_by_the_body(
    more: dict[str, tuple[str, str]],
) -> None:
    """As who did the work: each step may return another one."""
    ((name, values),) = more.items()
    runs = [run({"one": each, "other": each}, **{name: each}) for each in values]
    assert torn(*runs, trial=run({"one": A, "other": C})) == []


def test_a_client_may_ask_for_two_workflows_with_another_value_each_time() -> None:
    def asked(one: str, other: str) -> Observation:
        first, second = run({}, given=one).final, run({}, given=other).final
        second.left["workflows"][0]["id"] = "w-2"
        first.left["workflows"].append(second.left["workflows"][0])
        return Observation("", [first], 1.0)

    assert torn(asked(A, A), asked(B, B), trial=asked(A, C)) == []


@pytest.mark.parametrize(
    ("values", "is_by_chance"),
    [
        (("6f1c4f", "0a0b0c"), False),  # too short
        (("20261125140433", "20261125140502"), False),
        (("20261125T140433Z", "20261125T140502Z"), False),
        (("2026-11-25T14:04:33.123456", "2026-11-25T14:05:02.654321"), False),
        (("receipt_5f0c9f3c6d1e", "receipt_9b33dd1b5c2a"), True),
        (("1764079473123456789", "1764079499987654321"), True),  # to the nanosecond
        (("7c9e6679-7425-40de-944b-e07fc1f90ae7", "3827406b-96b4-4477-a8eb-32d02aa8c648"), True),
    ],
)
def test_what_is_never_the_same_twice(values: tuple[str, str], is_by_chance: bool) -> None:
    runs = [run({"one": each, "other": each}) for each in values]
    torn_by_a_crash = torn(*runs, trial=run({"one": values[0], "other": values[1]}))
    assert torn_by_a_crash == (["event w-1 other"] if is_by_chance else [])


def test_what_is_the_same_in_every_run_is_compared_as_it_is() -> None:
    runs = [run({"one": A, "other": A}) for _ in range(2)]
    assert torn(*runs, trial=run({"one": A, "other": B})) == []
