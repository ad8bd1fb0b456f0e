"""Turn frozen dataclasses into plain data for JSON, and read them back exactly.

This is the only codec for data that crosses a process boundary or is stored. The decoder has no
defaults: a missing field, an unknown field and an unknown kind are errors. A guessed value could turn a
broken promise into a kept one.

A class that is one kind among several has a class attribute `KIND`. It is written as the field `kind`,
and a field whose type is a union of such classes is decoded by it.
"""

import dataclasses
import functools
import json
import types
from collections.abc import Callable, Mapping, Sequence, Set
from enum import Enum
from typing import (
    TYPE_CHECKING,
    ClassVar,
    Protocol,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

# Data that JSON can hold; the program under test decides its structure.
Plain = object

T = TypeVar("T")
_SCALARS = frozenset((str, int, float, bool, type(None)))
_Decoder = Callable[[Plain], object]


class SchemaError(ValueError):
    """Plain data does not have the structure that this version of resumectl writes."""


class Kinded(Protocol):
    """A dataclass that is one kind among several."""

    KIND: ClassVar[str]


def to_plain(value: "DataclassInstance") -> dict[str, Plain]:
    """Encode a dataclass as plain data.

    Raises:
        TypeError: Something in it is neither plain data nor a dataclass.
    """
    return cast(dict[str, Plain], _encode(value))


def _encode(value: object) -> Plain:
    kind = type(value)
    if kind in _SCALARS:  # first: most values are scalars
        return value
    if kind is tuple or kind is list:
        return [_encode(item) for item in value]  # type: ignore[attr-defined]
    if dataclasses.is_dataclass(kind):
        plain = {name: _encode(getattr(value, name)) for name in _field_names(kind)}
        return {"kind": kind.KIND, **plain} if hasattr(kind, "KIND") else plain
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Mapping):
        return {key: _encode(item) for key, item in value.items()}
    if isinstance(value, str | int | float | list | tuple):  # a subclass that the program defines
        return value
    raise TypeError(f"{kind.__name__} is no plain data")


@functools.cache
def _field_names(kind: type) -> tuple[str, ...]:
    return tuple(field.name for field in dataclasses.fields(kind))


def from_plain(kind: type[T], plain: Plain) -> T:
    """Decode plain data into a value of a type.

    Args:
        kind: A dataclass, or any type that a field of one may have.
        plain: Result of `to_plain`.

    Raises:
        SchemaError: A field is missing, unknown, or of another type.
    """
    hint: object = kind
    return cast(T, _decoder(hint)(plain))


def to_json(value: "DataclassInstance") -> str:
    """Encode a dataclass as one line of JSON."""
    return json.dumps(to_plain(value))


def from_json(kind: type[T], text: str) -> T:
    """Decode JSON into a value of a type.

    Args:
        kind: A dataclass, or any type that a field of one may have.
        text: Result of `to_json`.

    Raises:
        SchemaError: A field is missing, unknown, or of another type.
    """
    return from_plain(kind, json.loads(text))


def any_of(kinds: Sequence[type[T]], plain: Plain) -> T:
    """Decode plain data into a value of one of several kinds.

    Args:
        kinds: Dataclasses, each with a `KIND`.
        plain: Result of `to_plain`.

    Raises:
        SchemaError: The kind is unknown, or a field is missing, unknown, or of another type.
    """
    return cast(T, _decode_union(tuple(kinds), plain))


@functools.cache
def _decoder(hint: object) -> _Decoder:
    origin = get_origin(hint)
    if hint is Plain:
        return _decode_anything
    if origin in (Union, types.UnionType):
        return _union_decoder(get_args(hint))
    if origin is tuple:
        return _tuple_decoder(get_args(hint))
    if origin is not None and issubclass(origin, Mapping):
        return functools.partial(_decode_mapping, get_args(hint)[1])
    if origin is not None and issubclass(origin, Sequence):
        return _tuple_decoder((get_args(hint)[0], ...))
    if dataclasses.is_dataclass(hint):
        return _dataclass_decoder(cast(type, hint))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return functools.partial(_decode_enum, hint)
    return _scalar_decoder(cast(type, hint))


