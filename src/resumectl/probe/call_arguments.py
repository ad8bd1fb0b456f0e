"""What a step's body is called with, as text: what of it is values alone, and what is a time.

Knows Python's values, and neither DBOS nor the record.
"""

import contextlib
import dataclasses
import datetime
import decimal
import enum
import functools
import os
import time
import types
import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from resumectl.probe.event_log import shown

_PLAIN = (
    type(None), bool, int, float, complex, str, bytes, datetime.date, datetime.time,
    datetime.timedelta, decimal.Decimal, enum.Enum, os.PathLike, uuid.UUID,
)  # fmt: skip


def is_data(value: object) -> bool:
    """Whether it is made of values alone, so that equal ones are shown alike in every process.

    An object of the program's own may be shown with what is another in each process; but not a
    dataclass, or a model of pydantic's, that is made of such values.
    """
    if (fields := _fields_of(value)) is not None:
        return is_data(fields)
    if isinstance(value, dict):
        return all(map(is_data, value)) and all(map(is_data, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(is_data, value))
    return isinstance(value, _PLAIN)


def _fields_of(value: object) -> dict[str, object] | None:
    """Of a dataclass, or a model of pydantic's; None for what is neither."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return dict(vars(value)) if hasattr(type(value), "model_fields") else None


def enclosed_values(func: object) -> dict[str, object]:
    """Plain values that a function takes from where it was made, by name.

    So a workflow's body gives a lambda what it is called with, without arguments: by the names
    around it, by a default, or by `functools.partial`.
    """
    if isinstance(func, functools.partial):
        numbered = {f"_{number}": each for number, each in enumerate(func.args, start=1)}
        return _plain({**enclosed_values(func.func), **numbered, **func.keywords})
    if not isinstance(func, types.FunctionType) or "<locals>" not in func.__qualname__:
        return {}
    code, found = func.__code__, dict(func.__kwdefaults__ or {})
    defaults = func.__defaults__ or ()
    found |= zip(code.co_varnames[code.co_argcount - len(defaults) :], defaults)  # noqa: B905
    for name, cell in zip(code.co_freevars, func.__closure__ or (), strict=True):
        with contextlib.suppress(ValueError):  # it is not set yet
            found[name] = cell.cell_contents
    return _plain(found)


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return {name: each for name, each in values.items() if isinstance(each, _PLAIN)}


def payload_of(
    args: Sequence[Any], kwargs: Mapping[str, Any], *, alive_s: float = 0.0
) -> dict[str, list[Any]]:
    """What a step's body is given, as it is recorded.

    Args:
        args: By position.
        kwargs: By name.
        alive_s: For how many seconds the process has been at work.

    Returns:
        `payload`, as texts; `opaque`, the indexes there of what is not made of values alone; and
        `timeless`, of what may hold a time, its index, and how it is shown without: without
        times of the clock, and without those and what may be the seconds of a duration.
    """
    values = [*args, *(each for _, each in sorted(kwargs.items()))]
    opaque = [index for index, each in enumerate(values) if not is_data(each)]
    timeless = [
        [index, *without]
        for index, each in enumerate(values)
        if index not in opaque
        and (without := {shown(without_times(each, s)) for s in (0.0, alive_s)} - {shown(each)})
    ]
    payload = [*map(shown, args), *named_values(kwargs)]
    return {
        "payload": payload,
        **({"opaque": opaque} if opaque else {}),
        **({"timeless": timeless} if timeless else {}),
    }


_TIME = "<time>"
_YEAR_S = 365 * 86_400


def without_times(value: object, alive_s: float) -> object:
    """A value with each time in it taken out.

    A whole number is none: it may be an id that was made of the clock. Nor is a time that is
    part of a text, as in a key.

    Args:
        value: Made of values alone.
        alive_s: What may be the seconds that something took, if not more than these, is a
            time too.
    """
    if (fields := _fields_of(value)) is not None:
        without = without_times(fields, alive_s)
        return value if without == fields else without
    if isinstance(value, dict):
        return {key: without_times(each, alive_s) for key, each in value.items()}
    if isinstance(value, list):
        return [without_times(each, alive_s) for each in value]
    if isinstance(value, tuple):
        return tuple(without_times(each, alive_s) for each in value)
    return _TIME if _is_time(value, alive_s) else value


def _is_time(value: object, alive_s: float) -> bool:
    if isinstance(value, float):
        clocks = (time.monotonic() - alive_s, time.perf_counter() - alive_s)
        return abs(value - time.time()) < _YEAR_S or any(
            0 < value - began_s <= alive_s for began_s in (0.0, *clocks)
        )
    if isinstance(value, str):
        try:
            datetime.datetime.fromisoformat(value)
        except ValueError:
            return False
        return "-" in value  # also a number of eight digits is one, to Python
    return isinstance(value, datetime.date | datetime.time | datetime.timedelta)


def named_values(values: Mapping[str, Any]) -> list[str]:
    """As in `n=2`, in the order of their names."""
    return [f"{name}={shown(each)}" for name, each in sorted(values.items())]
