"""Describe the arguments of a step's body as text that can be compared.

Knows only Python's values, neither DBOS nor the event log.
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

from resumectl.model.events import Argument
from resumectl.probe.stable_repr import stable_repr

_PLAIN = (
    type(None), bool, int, float, complex, str, bytes, datetime.date, datetime.time,
    datetime.timedelta, decimal.Decimal, enum.Enum, os.PathLike, uuid.UUID,
)  # fmt: skip


def is_data(value: object) -> bool:
    """Return whether a value consists of plain values alone, so that equal values have equal texts.

    The text of an object of the program's own may differ in each process. A dataclass, or a model of
    pydantic's, that is made of plain values is data.
    """
    if (fields := _fields_of(value)) is not None:
        return is_data(fields)
    if isinstance(value, dict):
        return all(map(is_data, value)) and all(map(is_data, value.values()))
    if isinstance(value, list | tuple | set | frozenset):
        return all(map(is_data, value))
    return isinstance(value, _PLAIN)


def _fields_of(value: object) -> dict[str, object] | None:
    """Return the fields of a dataclass, or of a model of pydantic's; None for anything else."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: getattr(value, field.name, None) for field in dataclasses.fields(value)}
    return dict(vars(value)) if hasattr(type(value), "model_fields") else None


def enclosed_values(func: object) -> dict[str, object]:
    """Return the plain values that a function holds besides its arguments, by name.

    A workflow's body can pass values to a step in this way: in the closure of a lambda, in a default,
    or in `functools.partial`.
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
        with contextlib.suppress(ValueError):  # the variable is not set yet
            found[name] = cell.cell_contents
    return _plain(found)


def _plain(values: Mapping[str, object]) -> dict[str, object]:
    return {name: each for name, each in values.items() if isinstance(each, _PLAIN)}


def describe_arguments(
    args: Sequence[object], kwargs: Mapping[str, object], *, alive_s: float = 0.0
) -> tuple[Argument, ...]:
    """Return the arguments of a step's body, as an event records them.

    Args:
        args: Positional arguments.
        kwargs: Keyword arguments.
        alive_s: Time since the process started, in seconds: no duration is longer.
    """
    named = sorted(kwargs.items())
    texts = [*map(stable_repr, args), *named_values(kwargs)]
    values = [*args, *(value for _, value in named)]
    return tuple(
        _described(text, value, alive_s) for text, value in zip(texts, values, strict=True)
    )


def _described(text: str, value: object, alive_s: float) -> Argument:
    if not is_data(value):
        return Argument(text, is_opaque=True, without_times=())
    # Once without times of the clock, and once also without possible durations in seconds.
    without = {stable_repr(without_times(value, seconds)) for seconds in (0.0, alive_s)}
    return Argument(
        text, is_opaque=False, without_times=tuple(sorted(without - {stable_repr(value)}))
    )


_TIME = "<time>"
_YEAR_S = 365 * 86_400


def without_times(value: object, alive_s: float) -> object:
    """Return a value with each time in it removed.

    A whole number is not a time: it may be an id that was derived from the clock. A time inside a
    longer text, such as a key, is kept as well.

    Args:
        value: Plain data; see `is_data`.
        alive_s: Maximum duration: a number of seconds up to this one is a time too.
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
        return "-" in value  # Python reads a number of eight digits as a date
    return isinstance(value, datetime.date | datetime.time | datetime.timedelta)


def named_values(values: Mapping[str, object]) -> list[str]:
    """Return the values as texts such as `n=2`, in the order of the names."""
    return [f"{name}={stable_repr(each)}" for name, each in sorted(values.items())]
