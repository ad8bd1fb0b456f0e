"""What to tell a user whose program fails without any crash: what is wrong, what to type next.

One table of cases; each is a function from what was recorded to advice, or to nothing. Pure.
"""

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from resumectl.lab.illness import illness, remedy, unfinished
from resumectl.lab.old_dbos import what_changed
from resumectl.lab.trial import LifeSeen, Observation
from resumectl.text import literal, shell_word

_DECORATOR = "@DBOS.workflow()"
_MAIN = 'if __name__ == "__main__":'


@dataclass(frozen=True, slots=True)
class Advice:
    """The two parts of an error.

    Args:
        what: What is wrong, one line.
        next_step: What to type next; further lines are to be pasted.
        is_mistyped: Whether the command line is wrong, rather than the program.
    """

    what: str
    next_step: str
    is_mistyped: bool = False


@dataclass(frozen=True, slots=True)
class Situation:
    """What was recorded of an uninterrupted run that went wrong.

    Args:
        run: All of it.
        directory: Where the command was typed; files below it are named without it.
    """

    run: Observation
    directory: str

    @property
    def life(self) -> LifeSeen:
        """Return the process that ran."""
        return self.run.final

    @property
    def error(self) -> Mapping[str, Any]:
        """Return the facts of the error that ended it; empty if none did."""
        for kind in ("failed", "answered"):
            event = self.life.last(kind)
            if event is not None and "error" in event:
                return event
        return self.failed_workflow or {}

    @property
    def failed_workflow(self) -> Mapping[str, Any] | None:
        """Return the facts of the first workflow that failed, where that is why nothing goes on.

        So it is where all have ended, and the request still waits.
        """
        if self.life.has_settled or self.life.last("answered") or unfinished(self.life):
            return None
        failed = [each["id"] for each in self.life.left["workflows"] if each["status"] == "ERROR"]
        raised = (each for each in self.life.events if each["kind"] == "raised")
        return next((each for each in raised if each["workflow"] in failed), None)

    @property
    def about(self) -> Mapping[str, Any]:
        """Return what is known of the error beyond its message."""
        found: Mapping[str, Any] = self.error.get("about", {})
        return found

    @property
    def message(self) -> str:
        """Return what the error says; empty where it is none of Python's."""
        return str(self.error.get("message", ""))

    @property
    def phase(self) -> str:
        """Return what the process had begun last."""
        found = ""
        for event in self.life.events:
            if event["kind"] == "began":
                found = event["what"]
            elif event["kind"] == "answered":
                found = "answered"
        return found

    @property
    def target(self) -> tuple[str, str]:
        """Return the file or module under test, and the name in it."""
        began = next((e for e in self.life.events if e["kind"] == "began"), {})
        module, name = began.get("target") or ("", "")
        return self.short(module), name

    def short(self, path: str) -> str:
        """Return a path as it is typed in the command's directory."""
        return "." if path == self.directory else path.removeprefix(f"{self.directory}/")

    def place(self, where: Mapping[str, Any] | None = None) -> str:
        """Return `FILE:LINE` of the user's code; empty where none is known."""
        found = where or self.error.get("where")
        return f"{self.short(found['file'])}:{found['line']}" if found else ""

    def line(self, where: Mapping[str, Any]) -> str:
        """Return `FILE:LINE` with the text of the line."""
        return f"{self.place(where)}" + (f": {where['text']}" if where["text"] else "")


Case = Callable[[Situation], Advice | None]


def advise(run: Observation, directory: str) -> Advice:
    """Return what is wrong with an uninterrupted run that is ill, and what to do.

    Args:
        run: For which `illness` has an answer.
        directory: Where the command was typed.
    """
    # A line break from outside is no line of the advice.
    life = replace(run.final, events=[_harmless(each) for each in run.final.events])
    situation = Situation(replace(run, lives=[*run.lives[:-1], life]), directory)
    case, found = next((c, found) for c in _CASES if (found := c(situation)) is not None)
    return replace(found, is_mistyped=found.is_mistyped or case in _MISTYPED)


