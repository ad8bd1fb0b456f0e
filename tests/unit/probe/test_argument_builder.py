"""JSON values become what the annotations of a workflow ask for, and nothing else is converted."""

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from enum import Enum, IntEnum
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple, NewType, NotRequired, Optional, TypedDict
from uuid import UUID

import pytest

from resumectl.probe.argument_builder import (
    CannotBuild,
    Unbuildable,
    WrongValue,
    build_arguments,
    build_value,
    example,
    refuse_unbuildable,
)

A_UUID = "00000000-0000-4000-8000-000000000001"
NOON = "2026-01-31T12:00:00+00:00"
AT_NOON = dt.datetime(2026, 1, 31, 12, tzinfo=dt.UTC)
OrderId = NewType("OrderId", str)


class Colour(Enum):
    RED = "red"
    BLUE = 2


class Size(IntEnum):
    SMALL = 1


@dataclass
class Line:
    article: UUID
    price: Decimal
    size: Size = Size.SMALL


@dataclass
class Order:
    id: OrderId
    due: dt.datetime
    lines: list[Line] = field(default_factory=list)
    note: str | None = None


class Address(TypedDict):
    street: str
    zip: NotRequired[str]


class Point(NamedTuple):
    x: int
    y: int


class Session:
    def __init__(self, user: str) -> None:
        self.user = user


