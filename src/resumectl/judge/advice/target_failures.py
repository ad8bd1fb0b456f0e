"""Advise a user whose command line names something that cannot be run as it is. Pure."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from resumectl.judge.advice.situation import (
    DECORATOR,
    MAIN,
    Advice,
    Situation,
    base,
    not_run,
    paste,
)
from resumectl.text import shell_word


def unknown_name(at: Situation) -> Advice | None:
    if at.error.get("problem") != "unknown-name":
        return None
    file, workflows = at.short(at.about["file"]), at.about["workflows"]
    setup = at.about["global"]
    if setup is not None:
        name = setup["name"]
        return Advice(
            f"{file} has no {name} when it is imported: {not_run(at, setup, 'sets it')}",
            f"set {name} above  {MAIN}",
        )
    near = at.about["nearest"]
    better = [each for each in near if each in workflows] or workflows or near
    if not better:
        is_of_setup = bool(at.about["option"])
        return Advice(
            at.error["error"],
            "correct the name"
            if is_of_setup
            else f"name a function that has the decorator  {DECORATOR}",
        )
    return Advice(at.error["error"], f"as in  {at.about['option']}{file}:{better[0]}")


def method_of_class(at: Situation) -> Advice | None:
    if at.error.get("problem") != "method-of-class":
        return None
    about = at.about
    file, name, method = at.short(about["file"]), about["class_name"], about["method"]
    if about["instances"]:
        return Advice(
            at.error["error"], f"name an instance, as in  {file}:{about['instances'][0]}.{method}"
        )
    return Advice(
        at.error["error"],
        paste(
            f"make an instance where {base(file)} is imported, before launch, and name its method:  "
            f"{file}:{name.lower()}.{method}",
            f'{name.lower()} = {name}("one")',
        ),
    )


def not_a_workflow(at: Situation) -> Advice | None:
    if at.error.get("problem") != "not-a-workflow":
        return None
    about = at.about
    file, name, workflows = at.short(about["file"]), about["name"], about["workflows"]
    known = f"{file}:{workflows[0]}" if workflows else ""
    what = at.error["error"]
    if about["defined"]:
        what += f" ({at.short(about['defined'])})"
    lines = _scenario_lines(about)
    if not lines:
        return Advice(
            what,
            f"name a workflow, as in  {known}"
            if known
            else f"name a function that has the decorator  {DECORATOR}",
        )
    first = f"name the workflow, as in  {known};  or give" if known else "give"
    return Advice(what, _scenario(f"{first} what calls {name} a Scenario", file, lines))


# How a request is made to an application of each web framework: what is imported, and the call.
_CLIENTS = {
    "FastAPI": ("from fastapi.testclient import TestClient", "TestClient({0})"),
    "Starlette": ("from starlette.testclient import TestClient", "TestClient({0})"),
    "Litestar": ("from litestar.testing import TestClient", "TestClient({0})"),
    "Flask": ("", "{0}.test_client()"),
}


def _scenario_lines(about: Mapping[str, Any]) -> list[str]:
    """Return the lines that make a scenario of what is no workflow; none where nothing can be run."""
    name, call = about["name"], about["call"]
    imported = f"from {about['module']} import {name.partition('.')[0]}"
    if about["what"] == "function":
        return _request_lines([imported], name, call, is_async=about["is_async"])
    if about["what"] == "step":
        given = call.replace("(", ", ", 1).removesuffix(", )").removesuffix(")")
        return _request_lines([imported], name, f"DBOS.start_workflow({given}).get_result()")
    if about["what"] == "application" and about["framework"] in _CLIENTS:
        client, made = _CLIENTS[about["framework"]]
        call = f'{made.format(name)}.post("/PATH", json={{}}).text'
        return _request_lines([*filter(None, [client]), imported], name, call)
    return []


def _request_lines(
    imports: Sequence[str], name: str, call: str, *, is_async: bool = False
) -> list[str]:
    """Return the lines of a scenario whose request makes one call.

    The id is the same in each process: one that starts another workflow with each request is no
    client that asks again.

    Args:
        imports: What the call needs.
        name: What is called, after which the workflow is named.
        call: Python text.
        is_async: Whether the call is to be awaited.
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
    if at.error.get("problem") != "scenario-with-arguments":
        return None
    return Advice(at.error["error"], "leave out --args and --kwargs: its request has what it needs")


def wrong_arguments(at: Situation) -> Advice | None:
    if at.error.get("problem") not in ("wrong-arguments", "wrong-value"):
        return None
    defined = f" ({at.short(at.about['defined'])})" if at.about["defined"] else ""
    given = (
        ("--args", list(at.about["example"].values())),
        ("--kwargs", at.about["named_example"]),
    )
    example = " ".join(
        f"{option} {shell_word(json.dumps(values, ensure_ascii=False))}"
        for option, values in given
        if values
    )
    return Advice(
        f"the arguments do not fit {at.error['error']}{defined}"
        if at.error["problem"] == "wrong-arguments"
        else f"{at.error['error']}{defined}",
        f"as in  {example}" if example else "leave out --args and --kwargs",
    )


def cannot_build(at: Situation) -> Advice | None:
    if at.error.get("problem") != "cannot-build":
        return None
    about = at.about
    file, name, built = at.short(about["file"]), about["name"], about["built"]
    values = dict.fromkeys(about["parameters"], "...") | {about["parameter"]: built}
    by_position = [each for each in about["parameters"] if each not in about["by_name"]]
    given = ", ".join(v if k in by_position else f"{k}={v}" for k, v in values.items())
    annotation = about["annotation"].partition("[")[0]
    names = [name.partition(".")[0], *([annotation] if annotation.isidentifier() else [])]
    imported = f"from {about['module']} import {', '.join(names)}"
    call = f"DBOS.start_workflow({name}, {given}).get_result()"
    lines = _request_lines([imported], name, call)
    return Advice(at.error["error"], _scenario("build it in a Scenario", file, lines))


def not_a_function(at: Situation) -> Advice | None:
    if at.error.get("problem") != "not-a-function":
        return None
    return Advice(
        at.error["error"], "name a function without parameters, as in  --after-launch main.py:setup"
    )


def class_without_name(at: Situation) -> Advice | None:
    if at.error.get("problem") != "class-without-name":
        return None
    about = at.about
    what = f"{at.error['error']} ({at.short(about['defined'])})"
    return Advice(what, _decorated(about["class_name"]))


_UNREGISTERED_CLASS = ("is not properly registered", "does not have `config_name` set")


def class_not_registered(at: Situation) -> Advice | None:
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
    """Return how a scenario of these lines is swept."""
    directory = file.rpartition("/")[0] if file.endswith(".py") else ""
    name = f"{directory}/scenario.py" if directory else "scenario.py"
    return paste(f"{first}:  {name}:scenario  with these lines in {name}", *lines)
