"""What crosses a process boundary is read back exactly, or refused with what is wrong."""

import json
from dataclasses import dataclass, fields, replace
from typing import Any, ClassVar, get_type_hints

import pytest
from builders import run, trial

from resumectl.model.codec import SchemaError, any_of, from_json, from_plain, to_json, to_plain
from resumectl.model.crash_plan import Edge
from resumectl.model.events import EVENT_SCHEMA, EVENTS, Argument, Site, StepStarted
from resumectl.model.evidence import Evidence, Note
from resumectl.model.observation import Observation, observation_from_plain
from resumectl.model.orders import REPLIES, REQUESTS, KillProcess, OwnDatabases
from resumectl.model.promise import Promise
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Access, Target

STARTED = StepStarted(1, "charge", Site("w-1", 1, None), False, True, (Argument("'x'", False, ()),))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"is_retry": None}, "StepStarted: NoneType where bool is expected"),
        ({"at_us": True}, "StepStarted: bool where int is expected"),
        ({"at_us": "1"}, "StepStarted: str where int is expected"),
        ({"site": {"workflow": "w-1", "step_number": 1}}, "StepStarted: Site has no begun_in"),
        ({"arguments": "x"}, "StepStarted: str where a list is expected"),
        ({"arguments": [{}]}, "StepStarted: Argument has no is_opaque"),
        ({"is_rerty": True}, "StepStarted has an unknown field is_rerty"),
        ({"kind": "step-begun"}, "unknown kind 'step-begun'"),
    ],
)
def test_damaged_event_is_refused_with_what_is_wrong(change: dict[str, Any], said: str) -> None:
    plain = to_plain(STARTED)
    assert any_of(EVENTS, plain) == STARTED
    with pytest.raises(SchemaError) as error:
        any_of(EVENTS, plain | change)
    assert str(error.value) == said


@pytest.mark.parametrize("name", [each.name for each in fields(StepStarted)])
def test_missing_field_has_no_default(name: str) -> None:
    plain = {key: value for key, value in to_plain(STARTED).items() if key != name}
    with pytest.raises(SchemaError, match=f"^StepStarted has no {name}$"):
        any_of(EVENTS, plain)


@pytest.mark.parametrize("plain", [None, 1, [], {}, {"kind": []}, "x"])
def test_what_is_no_event_is_refused(plain: Any) -> None:
    with pytest.raises(SchemaError, match="unknown kind"):
        any_of(EVENTS, plain)


@pytest.mark.parametrize("kinds", [EVENTS, REQUESTS, REPLIES, Evidence.__args__, Note.__args__])
def test_every_kind_has_a_name_of_its_own_and_no_default(kinds: tuple[Any, ...]) -> None:
    assert len({each.KIND for each in kinds}) == len(kinds)
    for kind in kinds:
        assert kind.__dataclass_params__.frozen
        # A field with a default could be left out by a writer that misspells it.
        optional = [f.name for f in fields(kind) if f.default is not f.default_factory]
        assert optional == [], kind
        assert get_type_hints(kind)


def test_sweep_is_read_back_as_it_was_told() -> None:
    target = Target(("/shop.py", "f"), args=({"a": [1, None]},), access=Access(hosts=("h:1",)))
    told = SweepSpec(target, replace(target, app_version="2"), {"charge": Promise.EXACTLY_ONCE},
                     timeout_s=2, edge=Edge.AFTER)  # fmt: skip
    found = from_json(SweepSpec, to_json(told))
    assert found == replace(told, target=replace(target, args=({"a": [1, None]},)))
    assert found.promises["charge"] is Promise.EXACTLY_ONCE
    assert isinstance(found.target.access.hosts, tuple)


def test_observation_is_read_back_and_one_of_another_schema_is_refused() -> None:
    for seen in (run([("look", "x")]), trial([("look", "x")], first=[("look", "x")])):
        plain = json.loads(json.dumps(seen.as_plain()))
        assert observation_from_plain(plain) == seen
    with pytest.raises(SchemaError, match=f"schema 4, and this resumectl reads {EVENT_SCHEMA}"):
        observation_from_plain(plain | {"schema": 4})
    with pytest.raises(SchemaError, match="Observation has no plan"):
        observation_from_plain({key: value for key, value in plain.items() if key != "plan"})
    assert isinstance(observation_from_plain(plain), Observation)


@dataclass(frozen=True, slots=True)
class _Holder:
    KIND: ClassVar[str] = "holder"
    value: object


def test_object_of_a_program_is_no_plain_data() -> None:
    with pytest.raises(TypeError, match="set is no plain data"):
        to_plain(_Holder({1}))
    assert to_plain(KillProcess(3)) == {"kind": "kill-process", "number": 3}
    assert "kind" not in to_plain(Access())
    assert from_plain(OwnDatabases, to_plain(OwnDatabases("url", "me"))) == OwnDatabases(
        "url", "me"
    )
