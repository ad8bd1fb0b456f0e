"""Find out what a name of the program stands for, and which names of its module can be swept.

Runs in the target process, after the program was imported. Refuses a target that cannot be
run, with the facts from which advice is made.
"""

import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType, ModuleType
from typing import cast

from resumectl.model.target import Target
from resumectl.model.target_error import (
    ClassWithoutName,
    MethodOfClass,
    NotAWorkflow,
    UnbuildableArgument,
    WrongArguments,
)
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
from resumectl.probe.user_objects import Function, UserObject

# Application classes of web frameworks: users often name the application instead of a workflow.
_APPLICATIONS = ("FastAPI", "Starlette", "Flask", "Quart", "Sanic", "Litestar")
_SHOWN_MAX = 5


def is_client(owner: object, found: object) -> bool:
    """Return whether a target is a plain function, which acts as the client: it is called as it is.

    Args:
        owner: Object in which the last part of its name was looked up.
        found: The object that the name stands for.
    """
    is_plain = inspect.isroutine(found) and not is_workflow(found) and not is_step(found)
    return is_plain and not isinstance(owner, type)


def refuse_what_cannot_be_run(
    target: Target, module: ModuleType, owner: object, found: UserObject
) -> None:
    """Check that the target is a workflow that can be started, or a function that acts as the client.

    Args:
        target: The target that the command line names.
        module: Module of the target.
        owner: Object in which the last part of its name was looked up.
        found: The object that the name stands for.

    Raises:
        Unrunnable: It is something else.
    """
    assert target.entry is not None
    file, name = target.entry
    last = name.rpartition(".")[2]
    if (
        isinstance(owner, type)
        and isinstance(vars(owner).get(last), FunctionType)
        and is_workflow(found)
    ):
        raise Unrunnable(
            f"{name} is a method of the class {owner.__name__}, and is named without an instance",
            _method_of_class(file, owner, last, module),
        )
    if is_workflow(found) and _is_of_unknown_class(owner, found):
        class_name = type(owner).__name__
        raise Unrunnable(
            f"{name} is a method of {class_name}, a class that DBOS does not know",
            ClassWithoutName(class_name, _definition(type(owner))),
        )
    if is_workflow(found) or is_client(owner, found):
        return
    what, description = _kind(found)
    summary = f"{name} is {description}, not a workflow"
    method = _workflow_method(found) if isinstance(found, type) else ""
    if method:
        raise Unrunnable(summary, _method_of_class(file, found, method, module))
    method_of_object = _workflow_method(type(found))
    workflows = _workflows_like(found, module)[:_SHOWN_MAX]
    raise Unrunnable(
        summary,
        NotAWorkflow(
            file=file,
            module=import_name(module),
            name=name,
            workflows=(f"{name}.{method_of_object}",) if method_of_object else tuple(workflows),
            defined_at=_definition(found),
            what=what,
            framework=_framework(found),
            call=_call(name, found, target),
            is_async=inspect.iscoroutinefunction(found),
        ),
    )


def _method_of_class(file: str, owner: type, method: str, module: ModuleType) -> MethodOfClass:
    instances = (name for name, each in vars(module).items() if isinstance(each, owner))
    return MethodOfClass(file, owner.__name__, method, tuple(instances))


def _workflow_method(kind: type) -> str:
    """Return the first method of a class that is a workflow; empty if there is none."""
    workflows = (
        name
        for name, each in vars(kind).items()
        if isinstance(each, FunctionType) and is_workflow(each)
    )
    return next(workflows, "")


def _is_of_unknown_class(owner: object, found: object) -> bool:
    """Return whether a method belongs to an object that DBOS cannot find again after a crash."""
    return getattr(found, "__self__", None) is owner and not (
        isinstance(owner, type) or hasattr(owner, "config_name")
    )


def _workflows_like(found: object, module: ModuleType) -> list[str]:
    """Return the names that can be swept, the most likely first.

    Members of the named class come first, or workflows that the named function calls.
    """
    called = getattr(getattr(found, "__code__", None), "co_names", ())

    def distance(name: str) -> tuple[bool, bool]:
        first, dot, _ = name.partition(".")
        owner = vars(module).get(first)
        is_of_class = isinstance(found, type) and (owner is found or isinstance(owner, found))
        return not is_of_class and first not in called, bool(dot)

    return sorted(workflow_names(module), key=distance)


