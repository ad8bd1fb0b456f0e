"""Advise a user whose command line names something that cannot be run as it is."""

import json
from collections.abc import Mapping, Sequence

from resumectl.model.codec import Plain
from resumectl.model.target_error import (
    ClassWithoutName,
    MethodOfClass,
    NotAFunction,
    NotAWorkflow,
    ScenarioWithArguments,
    UnbuildableArgument,
    UnknownName,
    WrongArguments,
)
from resumectl.report.advice.situation import (
    DECORATOR,
    MAIN,
    Advice,
    Situation,
    base,
    not_run,
    paste,
)
from resumectl.text import shell_word

# The test client of each web framework: its import and its call.
_CLIENTS = {
    "FastAPI": ("from fastapi.testclient import TestClient", "TestClient({0})"),
    "Starlette": ("from starlette.testclient import TestClient", "TestClient({0})"),
    "Litestar": ("from litestar.testing import TestClient", "TestClient({0})"),
    "Flask": ("", "{0}.test_client()"),
}
_UNREGISTERED_CLASS = ("is not properly registered", "does not have `config_name` set")


def unknown_name(at: Situation) -> Advice | None:
    """Advise where the module has no such name."""
    cause = at.cause
    if not isinstance(cause, UnknownName):
        return None
    file, workflows = at.short(cause.file), cause.workflows
    if cause.unset_global is not None:
        name = cause.unset_global.name
        setup = not_run(at, cause.unset_global.code, "sets it")
        return Advice(
            f"{file} has no {name} when it is imported: {setup}", f"set {name} above  {MAIN}"
        )
    better = [each for each in cause.nearest if each in workflows] or workflows or cause.nearest
    if better:
        return Advice(at.summary, f"as in  {cause.option}{file}:{better[0]}")
    return Advice(
        at.summary,
        f"correct the name in  {cause.option.strip()}"
        if cause.option
        else f"name a function that has the decorator  {DECORATOR}",
    )


def method_of_class(at: Situation) -> Advice | None:
    """Advise where a method is named without an instance."""
    cause = at.cause
    if not isinstance(cause, MethodOfClass):
        return None
    file, name, method = at.short(cause.file), cause.class_name, cause.method
    if cause.instances:
        return Advice(at.summary, f"name an instance, as in  {file}:{cause.instances[0]}.{method}")
    return Advice(
        at.summary,
        paste(
            f"make an instance where {base(file)} is imported, before launch, and name its method:  "
            f"{file}:{name.lower()}.{method}",
            f'{name.lower()} = {name}("one")',
        ),
    )


def not_a_workflow(at: Situation) -> Advice | None:
    """Advise where the name is neither a workflow nor a Scenario."""
    cause = at.cause
    if not isinstance(cause, NotAWorkflow):
        return None
    file = at.short(cause.file)
    known = f"{file}:{cause.workflows[0]}" if cause.workflows else ""
    what = at.summary
    if cause.defined_at:
        what += f" ({at.short(cause.defined_at)})"
    lines = _scenario_lines(cause)
    if not lines:
        return Advice(
            what,
            f"name a workflow, as in  {known}"
            if known
            else f"name a function that has the decorator  {DECORATOR}",
        )
    first = f"name the workflow, as in  {known};  or give" if known else "give"
    return Advice(what, _scenario(f"{first} what calls {cause.name} a Scenario", file, lines))


def _scenario_lines(cause: NotAWorkflow) -> list[str]:
    """Return the lines of a scenario for a name that is no workflow; none if it cannot be called."""
    name, call = cause.name, cause.call
    imported = f"from {cause.module} import {name.partition('.')[0]}"
    if cause.what == "function":
        return _request_lines([imported], name, call, is_async=cause.is_async)
    if cause.what == "step":
        given = call.replace("(", ", ", 1).removesuffix(", )").removesuffix(")")
        return _request_lines([imported], name, f"DBOS.start_workflow({given}).get_result()")
    if cause.what == "application" and cause.framework in _CLIENTS:
        client, made = _CLIENTS[cause.framework]
        call = f'{made.format(name)}.post("/PATH", json={{}}).text'
        return _request_lines([*filter(None, [client]), imported], name, call)
    return []