def _harmless(value: Any) -> Any:
    """Return plain data with each text in it as a terminal may show it."""
    if isinstance(value, str):
        return literal(value)
    if isinstance(value, Mapping):
        return {name: _harmless(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_harmless(each) for each in value]
    return value


# ------------------------------------------------------------- what does not end


def _refused(at: Situation) -> Advice | None:
    refused = at.life.last("refused")
    return None if refused is None else Advice(refused["error"], refused["next_step"])


def _queue_not_registered(at: Situation) -> Advice | None:
    stranded = at.life.last("stranded")
    if stranded is None or not stranded["unregistered"]:
        return None
    first = stranded["unregistered"][0]
    queue, setup = first["queue"], first["setup"]
    what = f"{first['workflow']} waits on the queue {queue}, which no process registers"
    if setup is None:
        return Advice(what, _after_launch(f"DBOS.register_queue({json.dumps(queue)})"))
    return Advice(
        f"{what}: {_not_run(at, setup, 'does')}",
        _set_up_by(at, setup, *setup["lines"]),
    )


def _not_run(at: Situation, setup: Mapping[str, Any], does: str) -> str:
    """Return which part of the program is not run, though it does what is missing."""
    within = setup["function"] or "the main program"
    return f"{at.short(setup['file'])}:{setup['line']} {does}, in {within}, which is not run here"


def _after_launch(*lines: str) -> str:
    imports = [each for each in lines if each.startswith("from ")]
    calls = [each for each in lines if each not in imports]
    dbos = ["from dbos import DBOS"] if any("DBOS." in each for each in calls) else []
    kind = "async def" if any(each.startswith("await ") for each in calls) else "def"
    return _paste(
        "do it in a function that each process runs after launch:  "
        "--after-launch after_launch.py:setup  with these lines in after_launch.py",
        *dbos, *imports, "", "",
        f"{kind} setup():", *(f"    {line}" for line in calls),
    )  # fmt: skip


def _set_up_by(at: Situation, setup: Mapping[str, Any], *lines: str) -> str:
    """Return how to run what a program does after launch."""
    if setup["is_callable"]:
        return f"--after-launch {at.short(setup['file'])}:{setup['function']}"
    return _after_launch(*lines)


def _import_does_not_end(at: Situation) -> Advice | None:
    stood = at.life.last("stalled") or at.life.last("stands")
    if at.error or at.life.last("answered") or at.phase not in _BEFORE_LAUNCH:
        return None
    if stood is None and at.life.in_time:
        return None
    doing = _BEFORE_LAUNCH[at.phase].format(*at.target)
    where = stood["where"] if stood else None
    serves = stood is not None and stood.get("why") == "serves"
    what = f"{doing} does not end"
    if where:
        what += f": it {'serves' if serves else 'stands'} at {at.line(where)}"
    if at.phase == "import":
        return Advice(
            what,
            f"put what only a program run by itself does under  {_MAIN}"
            + ("" if serves else "   or let it take longer:  --timeout 300"),
        )
    return Advice(what, "let it end by itself;  or let it take longer:  --timeout 300")


_BEFORE_LAUNCH = {
    "import": "importing {0}",
    "prepare": "the prepare of {0}:{1}",
    "launch": "the launch of DBOS",
    "after-launch": "what runs after launch",
}


def _does_not_end(at: Situation) -> Advice | None:
    if at.life.has_settled or at.error:
        return None
    stood = at.life.last("stands")
    what = f"the scenario fails without any crash: {illness(at.run)}"
    if stood is not None and at.phase == "request" and stood["where"]:
        what += f"; its request stands at {at.line(stood['where'])}"
    if stood is not None and stood["others"]:
        what += f"; the program stands at {'; '.join(map(at.line, stood['others']))}"
    raised = at.life.last("raised")
    if raised is not None:
        what += f"; {raised['workflow']} has failed: {raised['error']}"
        what += f" ({at.place(raised['where'])})" if raised["where"] else ""
    return Advice(what, literal(remedy(at.run)))


# ------------------------------------------------------------- what cannot be run


def _unknown_name(at: Situation) -> Advice | None:
    if at.error.get("problem") != "unknown-name":
        return None
    file, workflows = at.short(at.about["file"]), at.about["workflows"]
    setup = at.about["global"]
    if setup is not None:
        name = setup["name"]
        return Advice(
            f"{file} has no {name} when it is imported: {_not_run(at, setup, 'sets it')}",
            f"set {name} above  {_MAIN}",
        )
    near = at.about["nearest"]
    better = [each for each in near if each in workflows] or workflows or near
    if not better:
        is_of_setup = bool(at.about["option"])
        return Advice(
            at.error["error"],
            "correct the name"
            if is_of_setup
            else f"name a function that has the decorator  {_DECORATOR}",
        )
    return Advice(at.error["error"], f"as in  {at.about['option']}{file}:{better[0]}")


def _method_of_class(at: Situation) -> Advice | None:
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
        _paste(
            f"make an instance where {_base(file)} is imported, before launch, and name its method:  "
            f"{file}:{name.lower()}.{method}",
            f'{name.lower()} = {name}("one")',
        ),
    )


