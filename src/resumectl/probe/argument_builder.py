"""Build the arguments of a workflow from JSON, as its annotations ask for.

A JSON value of the annotated type is used as it is. Text becomes the date, time, UUID, decimal,
path, bytes or enum member that the annotation names. A number becomes a decimal or a float. An object
becomes the dataclass, model or mapping. Nothing else is converted. If the program has imported
pydantic, pydantic builds the value in its strict mode, which has the same rules. Runs in the target
process.
"""

import dataclasses
import datetime as dt
import inspect
import json
import re
import sys
import types
import typing
from collections import abc
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from enum import Enum
from pathlib import Path
from uuid import UUID

from resumectl.probe.user_objects import Annotation, Function, UserObject


class WrongValue(ValueError):
    """A JSON value is not what an annotation asks for; says where in it and why."""


class Unbuildable(TypeError):
    """No JSON value can become what an annotation asks for."""


class CannotBuild(Exception):
    """An argument cannot be built.

    Args:
        parameter: Name of the parameter.
        annotation: Annotation of the parameter.
        reason: Description of the problem, one line.
        is_value: Whether another JSON value can be built.
    """

    def __init__(
        self, parameter: str, annotation: Annotation, reason: str, *, is_value: bool
    ) -> None:
        super().__init__(f"{parameter}: {named(annotation)}: {reason}")
        self.parameter = parameter
        self.annotation = annotation
        self.reason = reason
        self.is_value = is_value


def build_arguments(
    function: Function, args: Sequence[object], kwargs: Mapping[str, object]
) -> tuple[list[object], dict[str, object]]:
    """Return the arguments of a call, built from JSON values.

    Args:
        function: Function to call.
        args: JSON values, by position.
        kwargs: JSON values, by name.

    Raises:
        TypeError: There are too many or too few arguments, or a name is unknown.
        CannotBuild: An argument does not fit its annotation.
    """
    signature = inspect.signature(function)
    bound = signature.bind(*args, **kwargs)
    hints = hints_of(function)
    for name, value in bound.arguments.items():
        parameter = signature.parameters[name]
        annotation = hints.get(name, inspect.Parameter.empty)
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            bound.arguments[name] = tuple(_build_argument(name, annotation, each) for each in value)
        elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
            bound.arguments[name] = {
                k: _build_argument(k, annotation, each) for k, each in value.items()
            }
        else:
            bound.arguments[name] = _build_argument(name, annotation, value)
    return list(bound.args), dict(bound.kwargs)


def refuse_unbuildable(function: Function) -> None:
    """Check that each required parameter takes some JSON value.

    Raises:
        CannotBuild: A parameter takes none.
    """
    hints = hints_of(function)
    for name, parameter in inspect.signature(function).parameters.items():
        annotation = hints.get(name, inspect.Parameter.empty)
        if parameter.default is inspect.Parameter.empty:
            try:
                _build_argument(name, annotation, example(annotation))
            except CannotBuild as error:
                if not error.is_value:
                    raise


def hints_of(function: Function) -> dict[str, object]:
    """Return the annotations of a function, as far as they can be resolved."""
    inner = inspect.unwrap(getattr(function, "__func__", function))
    try:
        return typing.get_type_hints(inner, include_extras=True)
    except Exception:  # noqa: BLE001 (one name that is imported for type checkers alone)
        given = getattr(inner, "__annotations__", {})
        return {name: each for name, each in given.items() if not isinstance(each, str)}


def _build_argument(name: str, annotation: Annotation, value: object) -> object:
    if annotation is inspect.Parameter.empty:
        return value
    try:
        return build_value(annotation, value)
    except WrongValue as error:
        raise CannotBuild(name, annotation, str(error), is_value=True) from None
    except Unbuildable as error:
        raise CannotBuild(name, annotation, str(error), is_value=False) from None


def build_value(annotation: Annotation, value: object) -> UserObject:
    """Build the value that an annotation asks for from a JSON value.

    Raises:
        WrongValue: This JSON value does not fit, and another one can.
        Unbuildable: No JSON value fits.
    """
    pydantic = sys.modules.get("pydantic")
    if pydantic is not None:
        try:
            adapter = pydantic.TypeAdapter(annotation)
        except pydantic.errors.PydanticUserError:
            pass  # pydantic does not know this class either
        else:
            return _validated(pydantic, adapter, value)
    return _build(annotation, value)


def _validated(pydantic: UserObject, adapter: UserObject, value: object) -> object:
    try:
        return adapter.validate_json(json.dumps(value), strict=True)
    except pydantic.ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"[{part!r}]" for part in first["loc"])
        raise WrongValue(f"{where}: {first['msg']}" if where else first["msg"]) from None


# ------------------------------------------------------------- with the standard library