def _kind(found: object) -> tuple[str, str]:
    """Return the kind of an object, as a word and as a phrase for people."""
    if _framework(found):
        return "application", f"a {type(found).__name__} application"
    if isinstance(found, type):
        return "class", "a class"
    if is_step(found):
        return "step", "a step"
    if callable(found) and hasattr(found, "__code__"):
        return "function", "a plain function"
    return "object", f"an object of {type(found).__name__}"


def _framework(found: object) -> str:
    """Return the web framework of an application object; empty for any other object."""
    names = {each.__name__ for each in type(found).__mro__}
    return next((each for each in _APPLICATIONS if each in names), "")


def _call(name: str, found: object, target: Target) -> str:
    """Return Python text that calls a function with the given arguments, or with those it requires."""
    given = [*map(repr, target.args), *(f"{k}={v!r}" for k, v in target.kwargs.items())]
    if not given:
        given = [f"{each}=..." for each in _required(found)]
    return f"{name}({', '.join(given)})"


def _required(found: UserObject) -> list[str]:
    """Return the names of the parameters that must be given; none if the signature is not known."""
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


def _definition(found: UserObject) -> str:
    """Return the file and line where something is defined; empty if it is not known."""
    try:
        inner = inspect.unwrap(cast(Function, getattr(found, "__func__", found)))
        return f"{inspect.getsourcefile(inner)}:{inspect.getsourcelines(inner)[1]}"
    except (TypeError, OSError):
        return ""


def import_name(module: ModuleType) -> str:
    """Return the name under which another file imports a module."""
    return str(getattr(module, "__name__", ""))


def workflow_names(module: ModuleType) -> Iterator[str]:
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


def _is_instance_of_program(value: object, module: ModuleType) -> bool:
    return hasattr(value, "config_name") and not callable(value) and value is not module


def arguments_of(
    function: Function, target: Target, module: ModuleType
) -> tuple[list[object], dict[str, object]]:
    """Build the arguments of the workflow from those of the command line.

    Args:
        function: The workflow.
        target: The target that the command line names.
        module: Module of the workflow.

    Raises:
        Unrunnable: They do not fit, or cannot be built.
    """
    assert target.entry is not None
    file, name = target.entry
    signature = f"{name}{inspect.signature(function)}"
    try:
        refuse_unbuildable(function)
        return build_arguments(function, target.args, target.kwargs)
    except CannotBuild as error:
        summary = f"the argument {error.parameter} of {signature}: {error.reason}"
        if error.is_value:
            raise Unrunnable(summary, _wrong_arguments(function, is_value=True)) from None
        cause = UnbuildableArgument(
            file=file,
            module=import_name(module),
            name=name,
            parameter=error.parameter,
            annotation=named(error.annotation),
            recipe=_recipe(error.annotation),
            parameters=tuple(_required(function)),
            by_name=tuple(_example_of(function, by_name=True)),
        )
        raise Unrunnable(summary, cause) from None
    except TypeError as error:
        cause_of_all = _wrong_arguments(function, is_value=False)
        raise Unrunnable(f"{signature}: {error}", cause_of_all) from None


def _wrong_arguments(function: Function, *, is_value: bool) -> WrongArguments:
    return WrongArguments(
        is_value=is_value,
        defined_at=_definition(function),
        example=_example_of(function, by_name=False),
        named_example=_example_of(function, by_name=True),
    )


def _example_of(function: Function, *, by_name: bool) -> dict[str, object]:
    """Return example values for the required parameters, either the keyword-only ones or the others."""
    hints = hints_of(function)
    parameters = inspect.signature(function).parameters
    return {
        name: example(hints.get(name, str))
        for name in _required(function)
        if (parameters[name].kind is inspect.Parameter.KEYWORD_ONLY) is by_name
    }


def _recipe(annotation: object) -> str:
    """Return Python text that makes a value of an annotated type, for the user to complete."""
    name = named(annotation)
    fields = fields_of(annotation)
    if not fields and isinstance(annotation, type):
        try:
            fields = dict(inspect.signature(annotation).parameters)
        except (TypeError, ValueError):
            fields = {}
    return f"{name}({', '.join(f'{each}=...' for each in fields)})"


def file_of(module: ModuleType) -> Path | None:
    """Return the file of a module; None for a namespace."""
    file = getattr(module, "__file__", None)
    return Path(file) if file else None