def _not_a_workflow(at: Situation) -> Advice | None:
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
            else f"name a function that has the decorator  {_DECORATOR}",
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


def _scenario_with_arguments(at: Situation) -> Advice | None:
    if at.error.get("problem") != "scenario-with-arguments":
        return None
    return Advice(at.error["error"], "leave out --args and --kwargs: its request has what it needs")


def _wrong_arguments(at: Situation) -> Advice | None:
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


def _cannot_build(at: Situation) -> Advice | None:
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


def _not_a_function(at: Situation) -> Advice | None:
    if at.error.get("problem") != "not-a-function":
        return None
    return Advice(
        at.error["error"], "name a function without parameters, as in  --after-launch main.py:setup"
    )


# ------------------------------------------------------------- exceptions


def _module_missing(at: Situation) -> Advice | None:
    if "module" not in at.about:
        return None
    module, place = at.about["module"], at.place()
    source, project = at.about.get("source"), at.about.get("project")
    who = f"{place} imports {module}" if place else f"the module {module} is to be imported"
    if "package" in at.about:
        return Advice(
            f"{who}, which the package {at.about['package']} does not have", f"correct {place}"
        )
    if source is None:
        needs = at.about.get("needs")
        return Advice(
            f"{who}, which is not installed",
            "install the distribution that provides it"
            + (f", as {at.short(needs)} may name it," if needs else "")
            + " in the environment that runs resumectl;  "
            "or, where its source is elsewhere,  --env PYTHONPATH=DIRECTORY",
            is_mistyped=not place,
        )
    install = f"pip install -e {at.short(project)}" if project else ""
    return Advice(
        f"{who}, which is in {at.short(source)} and is not installed",
        (f"{install};  or  " if install else "") + f"--env PYTHONPATH={at.short(source)}",
        is_mistyped=not place,
    )


def _syntax(at: Situation) -> Advice | None:
    if not at.error.get("type", "").endswith(("SyntaxError", "IndentationError", "TabError")):
        return None
    where = at.error.get("where")
    if where is None:
        file = at.target[0]
        return Advice(f"{file} is not valid Python: {at.message}", f"correct {file}")
    return Advice(
        f"{at.place()} is not valid Python: {at.message.partition(' (')[0]}: {where['text']}",
        f"correct line {where['line']} of {at.short(where['file'])}",
    )


def _variable_missing(at: Situation) -> Advice | None:
    unset = at.about.get("unset")
    if not unset:
        return None
    if at.error["type"] == "builtins.SystemExit" and "exit" not in at.error["where"]["text"]:
        return None  # the command line is not what the program takes
    is_said = at.error["type"].endswith("KeyError")
    if not is_said and at.phase not in _BEFORE_LAUNCH:
        return None  # it has come that far without
    names = ", ".join(unset)
    variables = f"the environment variable {names}" if len(unset) == 1 else f"the variables {names}"
    what = f"{at.place()} needs {variables}, which {'is' if len(unset) == 1 else 'are'} not set"
    if not is_said:
        what = f"{_fails(at)}; {variables}, for which it asks, {'is' if len(unset) == 1 else 'are'} not set"
    options = " ".join(f"--env {name}=VALUE" for name in unset)
    return Advice(what, f"{options};  {{database_url}} and {{place}} are filled in")


def _written_for_another_dbos(at: Situation) -> Advice | None:
    found = what_changed(at.error.get("type", ""), at.message)
    if found is None:
        return None
    place = f"{at.place()}: " if at.place() else ""
    return Advice(f"{place}{found.what}; installed is dbos {at.about['dbos']}", found.instead)


def _table_missing(at: Situation) -> Advice | None:
    if "table" not in at.about:
        return None
    table, setup = at.about["table"], at.about["setup"]
    place = f"{at.place()} uses" if at.place() else "the program uses"
    what = f"{place} the table {table}, which does not exist in the database of a trial"
    command = _MIGRATE.get(next(iter(at.about["migrations"]), ""), "COMMAND")
    by_command = f"by a command, once:  --prepare {shell_word(command)}"
    if setup is not None:
        made = f"{at.short(setup['file'])}:{setup['line']}"
        what += f": {_not_run(at, setup, 'creates tables')}"
        if at.about["migrations"]:
            return Advice(what, f"create it {by_command}")
        lines = setup["lines"] or [f"...  # what {made} does"]
        return Advice(what, _set_up_by(at, setup, *lines))
    return Advice(
        what,
        f"create it {by_command};  or in a function that each process runs after launch:  "
        "--after-launch after_launch.py:setup",
    )


# Files beside a program, and the command that creates its tables.
_MIGRATE = {"alembic.ini": "alembic upgrade head", "manage.py": "python manage.py migrate"}


