"""Return a copy of a dataclass in which every text, at any depth, is changed by a function."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, TypeVar, cast

from resumectl.model.text_enum import TextEnum

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

V = TypeVar("V")
Change = Callable[[str], str]
# Returns a special change for a field, from its class and name; None to change its texts.
Override = Callable[[type, str], Callable[[object], object] | None]


def _no_override(_kind: type, _name: str) -> None:
    return None


def map_texts(value: V, change: Change, override: Override = _no_override) -> V:
    """Return a dataclass, or plain data, with each text in it changed.

    Args:
        value: The dataclass or plain data.
        change: Function that returns the replacement of a text.
        override: Function that returns a special change for a field, from its class and name.
    """
    return cast(V, _mapped(value, change, override))


def _mapped(value: object, change: Change, override: Override) -> object:
    if isinstance(value, TextEnum):
        return value
    if isinstance(value, str):
        return change(value)
    if isinstance(value, tuple | list):
        return type(value)(_mapped(item, change, override) for item in value)
    if isinstance(value, Mapping):
        return {change(key): _mapped(item, change, override) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return _mapped_dataclass(value, change, override)
    return value


def _mapped_dataclass(value: "DataclassInstance", change: Change, override: Override) -> object:
    changes = {}
    for field in dataclasses.fields(value):
        old = getattr(value, field.name)
        other = override(type(value), field.name)
        new = other(old) if other is not None else _mapped(old, change, override)
        if new is not old and new != old:
            changes[field.name] = new
    return dataclasses.replace(value, **changes) if changes else value