def _request_lines(
    imports: Sequence[str], name: str, call: str, *, is_async: bool = False
) -> list[str]:
    """Return the lines of a scenario whose request makes one call.

    The workflow id is the same in each process, as for a client that retries.

    Args:
        imports: Import lines for the call.
        name: Name of the called function; the workflow id is made from it.
        call: Python source of the call.
        is_async: Whether the call is awaited.
    """
    dbos = "DBOS, SetWorkflowID" if "DBOS." in call else "SetWorkflowID"
    return [
        f"from dbos import {dbos}", "from resumectl import Scenario", *imports, "",
        "", f"{'async ' if is_async else ''}def request():",
        f'    with SetWorkflowID("{name.rpartition(".")[2]}-1"):',
        f"        return {'await ' if is_async else ''}{call}", "",
        "", "scenario = Scenario(request=request)",
    ]  # fmt: skip


def scenario_with_arguments(at: Situation) -> Advice | None:
    """Advise where a Scenario is given arguments."""
    if not isinstance(at.cause, ScenarioWithArguments):
        return None
    return Advice(at.summary, "leave out --args and --kwargs: its request has what it needs")


def wrong_arguments(at: Situation) -> Advice | None:
    """Advise where the arguments do not fit the workflow."""
    cause = at.cause
    if not isinstance(cause, WrongArguments):
        return None
    defined = f" ({at.short(cause.defined_at)})" if cause.defined_at else ""
    example = _options(list(cause.example.values()), cause.named_example)
    return Advice(
        f"{at.summary}{defined}"
        if cause.is_value
        else f"the arguments do not fit {at.summary}{defined}",
        f"as in  {example}" if example else "leave out --args and --kwargs",
    )


def _options(args: Sequence[Plain], kwargs: Mapping[str, Plain]) -> str:
    given: tuple[tuple[str, Plain], ...] = (("--args", args), ("--kwargs", kwargs))
    return " ".join(
        f"{option} {shell_word(json.dumps(values, ensure_ascii=False))}"
        for option, values in given
        if values
    )


def cannot_build(at: Situation) -> Advice | None:
    """Advise where an argument cannot be built from JSON."""
    cause = at.cause
    if not isinstance(cause, UnbuildableArgument):
        return None
    file, name = at.short(cause.file), cause.name
    values = dict.fromkeys(cause.parameters, "...") | {cause.parameter: cause.recipe}
    by_position = [each for each in cause.parameters if each not in cause.by_name]
    given = ", ".join(v if k in by_position else f"{k}={v}" for k, v in values.items())
    annotation = cause.annotation.partition("[")[0]
    names = [name.partition(".")[0], *([annotation] if annotation.isidentifier() else [])]
    imported = f"from {cause.module} import {', '.join(names)}"
    call = f"DBOS.start_workflow({name}, {given}).get_result()"
    lines = _request_lines([imported], name, call)
    return Advice(at.summary, _scenario("build it in a Scenario", file, lines))


def not_a_function(at: Situation) -> Advice | None:
    """Advise where --after-launch or --observe names no function without parameters."""
    if not isinstance(at.cause, NotAFunction):
        return None
    is_observe = at.summary.startswith("--observe")
    example = "--observe main.py:look" if is_observe else "--after-launch main.py:setup"
    return Advice(at.summary, f"name a function without parameters, as in  {example}")


def class_without_name(at: Situation) -> Advice | None:
    """Advise where the method's class is unknown to DBOS."""
    cause = at.cause
    if not isinstance(cause, ClassWithoutName):
        return None
    return Advice(f"{at.summary} ({at.short(cause.defined_at)})", _decorated(cause.class_name))


def class_not_registered(at: Situation) -> Advice | None:
    """Advise where DBOS refuses a method, since it does not know the class."""
    if not any(each in at.message for each in _UNREGISTERED_CLASS):
        return None
    return Advice(
        f"{at.target[1]} is a method of a class that DBOS does not know", _decorated("NAME")
    )


def _decorated(name: str) -> str:
    return paste(
        "give the class its decorator and its base",
        "from dbos import DBOS, DBOSConfiguredInstance", "", "",
        "@DBOS.dbos_class()",
        f"class {name}(DBOSConfiguredInstance):",
        "    def __init__(self, name):",
        "        super().__init__(config_name=name)",
    )  # fmt: skip


def _scenario(first: str, file: str, lines: Sequence[str]) -> str:
    """Return the next step that sweeps a scenario with these lines."""
    directory = file.rpartition("/")[0] if file.endswith(".py") else ""
    name = f"{directory}/scenario.py" if directory else "scenario.py"
    return paste(f"{first}:  {name}:scenario  with these lines in {name}", *lines)