def _global_of_main(at: Situation) -> Advice | None:
    setup = at.about.get("global")
    if setup is None:
        return None
    name, file = setup["name"], at.short(setup["file"])
    what = f"{at.place()} uses {name}, which is not set: {_not_run(at, setup, 'sets it')}"
    if at.phase == "import":
        return Advice(what, f"set {name} above the line that uses it, where {file} is imported")
    if setup["is_callable"]:
        return Advice(what, _set_up_by(at, setup))
    if setup["is_before_launch"]:
        first = f"set it where {file} is imported:  with these lines above  {_MAIN}"
        return Advice(what, _paste(first, *setup["lines"]))
    return Advice(
        what,
        _paste(
            f"set it where {file} is imported;  or in a function that each process runs after "
            f"launch:  --after-launch {file}:setup  with these lines in {file}",
            "def setup():", f"    global {name}", *(f"    {line}" for line in setup["lines"]),
        ),
    )  # fmt: skip


_RELATIVE = "attempted relative import"


def _relative_import(at: Situation) -> Advice | None:
    where = at.error.get("where")
    file, name = at.target
    if _RELATIVE not in at.message or where is None or at.short(where["file"]) != file:
        return None
    what = f"{at.line(where)} is relative to a package, and the file {file} is in none"
    module = file.removesuffix(".py").replace("/", ".")
    if "." in module and all(each.isidentifier() for each in module.split(".")):
        return Advice(what, f"name the module rather than the file:  {module}:{name}")
    return Advice(
        what,
        "name the module rather than the file, from the directory above its package, "
        f"as in  PACKAGE.{_base(file).removesuffix('.py')}:{name}",
    )


def _circular_import(at: Situation) -> Advice | None:
    module, where = at.about.get("half_imported"), at.error.get("where")
    if module is None or where is None:
        return None
    if module == _base(where["file"]).removesuffix(".py"):
        return Advice(
            f"{at.line(where)} imports {at.short(where['file'])} itself, since that is named {module}",
            "give the file another name",
        )
    return Advice(
        f"{at.line(where)} needs a name of {module}, which is still being imported: "
        "these modules import each other in a circle",
        f"import {module} inside the function of {at.short(where['file'])} that uses it",
    )


def _too_early(at: Situation) -> Advice | None:
    said = ("No DBOS was created yet", "accessed before DBOS was launched")
    if not any(each in at.message for each in said) or at.phase != "import":
        return None
    where = at.error.get("where")
    line = where["text"] if where else "..."
    # Of a statement of several lines, the first is known.
    pasted = line if _is_statement(line) else f"...  # what {at.place()} does"
    return Advice(f"{at.place()} needs DBOS to be launched: {line}", _after_launch(pasted))


def _datasource_too_late(at: Situation) -> Advice | None:
    if "Datasources must be created before DBOS.launch()" not in at.message:
        return None
    place = at.place() or "the program"
    return Advice(
        f"{place} creates a datasource after DBOS is launched",
        "create it where its module is imported",
    )


def _is_statement(text: str) -> bool:
    try:
        ast.parse(text)
    except SyntaxError:
        return False
    return True


_UNREACHABLE = re.compile(
    r"connection refused|connection failed|could not connect|name or service not known"
    r"|name resolution|no route to host|network is unreachable",
    re.IGNORECASE,
)


def _cannot_connect(at: Situation) -> Advice | None:
    if not _UNREACHABLE.search(at.message):
        return None
    return Advice(
        _fails(at), "start what it connects to, or name another one, as in  --env NAME=VALUE"
    )


def _ends_itself(at: Situation) -> Advice | None:
    if at.error.get("type") != "builtins.SystemExit":
        return None
    place = at.place() or "a library"
    # With a number the process says why on its way, and with a text it says no more than that.
    reason = "" if not at.message or at.message.lstrip("-").isdigit() else at.message
    what = f"importing {at.target[0]} ends the process: sys.exit at {place}"
    if reason:
        return Advice(
            f"{what}: {reason}", f"correct what it says;  or put what exits under  {_MAIN}"
        )
    return Advice(what, f"put what reads the command line, or exits, under  {_MAIN}")


def _workflow_called_at_import(at: Situation) -> Advice | None:
    if "invoked before DBOS initialized" not in at.message or at.phase != "import":
        return None
    where = at.error.get("where")
    return Advice(
        f"{at.line(where)} calls a workflow while it is imported"
        if where
        else f"importing {at.target[0]} calls a workflow",
        "call it in a Scenario's request, as in  Scenario(request=lambda: checkout(...));  "
        f"or under  {_MAIN}",
    )


