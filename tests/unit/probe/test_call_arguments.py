"""What is recorded of a call: its arguments as text, and which of them are no more than values."""

import datetime
import functools
import time
import uuid
from dataclasses import dataclass
from decimal import Decimal
from enum import Enum
from pathlib import Path
from typing import Any, ClassVar

import pytest

from resumectl.probe.call_arguments import describe_arguments, enclosed_values, without_times


class Colour(Enum):
    RED = 1


@dataclass(slots=True)
class Payment:
    key: str
    at: Any = None


class Model:
    """As pydantic's are: what they hold is in their dictionary."""

    model_fields: ClassVar[dict[str, Any]] = {}

    def __init__(self, key: Any) -> None:
        self.key = key


@pytest.mark.parametrize(
    ("value", "is_data"),
    [
        (None, True),
        (1.5, True),
        (uuid.UUID(int=1), True),
        (datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC), True),
        ([Decimal(1), {"at": (Path("a"), Colour.RED)}, {"x", b"y"}], True),
        (Payment("a"), True),
        ([Model("a")], True),
        (Payment, False),
        (Payment("a", at=object()), False),
        (Model(object()), False),
        (object(), False),
        ([1, {"at": object()}], False),
        ({object(): 1}, False),
        (print, False),
    ],
)
def test_what_is_made_of_values_alone(value: Any, is_data: bool) -> None:
    first, second = describe_arguments(["order-1", value], {})
    assert (first.is_opaque, second.is_opaque) == (False, not is_data)


def test_a_keyword_argument_stands_in_the_order_of_its_name() -> None:
    described = describe_arguments(["order-1"], {"b": object(), "a": {3, 1, 2}})
    assert [(each.text, each.is_opaque) for each in described] == [
        ("'order-1'", False),
        ("a=set(['1', '2', '3'])", False),
        ("b=<object object>", True),
    ]


NOW = datetime.datetime(2026, 1, 1, 12, tzinfo=datetime.UTC)


@pytest.mark.parametrize(
    ("value", "without"),
    [
        (lambda: time.time() + 3_600, "<time>"),
        (time.monotonic, "<time>"),
        (time.perf_counter, "<time>"),
        (0.25, "<time>"),  # since the process began, a second before
        (1.5, 1.5),
        (NOW, "<time>"),
        (NOW.date(), "<time>"),
        (datetime.timedelta(1), "<time>"),
        (NOW.isoformat(), "<time>"),
        ([{"at": (NOW, "order-1")}], [{"at": ("<time>", "order-1")}]),
        (Payment("a", at=NOW), {"key": "a", "at": "<time>"}),
        (Payment("a"), None),
        # An id may be made of the clock.
        (time.time_ns, None),
        (lambda: f"order-{time.time()}", None),
        (lambda: str(time.time()), None),
        ("20260101", None),
    ],
)
def test_a_time_is_told_from_what_is_made_of_one(value: Any, without: Any) -> None:
    value = value() if callable(value) else value
    first, second = describe_arguments(["order-1", value], {}, alive_s=1.0)
    kept = value if without is None else without
    assert without_times(value, 1.0) == kept
    assert second.without_times == (() if kept == value else (repr(kept),))
    assert (first.text, second.text) == ("'order-1'", repr(value))


def test_a_lambda_is_given_what_is_plain_where_it_was_made() -> None:
    key, rows = "order-1", [1]

    def look() -> object:
        return key, rows, later

    assert enclosed_values(look) == {"key": "order-1"}
    later = 2
    assert enclosed_values(look) == {"key": "order-1", "later": 2}
    assert enclosed_values(print) == enclosed_values(test_what_is_made_of_values_alone) == {}


def test_a_lambda_is_given_its_defaults_and_a_partial_its_arguments() -> None:
    def look(key: str = "order-1", *, rows: Any = (), n: int = 2) -> object:
        return key, rows, n

    assert enclosed_values(look) == {"key": "order-1", "n": 2}
    assert enclosed_values(functools.partial(print, "a", object(), end="b")) == {
        "_1": "a",
        "end": "b",
    }