def _decode_anything(plain: Plain) -> Plain:
    return plain


def _union_decoder(hints: tuple[type, ...]) -> _Decoder:
    others = tuple(hint for hint in hints if hint is not type(None))
    if len(others) == 1:
        read = _decoder(others[0])
        return lambda plain: None if plain is None else read(plain)

    def decode(plain: Plain) -> object:
        if plain is None and len(others) < len(hints):
            return None
        return _decode_union(others, plain)

    return decode


def _decode_union(kinds: tuple[type, ...], plain: Plain) -> object:
    known = _by_kind(kinds)
    kind = plain.get("kind") if isinstance(plain, dict) else None
    if not isinstance(kind, str) or kind not in known:
        raise SchemaError(f"unknown kind {kind!r}")
    return _decoder(known[kind])(plain)


@functools.cache
def _by_kind(kinds: tuple[type, ...]) -> dict[str, type]:
    found = {cast(Kinded, kind).KIND: kind for kind in kinds}
    assert len(found) == len(kinds), "two classes have the same KIND"
    return found


def _tuple_decoder(hints: tuple[object, ...]) -> _Decoder:
    if hints[-1] is not Ellipsis:
        return functools.partial(_decode_fixed_tuple, hints)
    read = _decoder(hints[0])

    def decode(plain: Plain) -> tuple[object, ...]:
        if not isinstance(plain, list | tuple):
            raise SchemaError(f"{type(plain).__name__} where a list is expected")
        return tuple([read(item) for item in plain])

    return decode


def _decode_fixed_tuple(hints: tuple[object, ...], plain: Plain) -> tuple[object, ...]:
    if not isinstance(plain, list | tuple) or len(plain) != len(hints):
        raise SchemaError(f"{plain!r} where a list of {len(hints)} is expected")
    return tuple(_decoder(hint)(item) for hint, item in zip(hints, plain, strict=True))


def _decode_mapping(hint: object, plain: Plain) -> dict[str, object]:
    if not isinstance(plain, Mapping):
        raise SchemaError(f"{type(plain).__name__} where an object is expected")
    read = _decoder(hint)
    return {key: read(item) for key, item in plain.items()}


def _decode_enum(kind: type[Enum], plain: Plain) -> Enum:
    try:
        return kind(plain)
    except ValueError:
        raise SchemaError(f"{plain!r} is no {kind.__name__}") from None


def _scalar_decoder(kind: type) -> _Decoder:
    accepted = frozenset((int, float)) if kind is float else frozenset((kind,))

    def decode(plain: Plain) -> object:
        if type(plain) not in accepted:
            raise SchemaError(f"{type(plain).__name__} where {kind.__name__} is expected")
        return plain

    return decode


def _wrong_fields(kind: type, names: Set[str], given: Set[str]) -> SchemaError:
    missing, unknown = sorted(names - given), sorted(given - names)
    if missing:
        return SchemaError(f"{kind.__name__} has no {missing[0]}")
    return SchemaError(f"{kind.__name__} has an unknown field {unknown[0]}")


def _dataclass_decoder(kind: type) -> _Decoder:
    hints = get_type_hints(kind)
    readers = {name: _decoder(hints[name]) for name in _field_names(kind)}
    tag = {"kind"} if hasattr(kind, "KIND") else set()
    names = readers.keys() | tag

    def decode(plain: Plain) -> object:
        if not isinstance(plain, Mapping):
            raise SchemaError(f"{type(plain).__name__} where {kind.__name__} is expected")
        if plain.keys() != names:
            raise _wrong_fields(kind, names, plain.keys())
        try:
            return kind(*[read(plain[name]) for name, read in readers.items()])
        except SchemaError as error:
            raise SchemaError(f"{kind.__name__}: {error}") from None

    return decode