# The type of the parts of a type that declares none.
_ANYTHING = typing.Any
_UNCONVERTED = (_ANYTHING, object, inspect.Parameter.empty)
_PLAIN = (str, int, bool, type(None))
_SEQUENCES: dict[object, Callable[[list[object]], object]] = {
    list: list, set: set, frozenset: frozenset,
    abc.Sequence: list, abc.MutableSequence: list, abc.Iterable: list, abc.Collection: list,
    abc.Set: set, abc.MutableSet: set,
}  # fmt: skip
_MAPPINGS = (dict, abc.Mapping, abc.MutableMapping)
_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?"
    r"(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)


def _duration(text: str) -> dt.timedelta:
    found = _DURATION.fullmatch(text)
    parts = {k: float(v) for k, v in found.groupdict().items() if v} if found else {}
    if not parts:
        raise ValueError(text)
    return dt.timedelta(**parts)


def _instant(text: str) -> dt.datetime:
    if len(text) < 11:
        raise ValueError(text)  # a date without a time
    return dt.datetime.fromisoformat(text)


# Type to: function that builds it from text, its name in messages, an example.
_FROM_TEXT: dict[object, tuple[Callable[[str], object], str, str]] = {
    dt.datetime: (_instant, "a date and time", "2026-01-31T12:00:00+00:00"),
    dt.date: (dt.date.fromisoformat, "a date", "2026-01-31"),
    dt.time: (dt.time.fromisoformat, "a time", "12:00:00"),
    dt.timedelta: (_duration, "a duration", "PT1H30M"),
    UUID: (UUID, "a UUID", "00000000-0000-4000-8000-000000000001"),
    Decimal: (Decimal, "a decimal", "19.90"),
    Path: (Path, "a path", "a/file.txt"),
    bytes: (str.encode, "bytes", "text"),
}


def _build(annotation: Annotation, value: object) -> object:
    if annotation in _UNCONVERTED or isinstance(annotation, typing.TypeVar):
        return value
    if annotation is None:
        annotation = type(None)
    origin: object = typing.get_origin(annotation)
    inner = typing.get_args(annotation)
    if origin is typing.Annotated:
        return _build(inner[0], value)
    if origin in (typing.Union, types.UnionType):
        return _build_union(annotation, inner, value)
    if origin is typing.Literal:
        return _expect((type(value), value) in [(type(e), e) for e in inner], annotation, value)
    for stands_for in ("__supertype__", "__value__"):  # of a NewType, and of a type alias
        if hasattr(annotation, stands_for) and not isinstance(annotation, type):
            return _build(getattr(annotation, stands_for), value)
    if (origin or annotation) is tuple:
        return _build_tuple(annotation, inner, value)
    if (origin or annotation) in _SEQUENCES:
        item = inner[0] if inner else _ANYTHING
        built = [
            _build_part(n, item, each) for n, each in enumerate(_expect_list(annotation, value))
        ]
        return _SEQUENCES[origin or annotation](built)
    if (origin or annotation) in _MAPPINGS:
        key, item = inner or (_ANYTHING, _ANYTHING)
        pairs = _expect_object(annotation, value).items()
        return {_build(key, k): _build_part(k, item, each) for k, each in pairs}
    return _build_class(annotation, value)


def _build_class(annotation: Annotation, value: object) -> object:
    """Build an instance of a class that has no type arguments."""
    if annotation in _PLAIN:
        return _expect(type(value) is annotation, annotation, value)
    if annotation is float:
        if not isinstance(value, int | float) or isinstance(value, bool):
            raise _not_as_annotated(annotation, value)
        return float(value)
    if annotation is Decimal and type(value) in (int, float):
        return Decimal(str(value))
    if annotation in _FROM_TEXT:
        return _parse_text(annotation, value)
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _enum_member(annotation, value)
    if dataclasses.is_dataclass(annotation) and isinstance(annotation, type):
        names = {each.name for each in dataclasses.fields(annotation) if each.init}
        return annotation(**_build_fields(annotation, names, value))
    if typing.is_typeddict(annotation):
        built = _build_fields(annotation, set(annotation.__annotations__), value)
        missing = sorted(annotation.__required_keys__ - set(built))
        if missing:
            raise WrongValue(f"{missing[0]!r} is missing")
        return built
    if isinstance(annotation, type) and hasattr(annotation, "_fields"):  # a named tuple
        return annotation(**_build_fields(annotation, set(annotation._fields), value))
    raise Unbuildable(f"JSON has nothing that becomes {named(annotation)}")


def _parse_text(annotation: Annotation, value: object) -> object:
    make, what, example = _FROM_TEXT[annotation]
    if isinstance(value, str):
        try:
            return make(value)
        except (ValueError, InvalidOperation):
            pass
    raise WrongValue(f"{json.dumps(value)} is not {what}, as in {json.dumps(example)}")


def _enum_member(annotation: type[Enum], value: object) -> Enum:
    for each in annotation:
        if each.value == value and type(each.value) is type(value):
            return each
    values = ", ".join(json.dumps(each.value, default=str) for each in annotation)
    raise WrongValue(f"{json.dumps(value)} is none of {values}")


