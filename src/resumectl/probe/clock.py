"""Set the wall clock of this process ahead, for the program, its libraries and DBOS alike.

A real outage lasts minutes or hours, but the second process of a trial starts after a tenth of a
second. Later processes therefore run with a clock that is set ahead: a deadline that passes during an
outage passes in a trial as well. Monotonic clocks and the clocks of database servers and native code
are unchanged.

Python's own functions are changed in place: a program may have imported `time` by name, and
`datetime` must stay the class that libraries compare with. This relies on CPython's layout, so
each change is checked, here and by a test.
"""

import ctypes
import datetime
import functools
import gc
import time
from collections.abc import Callable
from typing import Protocol, TypeVar

N = TypeVar("N", int, float)
_NANOSECONDS = 1_000_000_000
_offset_ns = 0
_kept: list[object] = []  # keeps alive what only the method tables point to


class _Named(Protocol):
    """A function of a module."""

    __name__: str


class _MethodDef(ctypes.Structure):
    """`PyMethodDef` of CPython's `methodobject.h`, 3.10 to 3.14."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("call", ctypes.c_void_p),
        ("flags", ctypes.c_int),
        ("doc", ctypes.c_char_p),
    ]


_METH_NOARGS = 0x4
_NO_ARGUMENTS = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.c_void_p, ctypes.c_void_p)


def _replace_function(
    function: _Named, make: Callable[[Callable[..., N]], Callable[..., N]]
) -> None:
    """Replace a built-in function without arguments, also under the names that it was imported to.

    Args:
        function: Function of a module that is written in C.
        make: Function that returns the new function from the old one. The new one must not raise,
            because C code calls it.

    Raises:
        LookupError: This Python stores the function in another way.
    """
    # `m_ml` follows the object's header in `PyCFunctionObject`.
    address = ctypes.c_void_p.from_address(id(function) + object.__basicsize__).value
    entry = _MethodDef.from_address(address or 0)
    if entry.name != function.__name__.encode() or entry.flags != _METH_NOARGS:
        raise LookupError(f"this Python has another time.{function.__name__}; use  --downtime 0")
    changed = _NO_ARGUMENTS(make(_NO_ARGUMENTS(entry.call)))
    _kept.append(changed)
    entry.call = ctypes.cast(changed, ctypes.c_void_p).value


def _replace_class_method(owner: type, name: str, function: Callable[..., object]) -> None:
    """Replace a class method of a class that is written in C.

    Raises:
        LookupError: This Python stores the method in another way.
    """
    (names,) = [each for each in gc.get_referents(owner.__dict__) if isinstance(each, dict)]
    if name not in names:
        raise LookupError(f"this Python has another {owner.__name__}.{name}; use  --downtime 0")
    names[name] = classmethod(functools.update_wrapper(function, getattr(owner, name)))
    ctypes.pythonapi.PyType_Modified(ctypes.py_object(owner))


def _now(cls: type[datetime.datetime], tz: datetime.tzinfo | None = None) -> datetime.datetime:
    return cls.fromtimestamp(time.time(), tz)


def _utcnow(cls: type[datetime.datetime]) -> datetime.datetime:
    return cls.fromtimestamp(time.time(), datetime.timezone.utc).replace(tzinfo=None)


def _shift_seconds_function(original: Callable[..., object]) -> Callable[..., object]:
    """Shift `localtime`, `gmtime` or `ctime`: without an argument they use the current time."""

    @functools.wraps(original)
    def ahead(seconds: float | None = None, /) -> object:
        return original(time.time() if seconds is None else seconds)

    return ahead


def _shift_tuple_function(original: Callable[..., str]) -> Callable[..., str]:
    """Shift `strftime` or `asctime`: without a time tuple, the last argument, they use the current time."""
    number = 2 if original is time.strftime else 1

    @functools.wraps(original)
    def ahead(*args: object) -> str:
        return original(*args, *([time.localtime()] if len(args) == number - 1 else []))

    return ahead


def _shift_clock_function(
    original: Callable[[int], N], ahead_of: Callable[[], N]
) -> Callable[[int], N]:
    @functools.wraps(original)
    def ahead(clock: int, /) -> N:
        return original(clock) + (ahead_of() if clock == time.CLOCK_REALTIME else 0)

    return ahead


def install() -> None:
    """Replace the clock by one that can be set ahead; call this before the program is imported.

    Raises:
        LookupError: This Python does not let its clock be changed.
    """
    if _kept:
        return
    _replace_function(
        time.time, lambda original: lambda *each: original(*each) + _offset_ns / _NANOSECONDS
    )
    _replace_function(time.time_ns, lambda original: lambda *each: original(*each) + _offset_ns)
    # `date.today` and `datetime.today` call `time.time`.
    _replace_class_method(datetime.datetime, "now", _now)
    _replace_class_method(datetime.datetime, "utcnow", _utcnow)
    for name in ("localtime", "gmtime", "ctime"):
        setattr(time, name, _shift_seconds_function(getattr(time, name)))
    for name in ("strftime", "asctime"):
        setattr(time, name, _shift_tuple_function(getattr(time, name)))
    time.clock_gettime = _shift_clock_function(time.clock_gettime, ahead_s)
    time.clock_gettime_ns = _shift_clock_function(time.clock_gettime_ns, lambda: _offset_ns)


def set_ahead(seconds: float) -> None:
    """Set the clock ahead of the machine's.

    Args:
        seconds: Offset in seconds; it replaces the offset that was set before.

    Raises:
        LookupError: This Python does not let its clock be changed.
    """
    global _offset_ns
    install()
    _offset_ns = round(seconds * _NANOSECONDS)


def ahead_s() -> float:
    """Return how far the clock is ahead of the machine's, in seconds."""
    return _offset_ns / _NANOSECONDS
