"""What DBOS stored as text: equal values have one text, whatever their pickles; others have two."""

import base64
import collections
import datetime
import json
import pickle
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple

import pytest

from resumectl.model.serialized_values import readable


class Point(NamedTuple):
    x: int
    y: Any


@dataclass
class Order:
    id: str
    lines: list[Any]


@dataclass(slots=True)
class Slotted:
    id: str


class Colour(Enum):
    RED = 1
    BLUE = 2


class Basket(list[Any]):
    pass


def stored(value: Any, protocol: int = pickle.DEFAULT_PROTOCOL) -> str:
    return base64.b64encode(pickle.dumps(value, protocol)).decode()


def test_one_object_in_two_places_reads_as_two_that_are_equal() -> None:
    name = "".join(["ber", "lin"])
    other = "".join(["ber", "lin"])
    assert stored([name, name]) != stored([name, other])
    assert (
        readable(stored([name, name])) == readable(stored([name, other])) == "['berlin', 'berlin']"
    )


def test_the_order_of_a_set_or_of_a_dictionary_is_none_of_its_value() -> None:
    assert readable(stored({"a": 1, "b": {2}})) == readable(stored({"b": {2}, "a": 1}))
    words = ["red", "green", "blue"]
    there, back = dict.fromkeys(words), dict.fromkeys(reversed(words))
    assert readable(stored(there)) == readable(stored(back))
    assert readable(stored({"b", "a"})) == "{'a', 'b'}"
    assert readable(stored(frozenset({"b", "a"}), protocol=2)) == "frozenset({'a', 'b'})"
    assert readable(stored(set())) == "set()"


VALUES = [
    None, True, 1, 1.5, "1", b"1", (), (1,), (1, 2), [], [1, 2], [2, 1], {}, {1: 2}, {2: 1},
    {1, 2}, frozenset({1, 2}), 1j, Point(1, 2), Point(1, 3), Point(2, 1), Order("a", []),
    Order("b", []), Order("a", [1]), Slotted("a"), Slotted("b"), Colour.RED, Colour.BLUE,
    Basket([1]), Basket([2]), Basket(), ValueError("no stock"), ValueError("no luck"),
    KeyError("no stock"), datetime.date(2026, 1, 31), datetime.date(2026, 2, 28),
    collections.OrderedDict(a=1), collections.OrderedDict(a=2), collections.Counter("aab"),
    collections.defaultdict(list, a=[1]), collections.deque([1]), collections.deque([2]),
]  # fmt: skip


@pytest.mark.parametrize("protocol", [2, 4, 5])
def test_values_that_differ_have_texts_that_differ(protocol: int) -> None:
    texts = [readable(stored(value, protocol)) for value in VALUES]
    assert [t for t, n in collections.Counter(texts).items() if n > 1] == []
    # And each is read: none is left as DBOS stored it.
    assert [text for text, value in zip(texts, VALUES, strict=True) if text == stored(value)] == []


def test_no_code_is_loaded() -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return print, ("loaded",)

    assert readable(stored(Trap())) == "print('loaded')"


def test_another_serializers_text_is_compared_as_json_or_as_it_is() -> None:
    assert readable(json.dumps({"b": 1, "a": [True]})) == readable('{"a": [true], "b": 1}')
    assert readable("neither of both") == "neither of both"
    assert readable(None) == ""


def test_what_goes_by_another_name_is_put_in_order_by_it() -> None:
    def say(text: str) -> str:
        return text.replace("7f", "second").replace("a0", "first")

    assert readable(stored({"7f": 2, "a0": 1}), say) == "{'first': 1, 'second': 2}"
    assert readable(json.dumps(["a0"]), say) == "['first']"
