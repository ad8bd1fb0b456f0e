"""Events are distinct, typed data, and a change of their shape is a change of the schema."""

import dataclasses
import hashlib
from collections.abc import Iterator
from typing import Any, get_args, get_type_hints

import pytest

from resumectl.model.events import EVENT_SCHEMA, EVENTS, Site
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.verdict import Judgement

# Of everything that is recorded or stored. Raise EVENT_SCHEMA when its shape changes, so that
# stored sweeps of the old shape are refused, and put the new digest here.
SCHEMA_AND_DIGEST = (11, "81d4f15d5067")
STORED = (Observation, Judgement, SweepSpec, *EVENTS)


def dataclasses_in(hint: Any) -> Iterator[type]:
    """Yield the dataclasses of a type hint, and of their fields."""
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        yield hint
        for field_hint in get_type_hints(hint).values():
            yield from dataclasses_in(field_hint)
    for argument in get_args(hint):
        yield from dataclasses_in(argument)


def test_change_of_shape_raises_the_schema() -> None:
    classes = {each for hint in STORED for each in dataclasses_in(hint)}
    names = (
        f"{each.__name__}({', '.join(field.name for field in dataclasses.fields(each))})"
        for each in classes
    )
    assert classes > set(EVENTS)
    digest = hashlib.sha256("\n".join(sorted(names)).encode()).hexdigest()[:12]
    assert (EVENT_SCHEMA, digest) == SCHEMA_AND_DIGEST


def test_every_event_says_first_when_it_happened() -> None:
    for kind in EVENTS:
        assert dataclasses.fields(kind)[0].name == "at_us", kind


@pytest.mark.parametrize(
    ("site", "text", "is_in_step"),
    [
        (Site("w-1", 2, None), "w-1/step-2", True),
        (Site("w-1", None, None), "w-1, outside of any step", False),
        (Site(None, None, "w-1"), "a thread of w-1", False),
        (Site(None, None, None), "outside of any workflow", False),
    ],
)
def test_site_is_a_step_a_body_a_thread_or_none_of_these(
    site: Site, text: str, is_in_step: bool
) -> None:
    assert str(site) == text
    assert site.is_in_step == is_in_step
