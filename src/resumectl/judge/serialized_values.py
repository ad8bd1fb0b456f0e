"""A value that DBOS stored, as text: for people, and to be compared. Loads no code. Pure.

Equal values have equal texts, though not equal pickles: one object that stands in two places
is pickled once, and is two objects after a recovery; a set is in another order in each process.
"""

import base64
import io
import json
import pickle
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Self


class _Unloaded:
    """Stands for an object of a class that is not loaded: what it was made of, in order."""

    parts: list[tuple[str, object]]

    def __new__(cls, *args: object, **kwargs: object) -> Self:
        self = super().__new__(cls)
        self.parts = [*(("", arg) for arg in args), *((f"{k}=", v) for k, v in kwargs.items())]
        return self

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass  # all is done: a pickle may make an object without it

    def __setstate__(self, state: object) -> None:
        self.parts.append(("", state))

    def append(self, item: object) -> None:
        """As a list's subclass is filled."""
        self.parts.append(("", item))

    add = append  # and a set's

    def __setitem__(self, key: object, value: object) -> None:
        self.parts.append((f"{_text(key)}: ", value))


_BUILTINS = ("builtins", "__builtin__")  # the second: as protocol 2 names it
_PLAIN = {each.__name__: each for each in (set, frozenset, bytearray, complex, range, slice)}


class _Reader(pickle.Unpickler):
    """Restores plain data, and names any class instead of loading it."""

    def find_class(self, module: str, name: str) -> object:
        if module in _BUILTINS and name in _PLAIN:
            return _PLAIN[name]
        return type(name, (_Unloaded,), {"__module__": module})


def _unchanged(text: str) -> str:
    return text


def readable(stored: str | None, say: Callable[[str], str] = _unchanged) -> str:
    """A value as people read it, from the text that DBOS stored; loads no code.

    Args:
        stored: A pickle in base64, or another serializer's text; None is no value.
        say: Made of each part before parts are put in order, as to call it by another name.

    Returns:
        The same text for equal values; what cannot be read, as it is.
    """
    if stored is None:
        return ""
    with suppress(Exception):  # it is another serializer's
        return _text(_Reader(io.BytesIO(base64.b64decode(stored, validate=True))).load(), say)
    with suppress(ValueError):
        return _text(json.loads(stored), say)
    return say(stored)


def _text(value: object, say: Callable[[str], str] = _unchanged) -> str:
    def texts(values: Iterable[object]) -> list[str]:
        return [_text(each, say) for each in values]

    if isinstance(value, _Unloaded):
        return f"{type(value).__name__}({', '.join(k + _text(v, say) for k, v in value.parts)})"
    if isinstance(value, dict):
        pairs = zip(texts(value), texts(value.values()), strict=True)
        return "{" + ", ".join(sorted(f"{key}: {text}" for key, text in pairs)) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(texts(value)) + "]"
    if isinstance(value, tuple):
        return "(" + ", ".join(texts(value)) + ("," if len(value) == 1 else "") + ")"
    if isinstance(value, set):
        return "{" + ", ".join(sorted(texts(value))) + "}" if value else "set()"
    if isinstance(value, frozenset):
        return f"frozenset({_text(set(value), say) if value else ''})"
    return say(repr(value))