def _class_without_name(at: Situation) -> Advice | None:
    if at.error.get("problem") != "class-without-name":
        return None
    about = at.about
    what = f"{at.error['error']} ({at.short(about['defined'])})"
    return Advice(what, _decorated(about["class_name"]))


_UNREGISTERED_CLASS = ("is not properly registered", "does not have `config_name` set")


def _class_not_registered(at: Situation) -> Advice | None:
    if not any(each in at.message for each in _UNREGISTERED_CLASS):
        return None
    return Advice(
        f"{at.target[1]} is a method of a class that DBOS does not know", _decorated("NAME")
    )


def _decorated(name: str) -> str:
    return _paste(
        "give the class its decorator and its base",
        "from dbos import DBOS, DBOSConfiguredInstance", "", "",
        "@DBOS.dbos_class()",
        f"class {name}(DBOSConfiguredInstance):",
        "    def __init__(self, name):",
        "        super().__init__(config_name=name)",
    )  # fmt: skip


def _relative_path(at: Situation) -> Advice | None:
    if "relative" not in at.about:
        return None
    name = at.about["relative"]
    return Advice(
        f"{_fails(at)}; the working directory of each process is its sandbox",
        f"name the file by where the program is, as in  Path(__file__).with_name({json.dumps(name)})",
    )


def _fails(at: Situation) -> str:
    """Return what failed where, and how."""
    doing = {
        "import": "importing {0} fails",
        "prepare": "the prepare of {0}:{1} fails",
        "launch": "the launch of DBOS fails",
        "after-launch": "what runs after launch fails",
    }.get(at.phase, "the scenario fails without any crash").format(*at.target)
    where = at.error.get("where")
    if at.error.get("kind") == "raised":
        doing = f"{doing}, and its request waits for ever: {at.error['workflow']}"
    function = where["function"] if where else ""
    inside = f", in {function}" if function and function != "<module>" else ""
    return f"{doing}: {at.error['error']}" + (f" ({at.place()}{inside})" if where else "")


def _exception(at: Situation) -> Advice | None:
    if not at.error:
        return None
    place = at.place()
    correct = f"correct {place}" if place else "correct the program"
    if at.phase != "answered":
        return Advice(_fails(at), correct)
    return Advice(
        _fails(at), f"{correct};  where failing is right, catch it in a Scenario's request"
    )


def _ended_by_itself(at: Situation) -> Advice | None:
    if at.life.last("answered") is not None or at.phase not in _BEFORE_LAUNCH:
        return None
    doing = _BEFORE_LAUNCH[at.phase].format(*at.target)
    what = f"{doing} ends its process: {at.life.ending}"
    if at.life.signal is not None:
        return Advice(what, f"see what ends it:  python -X faulthandler {at.target[0]}")
    return Advice(what, f"put what calls os._exit under  {_MAIN}")


def _otherwise(at: Situation) -> Advice | None:
    return Advice(
        f"the scenario fails without any crash: {illness(at.run)}", literal(remedy(at.run))
    )


# What was typed names nothing that can be run, whatever is mended in the program.
_MISTYPED = (
    _unknown_name,
    _method_of_class,
    _not_a_workflow,
    _scenario_with_arguments,
    _wrong_arguments,
    _cannot_build,
    _not_a_function,
)

# The first that has an answer gives it.
_CASES: Sequence[Case] = (
    _refused,
    _queue_not_registered,
    _import_does_not_end,
    _does_not_end,
    _unknown_name,
    _method_of_class,
    _not_a_workflow,
    _scenario_with_arguments,
    _wrong_arguments,
    _cannot_build,
    _not_a_function,
    _class_without_name,
    _module_missing,
    _syntax,
    _relative_import,
    _circular_import,
    _global_of_main,
    _written_for_another_dbos,
    _table_missing,
    _too_early,
    _datasource_too_late,
    _workflow_called_at_import,
    _class_not_registered,
    _relative_path,
    _variable_missing,
    _cannot_connect,
    _ends_itself,
    _exception,
    _ended_by_itself,
    _otherwise,
)


def _scenario(first: str, file: str, lines: Sequence[str]) -> str:
    """Return how a scenario of these lines is swept."""
    directory = file.rpartition("/")[0] if file.endswith(".py") else ""
    name = f"{directory}/scenario.py" if directory else "scenario.py"
    return _paste(f"{first}:  {name}:scenario  with these lines in {name}", *lines)


def _paste(first: str, *lines: str) -> str:
    return "\n".join([first, "", *(f"    {line}" if line else "" for line in lines)])


def _base(file: str) -> str:
    return file.rpartition("/")[2]