def _build_fields(annotation: Annotation, names: set[str], value: object) -> dict[str, object]:
    given = _expect_object(annotation, value)
    hints = typing.get_type_hints(annotation, include_extras=True)
    unknown = sorted(set(given) - names)
    if unknown:
        raise WrongValue(f"{unknown[0]!r} is no field of {named(annotation)}")
    built = {
        name: _build_part(name, _unmarked(hints.get(name, _ANYTHING)), each)
        for name, each in given.items()
    }
    if dataclasses.is_dataclass(annotation) or hasattr(annotation, "_fields"):
        try:
            inspect.signature(annotation).bind(**built)
        except TypeError as error:
            raise WrongValue(str(error)) from None
    return built


# By name: before Python 3.11 they are in `typing_extensions`, which a program may not have.
_MARKS = ("Required", "NotRequired")


def _unmarked(annotation: Annotation) -> object:
    """Return the type inside `Required[…]` or `NotRequired[…]` of a typed dictionary."""
    if str(typing.get_origin(annotation)).rpartition(".")[2] in _MARKS:
        return typing.get_args(annotation)[0]
    return annotation


def _build_tuple(
    annotation: Annotation, inner: Sequence[object], value: object
) -> tuple[object, ...]:
    items = _expect_list(annotation, value)
    if not inner or inner[-1] is Ellipsis:
        item = inner[0] if inner else _ANYTHING
        return tuple(_build_part(n, item, each) for n, each in enumerate(items))
    if len(inner) != len(items):
        raise WrongValue(f"it has {len(items)} items, not {len(inner)}")
    return tuple(_build_part(n, *each) for n, each in enumerate(zip(inner, items, strict=True)))


def _build_union(annotation: Annotation, members: Sequence[object], value: object) -> object:
    """Build the value with the first member of the union that takes it."""
    failures: list[Exception] = []
    for each in members:
        try:
            return _build(each, value)
        except (WrongValue, Unbuildable) as error:
            failures.append(error)
    if value is not None and len(failures) == 2 and type(None) in members:
        raise failures[members[0] is type(None)]
    if all(isinstance(each, Unbuildable) for each in failures):
        raise failures[0]
    raise _not_as_annotated(annotation, value)


def _build_part(part: object, annotation: Annotation, value: object) -> object:
    """Build a part of a value; an error says where the part is."""
    try:
        return _build(annotation, value)
    except WrongValue as error:
        text = str(error)
        raise WrongValue(f"[{part!r}]{'' if text.startswith('[') else ': '}{text}") from None


def _expect_list(annotation: Annotation, value: object) -> list[object]:
    if not isinstance(value, list):
        raise _not_as_annotated(annotation, value)
    return value


def _expect_object(annotation: Annotation, value: object) -> dict[str, object]:
    if not isinstance(value, dict):
        raise _not_as_annotated(annotation, value)
    return value


def _expect(is_right: bool, annotation: Annotation, value: object) -> object:
    if not is_right:
        raise _not_as_annotated(annotation, value)
    return value


def _not_as_annotated(annotation: Annotation, value: object) -> WrongValue:
    return WrongValue(f"{json.dumps(value)} is not {named(annotation)}")


# ------------------------------------------------------------- what is said of annotations


def named(annotation: Annotation) -> str:
    """Return an annotation as it is written in a program."""
    if annotation is type(None):
        return "None"
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__qualname__
    return str(annotation).replace("typing.", "")


def example(annotation: Annotation, depth: int = 0) -> object:
    """Return a JSON value that an annotation takes, to be shown; "…" where none is known."""
    origin: object = typing.get_origin(annotation)
    inner = typing.get_args(annotation)
    if origin in (typing.Annotated, typing.Union, types.UnionType):
        return example(inner[0], depth)
    if origin is typing.Literal:
        return inner[0]
    if (origin or annotation) in _SEQUENCES or (origin or annotation) is tuple:
        return [example(each, depth) for each in inner if each is not Ellipsis]
    if (origin or annotation) in _MAPPINGS:
        return {}
    if annotation in _FROM_TEXT:
        return _FROM_TEXT[annotation][2]
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return next(iter(annotation)).value
    fields = fields_of(annotation)
    if fields and depth < 3:
        return {name: example(each, depth + 1) for name, each in fields.items()}
    return {int: 1, float: 1.5, bool: True, type(None): None}.get(annotation, "…")


def fields_of(annotation: Annotation) -> dict[str, object]:
    """Return the fields of a dataclass, typed dictionary, named tuple or model, with their types."""
    if not isinstance(annotation, type):
        return {}
    has_fields = (
        dataclasses.is_dataclass(annotation)
        or typing.is_typeddict(annotation)
        or hasattr(annotation, "_fields")
        or hasattr(annotation, "model_fields")
    )
    if not has_fields:
        return {}
    names = getattr(annotation, "model_fields", None) or getattr(annotation, "_fields", None)
    hints = typing.get_type_hints(annotation, include_extras=True)
    return {name: _unmarked(each) for name, each in hints.items() if not names or name in names}
