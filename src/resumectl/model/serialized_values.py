"""Convert stored values of DBOS to text, for people and for comparisons, without loading code.

Equal values have equal texts, but not always equal pickles. An object with two references is pickled
once, and becomes two objects after a recovery. The order of a set differs between processes.
"""

import base64
import io
import json
import pickle
from collections.abc import Callable, Iterable
from contextlib import suppress


class _Unloaded:
    """Placeholder for an object whose class is not loaded; it holds the object's parts in order."""

    parts: list[tuple[str, object]]

    def __new__(cls, *args: object, **kwargs: object) -> "_Unloaded":
        self = super().__new__(cls)
        self.parts = [*(("", arg) for arg in args), *((f"{k}=", v) for k, v in kwargs.items())]
        return self

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        pass  # `__new__` has done everything: a pickle may not call `__init__`

    def __setstate__(self, state: object) -> None:
        self.parts.append(("", state))

    def append(self, item: object) -> None:
        """Append an item, as for a subclass of list."""
        self.parts.append(("", item))

    add = append  # for a subclass of set

    def __setitem__(self, key: object, value: object) -> None:
        self.parts.append((f"{_text(key)}: ", value))


_BUILTINS = ("builtins", "__builtin__")  # the second is the name in protocol 2
_PLAIN = {each.__name__: each for each in (set, frozenset, bytearray, complex, range, slice)}


class _Reader(pickle.Unpickler):
    """Unpickler that restores plain data, and uses a placeholder for any other class."""

    def find_class(self, module: str, name: str) -> object:
        if module in _BUILTINS and name in _PLAIN:
            return _PLAIN[name]
        return type(name, (_Unloaded,), {"__module__": module})


def _unchanged(text: str) -> str:
    return text


def readable(stored: str | None, say: Callable[[str], str] = _unchanged) -> str:
    """Convert a stored value to readable text, without loading code.

    Args:
        stored: Pickle in base64, or the text of another serializer; None for no value.
        say: Function that changes the text of each part before the parts are sorted.

    Returns:
        The same text for equal values; the stored text itself if it cannot be decoded.
    """
    if stored is None:
        return ""
    with suppress(Exception):  # the text of another serializer
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
