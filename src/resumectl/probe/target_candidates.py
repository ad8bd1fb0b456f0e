"""Tell what a name of the program is, and which names of its module can be swept.

Runs in the target process, after the program was imported. Refuses what cannot be run, with the
facts that `advice` needs.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FunctionType
from typing import Any

from resumectl.model.target import Subject
from resumectl.probe.argument_builder import (
    CannotBuild,
    build_arguments,
    example,
    fields_of,
    hints_of,
    named,
    refuse_unbuildable,
)
from resumectl.probe.dbos_state import is_step, is_workflow
from resumectl.probe.error_facts import Unrunnable

# Classes of web frameworks whose object is often named where a workflow is meant.
_APPLICATIONS = ("FastAPI", "Starlette", "Flask", "Quart", "Sanic", "Litestar")
_SHOWN_MAX = 5


def refuse_what_is_no_workflow(subject: Subject, module: Any, owner: Any, found: Any) -> None:
    """Make sure that what is named is a workflow that can be started.

    Args:
        subject: What the command line named.
        module: The module of it.
        owner: What the last part of the name was looked up in.
        found: What was found there.

    Raises:
        Unrunnable: It is something else.
    """
    assert subject.target is not None
    name = subject.target[1]
    last = name.rpartition(".")[2]
    about = {
        "module": import_name(module),
        "file": subject.target[0],
        "name": name,
        "workflows": _workflows_like(found, module)[:_SHOWN_MAX],
        "defined": _definition(found),
    }
    is_method = isinstance(owner, type) and isinstance(vars(owner).get(last), FunctionType)
    if is_method and is_workflow(found):
        raise Unrunnable(
            "method-of-class",
            f"{name} is a method of the class {owner.__name__}, and is named without an instance",
            **about,
            **_of_class(owner, last, module),
        )
    if is_workflow(found) and _is_of_unknown_class(owner, found):
        raise Unrunnable(
            "class-without-name",
            f"{name} is a method of {type(owner).__name__}, a class that DBOS does not know",
            **{**about, "defined": _definition(type(owner))},
            class_name=type(owner).__name__,
        )
    if is_workflow(found):
        return
    kind = _kind(found)
    method = _workflow_method(found)
    of_object = _workflow_method(type(found))
    if of_object:
        about["workflows"] = [f"{name}.{of_object}"]
    if method:
        what = f"{name} is {kind[1]}, not a workflow"
        raise Unrunnable("method-of-class", what, **about, **_of_class(found, method, module))
    raise Unrunnable(
        "not-a-workflow",
        f"{name} is {kind[1]}, not a workflow",
        **about,
        what=kind[0],
        framework=_framework(found),
        call=_call(name, found, subject),
        is_async=inspect.iscoroutinefunction(found),
    )


def _workflow_method(found: Any) -> str:
    """Return the first method of a class that is a workflow; empty if there is none."""
    members = vars(found).items() if isinstance(found, type) else ()
    return next(
        (m for m, each in members if isinstance(each, FunctionType) and is_workflow(each)), ""
    )


def _of_class(owner: type, method: str, module: Any) -> dict[str, Any]:
    return {
        "instances": [n for n, each in vars(module).items() if isinstance(each, owner)],
        "class_name": owner.__name__,
        "method": method,
    }


def _is_of_unknown_class(owner: Any, found: Any) -> bool:
    """Return whether a method belongs to an object that DBOS cannot find again after a crash."""
    return getattr(found, "__self__", None) is owner and not (
        isinstance(owner, type) or hasattr(owner, "config_name")
    )


def _workflows_like(found: Any, module: Any) -> list[str]:
    """Return the names that can be swept.

    First those of the class that is named, or that the function calls which is named.
    """
    called = getattr(getattr(found, "__code__", None), "co_names", ())

    def distance(name: str) -> tuple[bool, bool]:
        first, dot, _ = name.partition(".")
        owner = vars(module).get(first)
        is_of_class = isinstance(found, type) and (owner is found or isinstance(owner, found))
        return not is_of_class and first not in called, bool(dot)

    return sorted(workflow_names(module), key=distance)


def _kind(found: Any) -> tuple[str, str]:
    """Return what something is, as a word for `advice`, and as a phrase for people."""
    if _framework(found):
        return "application", f"a {type(found).__name__} application"
    if isinstance(found, type):
        return "class", "a class"
    if is_step(found):
        return "step", "a step"
    if callable(found) and hasattr(found, "__code__"):
        return "function", "a plain function"
    return "object", f"an object of {type(found).__name__}"


def _framework(found: Any) -> str:
    """Return which web framework an object is an application of; empty for none."""
    names = {each.__name__ for each in type(found).__mro__}
    return next((each for each in _APPLICATIONS if each in names), "")


def _call(name: str, found: Any, subject: Subject) -> str:
    """Return Python text that calls something with what was given, or with what it needs."""
    given = [*map(repr, subject.args), *(f"{k}={v!r}" for k, v in subject.kwargs.items())]
    if not given:
        given = [f"{each}=..." for each in _required(found)]
    return f"{name}({', '.join(given)})"


def _required(found: Any) -> list[str]:
    """Return the names of the parameters that must be given; none where nothing tells them."""
    try:
        parameters = inspect.signature(found).parameters
    except (TypeError, ValueError):
        return []
    several = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return [
        name
        for name, each in parameters.items()
        if each.default is inspect.Parameter.empty and each.kind not in several
    ]


def _definition(found: Any) -> str:
    """Return the file and line where something is defined; empty where nothing tells it."""
    try:
        inner = inspect.unwrap(getattr(found, "__func__", found))
        return f"{inspect.getsourcefile(inner)}:{inspect.getsourcelines(inner)[1]}"
    except (TypeError, OSError):
        return ""


def import_name(module: Any) -> str:
    """Return the name under which another file imports a module."""
    return str(getattr(module, "__name__", ""))


def workflow_names(module: Any) -> Iterator[str]:
    """Yield the names in a module that can be swept: workflows, and those of classes and objects."""
    for name, value in list(vars(module).items()):
        if name.startswith("_"):
            continue
        if is_workflow(value):
            yield name
        elif isinstance(value, type):
            members = ((m, each) for m, each in vars(value).items() if not m.startswith("_"))
            yield from (
                f"{name}.{member}"
                for member, each in members
                if isinstance(each, staticmethod | classmethod)
                and is_workflow(getattr(value, member))
            )
        elif _is_instance_of_program(value, module):
            yield from (
                f"{name}.{member}"
                for member, each in vars(type(value)).items()
                if isinstance(each, FunctionType) and is_workflow(each)
            )


def _is_instance_of_program(value: Any, module: Any) -> bool:
    return hasattr(value, "config_name") and not callable(value) and value is not module


def arguments_of(
    function: Callable[..., Any], subject: Subject, module: Any
) -> tuple[list[Any], dict[str, Any]]:
    """Return the arguments of the workflow, built from what the command line gives.

    Raises:
        Unrunnable: They do not fit, or cannot be built.
    """
    assert subject.target is not None
    name = subject.target[1]
    signature = f"{name}{inspect.signature(function)}"
    about = {
        "module": import_name(module),
        "file": subject.target[0],
        "name": name,
        "signature": signature,
        "defined": _definition(function),
        "example": _example_of(function, by_name=False),
        "named_example": _example_of(function, by_name=True),
    }
    try:
        refuse_unbuildable(function)
        return build_arguments(function, subject.args, subject.kwargs)
    except CannotBuild as error:
        raise Unrunnable(
            "wrong-value" if error.is_value else "cannot-build",
            f"the argument {error.parameter} of {signature}: {error.reason}",
            **about,
            parameter=error.parameter,
            annotation=named(error.annotation),
            built=_recipe(error.annotation),
            parameters=_required(function),
            by_name=list(_example_of(function, by_name=True)),
        ) from None
    except TypeError as error:
        raise Unrunnable("wrong-arguments", f"{signature}: {error}", **about) from None


def _example_of(function: Callable[..., Any], *, by_name: bool) -> dict[str, Any]:
    """Return values for the parameters that must be given, those by name alone or all others."""
    hints = hints_of(function)
    parameters = inspect.signature(function).parameters
    return {
        name: example(hints.get(name, str))
        for name in _required(function)
        if (parameters[name].kind is inspect.Parameter.KEYWORD_ONLY) is by_name
    }


def _recipe(annotation: Any) -> str:
    """Return Python text that makes a value of an annotation, to be completed by its reader."""
    name = named(annotation)
    fields = fields_of(annotation)
    if not fields and isinstance(annotation, type):
        try:
            fields = dict(inspect.signature(annotation).parameters)
        except (TypeError, ValueError):
            fields = {}
    return f"{name}({', '.join(f'{each}=...' for each in fields)})"


def file_of(module: Any) -> Path | None:
    """Return the file of a module; None for a namespace."""
    file = getattr(module, "__file__", None)
    return Path(file) if file else None
