"""Each text in a value is changed, however deep it stands, and nothing else is."""

from dataclasses import dataclass
from typing import Any

from resumectl.model.crash_plan import Edge
from resumectl.model.map_texts import map_texts


@dataclass(frozen=True)
class Inner:
    name: str
    edge: Edge


@dataclass(frozen=True)
class Outer:
    inner: Inner
    names: tuple[str, ...]
    by_name: dict[str, list[str]]
    count: int | None


VALUE = Outer(Inner("a", Edge.AFTER), ("b", "c"), {"d": ["e"]}, 3)


def test_texts_are_changed_in_dataclasses_tuples_lists_and_mappings() -> None:
    changed = map_texts(VALUE, str.upper)
    assert changed == Outer(Inner("A", Edge.AFTER), ("B", "C"), {"D": ["E"]}, 3)
    assert isinstance(changed.names, tuple)


def test_member_of_an_enumeration_is_no_text() -> None:
    assert map_texts(Inner("a", Edge.AFTER), lambda _: "x").edge is Edge.AFTER


def test_value_without_a_change_is_returned_as_it_is() -> None:
    assert map_texts(VALUE, lambda text: text) is VALUE
    assert map_texts(7, str.upper) == 7


def test_field_may_have_a_change_of_its_own() -> None:
    def override(kind: type, name: str) -> Any:
        return (lambda _: "whole") if (kind, name) == (Inner, "name") else None

    assert map_texts(VALUE, str.upper, override).inner == Inner("whole", Edge.AFTER)
    assert map_texts(VALUE, str.upper, override).names == ("B", "C")