@pytest.fixture(params=["standard library", "pydantic"])
def builder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Who builds: what a program has imported decides."""
    name: str = request.param
    if name == "pydantic":
        pytest.importorskip("pydantic")
    else:
        monkeypatch.delitem(sys.modules, "pydantic", raising=False)
    return name


BUILT: list[tuple[Any, Any, Any]] = [
    (str, "a", "a"),
    (int, 3, 3),
    (float, 3, 3.0),
    (float, 2.5, 2.5),
    (bool, True, True),
    (None, None, None),
    (Any, {"a": [1]}, {"a": [1]}),
    (bytes, "a", b"a"),
    (Path, "a/b", Path("a/b")),
    (UUID, A_UUID, UUID(A_UUID)),
    (Decimal, "19.90", Decimal("19.90")),
    (Decimal, 3, Decimal(3)),
    (dt.datetime, NOON, AT_NOON),
    (dt.date, "2026-01-31", dt.date(2026, 1, 31)),
    (dt.time, "12:00:00", dt.time(12)),
    (dt.timedelta, "PT1H30M", dt.timedelta(minutes=90)),
    (Colour, "red", Colour.RED),
    (Colour, 2, Colour.BLUE),
    (Size, 1, Size.SMALL),
    (Literal["a", "b"], "b", "b"),
    (UUID | None, None, None),
    (Optional[UUID], A_UUID, UUID(A_UUID)),  # noqa: UP045 (typing.Union is another class)
    (UUID | str, "no id", "no id"),
    (int | list[dt.date], ["2026-01-31"], [dt.date(2026, 1, 31)]),
    (list, [1, "a"], [1, "a"]),
    (list[UUID], [A_UUID], [UUID(A_UUID)]),
    (Sequence[int], [1, 2], [1, 2]),
    (set[int], [1, 2], {1, 2}),
    (tuple[int, str], [1, "a"], (1, "a")),
    (tuple[int, ...], [1, 2, 3], (1, 2, 3)),
    (dict[str, dt.date], {"a": "2026-01-31"}, {"a": dt.date(2026, 1, 31)}),
    (Mapping[str, int], {"a": 1}, {"a": 1}),
    (OrderId, "o-1", "o-1"),
    (Annotated[int, "a remark"], 1, 1),
    (Address, {"street": "Main"}, {"street": "Main"}),
    (Point, {"x": 1, "y": 2}, Point(1, 2)),
    (
        Order,
        {"id": "o-1", "due": NOON, "lines": [{"article": A_UUID, "price": "1.50"}]},
        Order(OrderId("o-1"), AT_NOON, [Line(UUID(A_UUID), Decimal("1.50"))]),
    ),
]


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize(("annotation", "value", "expected"), BUILT)
def test_value_becomes_what_its_annotation_asks_for(
    annotation: Any, value: Any, expected: Any
) -> None:
    built = build_value(annotation, value)
    assert built == expected
    assert type(built) is type(expected)


REFUSED: list[tuple[Any, Any, str]] = [
    (str, 5, ""),
    (str, None, ""),
    (int, "5", ""),
    (int, True, ""),
    (int, 5.0, ""),
    (bool, 1, ""),
    (float, "1.5", ""),
    (UUID, "5", ""),
    (dt.datetime, "tomorrow", ""),
    (dt.datetime, 1_769_860_800, ""),
    (dt.timedelta, 5, ""),
    (Decimal, "much", ""),
    (Colour, "green", ""),
    (Literal["a"], "b", ""),
    (str | None, 5, ""),
    (list[int], "123", ""),
    (list[int], [1, "2"], "[1]"),
    (dict[str, int], {"a": "b"}, "['a']"),
    (tuple[int, str], [1], ""),
    (Address, {"zip": "1"}, "street"),
    (Order, {"id": "o-1"}, "due"),
    (Order, {"id": "o-1", "due": NOON, "lines": [{"article": "5", "price": 1}]}, "['lines'][0]"),
]


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize(("annotation", "value", "said"), REFUSED)
def test_value_of_another_type_is_refused_rather_than_converted(
    annotation: Any, value: Any, said: str
) -> None:
    with pytest.raises(WrongValue) as error:
        build_value(annotation, value)
    assert said in str(error.value)


@pytest.mark.usefixtures("builder")
@pytest.mark.parametrize("annotation", [Session, list[Session], Session | None])
def test_class_that_json_knows_nothing_of_cannot_be_built(annotation: Any) -> None:
    value = ["a"] if annotation == list[Session] else "a"
    with pytest.raises(Unbuildable, match="Session"):
        build_value(annotation, value)


def test_example_of_an_annotation_is_one_that_it_takes() -> None:
    for annotation in (Order, Line, Colour, tuple[int, UUID], dict[str, int], Literal["a"]):
        build_value(annotation, json.loads(json.dumps(example(annotation))))


def test_arguments_are_built_by_position_and_by_name() -> None:
    def function(first: UUID, /, second, *rest: int, key: dt.date, **more: Decimal) -> None:  # type: ignore[no-untyped-def]
        del first, second, rest, key, more

    args, kwargs = build_arguments(
        function, [A_UUID, A_UUID, 1, 2], {"key": "2026-01-31", "price": "1.5"}
    )
    # What has no annotation is given as it is.
    assert args == [UUID(A_UUID), A_UUID, 1, 2]
    assert kwargs == {"key": dt.date(2026, 1, 31), "price": Decimal("1.5")}


def test_annotations_that_are_text_are_resolved() -> None:
    def function(order: "Order", unknown: "NoSuchName" = None) -> None:  # type: ignore[name-defined] # noqa: F821
        del order, unknown

    # One of them cannot be: the value is given as it is.
    args, _ = build_arguments(function, [{"id": 1}], {})
    assert args == [{"id": 1}]
    del function.__annotations__["unknown"]
    with pytest.raises(CannotBuild) as error:
        build_arguments(function, [{"id": 1}], {})
    assert (error.value.parameter, error.value.is_value) == ("order", True)


def test_parameter_that_takes_no_json_is_refused_without_a_value() -> None:
    def function(session: Session, again: Session | None = None) -> None:
        del session, again

    with pytest.raises(CannotBuild) as error:
        refuse_unbuildable(function)
    assert (error.value.parameter, error.value.is_value) == ("session", False)


def test_pydantic_is_not_imported_for_a_program_without_it() -> None:
    lines = [
        "import sys",
        "from resumectl.probe import argument_builder",
        "argument_builder.build_value(list[int], [1])",
        "assert 'pydantic' not in sys.modules",
    ]
    subprocess.run([sys.executable, "-c", "\n".join(lines)], check=True)


def test_model_of_pydantic_is_built() -> None:
    pydantic = pytest.importorskip("pydantic")
    model = pydantic.create_model("Invoice", number=(int, ...), due=(dt.date, ...))
    assert build_value(model, {"number": 1, "due": "2026-01-31"}).due == dt.date(2026, 1, 31)
    with pytest.raises(WrongValue, match=r"\['number'\]: Input should be a valid integer"):
        build_value(model, {"number": "1", "due": "2026-01-31"})
    assert build_value(model, example(model)).number == 1
