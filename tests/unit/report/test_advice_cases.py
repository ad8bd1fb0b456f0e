"""Advice for a program that fails without any crash, from what was recorded of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pytest
from builders import observed as observed_processes
from builders import process, snapshot, started, step_row, workflow_row

from resumectl.model.events import (
    ClientStarted,
    Event,
    Launched,
    LaunchStarted,
    Phase,
    PhaseStarted,
    RequestEnded,
    Stalled,
    Stranded,
    TargetFailed,
    TimeRunsOut,
    UnregisteredQueue,
    WorkflowRaised,
)
from resumectl.model.observation import Observation
from resumectl.model.process_exit import ProcessExit
from resumectl.model.snapshot import StepRow, WorkflowRow
from resumectl.model.target import Target
from resumectl.model.target_error import (
    Cause,
    CodeLine,
    GlobalSetup,
    MissingModule,
    MissingTable,
    NotAFunction,
    NotAWorkflow,
    PythonError,
    SetupCode,
    TargetError,
    UnbuildableArgument,
    UnknownName,
    WrongArguments,
)
from resumectl.report.advice.advise import advise
from resumectl.report.advice.situation import Advice

DIRECTORY = "/home/shop"
FILE = f"{DIRECTORY}/flows.py"
HERE = CodeLine(FILE, 12, "checkout", "charge(order)")
SETUP = SetupCode(f"{DIRECTORY}/main.py", 9, "set_up", True, ())
MAIN = replace(SETUP, function="", is_callable=False)
LAUNCH = LaunchStarted(1, {}, "")


@dataclass(frozen=True)
class Sick:
    """An uninterrupted run with a problem, and the program of it."""

    run: Observation
    target: Target

    @property
    def advice(self) -> Advice:
        return advise(self.run, self.target, DIRECTORY)


def observed(
    *events: Event,
    in_time: bool = True,
    signal: int | None = None,
    workflows: Sequence[WorkflowRow] = (),
    steps: Sequence[StepRow] = (),
    file: str = FILE,
) -> Sick:
    """An uninterrupted run that recorded these events."""
    end = ProcessExit(1, signal, None if signal else 70, in_time)
    record = process(events, snapshot(workflows, steps), process_exit=end)
    return Sick(observed_processes(record, seconds=30.0), Target(entry=(file, "checkout")))


def began(phase: str) -> PhaseStarted:
    return PhaseStarted(1, Phase(phase))


def failed(
    kind: str,
    message: str,
    *,
    where: CodeLine | None = HERE,
    about: Mapping[str, Any] | None = None,
) -> TargetFailed:
    """A target that failed with an exception; `about` is what is known beyond its message."""
    cause = PythonError(
        type=f"builtins.{kind}", message=message, where=where, traceback="", dbos_version="3.4.0",
        missing_module=None, half_imported=None, relative_path=None, missing_table=None,
        unset_global=None, unset_variables=(),
    )  # fmt: skip
    return TargetFailed(1, TargetError(f"{kind}: {message}", replace(cause, **_facts(about or {}))))


def _facts(about: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of an exception for these short names."""
    facts: dict[str, Any] = {}
    if "module" in about:
        more = (about.get(name) for name in ("package", "needs", "source", "project"))
        facts["missing_module"] = MissingModule(about["module"], *more)
    if "table" in about:
        migrations = tuple(about["migrations"])
        facts["missing_table"] = MissingTable(about["table"], about["setup"], migrations)
    if "unset" in about:
        facts["unset_variables"] = tuple(about["unset"])
    names = {"half_imported": "half_imported", "global": "unset_global"}
    return facts | {field: about[name] for name, field in names.items() if name in about}


def answered(event: TargetFailed) -> RequestEnded:
    return RequestEnded(1, None, event.error)


def raised(workflow: str) -> WorkflowRaised:
    return WorkflowRaised(1, workflow, failed("ValueError", "no stock").error)


def stands(where: CodeLine | None = HERE, others: Sequence[CodeLine] = ()) -> TimeRunsOut:
    return TimeRunsOut(1, where, tuple(others))


def stranded(queue: str, setup: SetupCode | None) -> Stranded:
    return Stranded(1, ("a-1",), (UnregisteredQueue("a-1", queue, setup),))


def not_set(setup: SetupCode, *, is_before_launch: bool = False) -> TargetFailed:
    code = replace(setup, lines=("size = 1", "store = Store(size)"))
    found = GlobalSetup("store", is_before_launch, code)
    return failed("NameError", "name 'store' is not defined", about={"global": found})


def exits(message: str, text: str = "sys.exit(1)", unset: Sequence[str] = ()) -> TargetFailed:
    return failed("SystemExit", message, where=replace(HERE, text=text), about={"unset": unset})


def unrunnable(cause: Cause, summary: str = "pay is wrong") -> TargetFailed:
    return TargetFailed(1, TargetError(summary, cause))


def not_a_workflow(
    *,
    what: str,
    call: str,
    framework: str = "",
    is_async: bool = False,
    workflows: Sequence[str] = (),
) -> NotAWorkflow:
    return NotAWorkflow(FILE, "flows", "pay", tuple(workflows), "", what, framework, call, is_async)


RECORDED: dict[str, tuple[Sick, str, str]] = {
    "exception at import": (
        observed(began("import"), failed("KeyError", "'b'")),
        "importing flows.py fails: KeyError: 'b' (flows.py:12, in checkout)",
        "correct flows.py:12",
    ),
    "exception in prepare": (
        observed(began("import"), began("prepare"), failed("KeyError", "'b'")),
        "the prepare of flows.py:checkout fails: KeyError: 'b'",
        "correct flows.py:12",
    ),
    "exception in the function after launch": (
        observed(began("import"), began("after-launch"), failed("KeyError", "'b'")),
        "what runs after launch fails: KeyError: 'b' (flows.py:12",
        "correct flows.py:12",
    ),
    "answer that is an error": (
        observed(began("import"), began("request"), answered(failed("ValueError", "no stock"))),
        "the program fails without a crash: ValueError: no stock (flows.py:12, in checkout)",
        "catch it in a Scenario's request",
    ),
    "import that was cut off": (
        observed(began("import"), stands(), in_time=False),
        "importing flows.py does not end: it is waiting at flows.py:12: charge(order)",
        '--timeout 300',
    ),
    "import that was cut off before it could be looked at": (
        observed(began("import"), in_time=False),
        "importing flows.py does not end",
        '__name__ == "__main__"',
    ),
    "import that serves": (
        observed(began("import"), Stalled(1, True, HERE)),
        "importing flows.py does not end: it serves requests at flows.py:12",
        '__name__ == "__main__"',
    ),
    "process that ends at import": (
        observed(began("import")),
        "importing flows.py ends its process: exit status 70",
        'put what calls os._exit under  if __name__ == "__main__":',
    ),
    "process that is killed at import": (
        observed(began("import"), signal=11),
        "importing flows.py ends its process: killed by SIGSEGV",
        "python -X faulthandler flows.py",
    ),
    "exit with a reason": (
        observed(began("import"), exits("no licence server")),
        "importing flows.py ends the process: sys.exit at flows.py:12: no licence server",
        "correct what it says;  or put what exits under",
    ),
    "exit with a number": (
        observed(began("import"), exits("2", "parser.parse_args()", unset=("KEY",))),
        "importing flows.py ends the process: sys.exit at flows.py:12",
        "put what reads the command line, or exits, under",
    ),
    "exit in a step": (
        observed(began("import"), began("request"), started("charge"), exits("3")),
        "the step charge, w-1/step-1 ends its process: sys.exit at flows.py:12",
        "raise an exception there instead",
    ),
    "end of the process after the request was made": (
        observed(began("import"), began("request"), signal=11),
        "the program ends its process: killed by SIGSEGV",
        "python -X faulthandler flows.py",
    ),
    "exit since a variable is not set": (
        observed(began("import"), exits("no KEY", unset=("KEY",))),
        "SystemExit: no KEY (flows.py:12, in checkout); the environment variable KEY, for which it",
        "--env KEY=VALUE",
    ),
    "global of the main program": (
        observed(began("import"), began("request"), answered(not_set(MAIN))),
        "flows.py:12 uses store, which is not set: main.py:9 sets it, in the main program, which is",
        "--after-launch main.py:setup  with these lines in main.py\n\n    def setup():\n"
        "        global store\n        size = 1\n        store = Store(size)",
    ),
    "global that main sets before the launch": (
        observed(began("import"), began("request"), answered(not_set(MAIN, is_before_launch=True))),
        "main.py:9 sets it, in the main program, which is not run here",
        "above  if __name__ == \"__main__\":\n\n    size = 1\n    store = Store(size)",
    ),
    "datasource after the launch": (
        observed(began("import"), began("after-launch"), failed("DBOSException", "DBOS Error: Datasources must be created before DBOS.launch()")),
        "flows.py:12 creates a datasource after DBOS is launched",
        "create it where its module is imported",
    ),
    "global of a function that can be called": (
        observed(began("import"), began("request"), answered(not_set(SETUP))),
        "main.py:9 sets it, in set_up, which is not run here",
        "--after-launch main.py:set_up",
    ),
    "name that the main program sets": (
        observed(began("import"), unrunnable(UnknownName(FILE, (), (), "", GlobalSetup("store", False, MAIN)))),
        "flows.py has no store when it is imported: main.py:9 sets it, in the main program, which",
        "set store above  if __name__",
    ),
    "launched too early, in a statement of several lines": (
        observed(began("import"), failed("DBOSException", "DBOS Error: No DBOS was created yet", where=replace(HERE, text="DBOS.register_queue("))),
        "flows.py:12 needs DBOS to be launched: DBOS.register_queue(",
        "        ...  # what flows.py:12 does",
    ),
    "global that an import uses": (
        observed(began("import"), not_set(SETUP)),
        "flows.py:12 uses store, which is not set",
        "set store above the line that uses it, where main.py is imported",
    ),
    "relative import of a file in no package": (
        observed(
            began("import"),
            failed("ImportError", "attempted relative import with no known parent package", where=replace(HERE, file="/home/shop/stock/flows.py")),
            file="/home/shop/stock/flows.py",
        ),
        "is relative to a package, and the file stock/flows.py is in none",
        "name the module rather than the file:  stock.flows:checkout",
    ),
    "relative import of a file in the directory of the command": (
        observed(began("import"), failed("ImportError", "attempted relative import with no known parent package")),
        "is relative to a package, and the file flows.py is in none",
        "from the directory above its package, as in  PACKAGE.flows:checkout",
    ),
    "circular import": (
        observed(began("import"), failed("ImportError", "cannot import name 'x' from 'shop'", about={"half_imported": "shop"})),
        "flows.py:12: charge(order) needs a name of shop, which is still being imported: these modules",
        "import shop inside the function of flows.py that uses it",
    ),
    "file that is named as a library": (
        observed(began("import"), failed("AttributeError", "module 'flows' has no attribute 'get'", about={"half_imported": "flows"})),
        "imports flows.py itself, since that is named flows",
        "give the file another name",
    ),
    "source that is no text": (
        observed(began("import"), failed("SyntaxError", "source code string cannot contain null bytes", where=None)),
        "flows.py is not valid Python: source code string cannot contain null bytes",
        "correct flows.py",
    ),
    "workflow that failed while the request waits": (
        observed(
            began("import"), LAUNCH, began("request"), raised("a-1"), Stranded(1, (), ()),
            workflows=[workflow_row("a-1", status="ERROR")],
        ),
        "the program fails without a crash, and its request waits for ever: a-1: ValueError: no "
        "stock (flows.py:12, in checkout)",
        "correct flows.py:12",
    ),
    "workflow that failed while another one waits": (
        observed(
            began("import"), LAUNCH, began("request"), raised("a-2"), in_time=False,
            workflows=[workflow_row("a-1", status="PENDING"), workflow_row("a-2", status="ERROR")],
        ),
        "a-1 is still PENDING; a-2 has failed: ValueError: no stock (flows.py:12)",
        "--timeout 300",
    ),
    "pause that is longer than any time limit": (
        observed(
            began("import"), LAUNCH, Launched(1, "1", True, "local", 1_000_000, (), ""), began("request"), in_time=False,
            workflows=[workflow_row("a-1", status="PENDING")],
            steps=[step_row(2, "DBOS.sleep", "1600.5", workflow="a-1")],
        ),
        "a-1 is still PENDING waiting for a message or an event",
        "--timeout 900",
    ),
    "function that is no workflow": (
        observed(began("import"), unrunnable(not_a_workflow(what="function", call="pay(o=...)"))),
        "pay is wrong",
        "\n    def request():\n        with SetWorkflowID(\"pay-1\"):\n            return pay(o=...)\n",
    ),
    "function that is awaited": (
        observed(began("import"), unrunnable(not_a_workflow(what="function", call="pay()", is_async=True))),
        "pay is wrong",
        "\n    async def request():\n        with SetWorkflowID(\"pay-1\"):\n            return await pay()\n",
    ),
    "application of a web framework": (
        observed(began("import"), unrunnable(not_a_workflow(what="application", framework="FastAPI", call=""))),
        "pay is wrong",
        "\n        with SetWorkflowID(\"pay-1\"):\n            return TestClient(pay).post(",
    ),
    "application without a client": (
        observed(began("import"), unrunnable(not_a_workflow(what="application", framework="Sanic", call="", workflows=["a"]))),
        "pay is wrong",
        "name a workflow, as in  flows.py:a",
    ),
    "parameters by name alone": (
        observed(began("import"), unrunnable(WrongArguments(False, "", {"o": "it's"}, {"n": 1}))),
        "the arguments do not fit pay is wrong",
        """as in  --args '["it'"'"'s"]' --kwargs '{"n": 1}'""",
    ),
    "parameter by name alone that JSON cannot give": (
        observed(began("import"), unrunnable(UnbuildableArgument(
            FILE, "flows", "pay", "by", "User", "User(id=...)", ("a", "by"), ("by",),
        ))),
        "pay is wrong",
        "return DBOS.start_workflow(pay, ..., by=User(id=...)).get_result()",
    ),
    "request that waits": (
        observed(began("import"), LAUNCH, began("request"), stands(), in_time=False),
        "but the request still waits; its request is waiting at flows.py:12: charge(order)",
        "--timeout 300",
    ),
    "workflow that waits": (
        observed(began("import"), LAUNCH, began("request"), stands(where=None, others=[HERE]), in_time=False),
        "the program is waiting at flows.py:12: charge(order)",
        "--timeout 300",
    ),
    "queue that main registers": (
        observed(
            began("import"), began("request"),
            stranded(queue="mails", setup=replace(SETUP, is_callable=False, lines=(
                "from main import N", 'await DBOS.register_queue_async("mails", concurrency=N)',
            ))),
        ),
        "a-1 waits on the queue mails, which no process registers: main.py:9 does, in set_up",
        "--after-launch after_launch.py:setup  with these lines in after_launch.py\n\n    from dbos import DBOS\n"
        "    from main import N\n\n\n    async def setup():\n"
        '        await DBOS.register_queue_async("mails", concurrency=N)',
    ),
    "queue that a function registers": (
        observed(
            began("import"), began("request"),
            stranded(queue="mails", setup=SETUP),
        ),
        "main.py:9 does, in set_up, which is not run here",
        "--after-launch main.py:set_up",
    ),
    "table that nothing creates": (
        observed(
            began("import"), began("request"),
            failed("OperationalError", '(sqlite3.OperationalError) no such table: orders', about={"table": "orders", "setup": None, "migrations": []}),
        ),
        "flows.py:12 uses the table orders, which does not exist in the database of a trial",
        "by a command, once:  --prepare COMMAND;  or in a function that each process runs after "
        "launch:  --after-launch after_launch.py:setup",
    ),
    "table of DBOS in another database": (
        observed(
            began("import"), began("request"),
            failed("OperationalError", '(sqlite3.OperationalError) no such table: workflow_status', about={"table": "workflow_status", "setup": None, "migrations": []}),
        ),
        "flows.py:12 uses DBOS's table workflow_status in another database than the trial's",
        "--env NAME={database_url}",
    ),
    "table of DBOS in another PostgreSQL database": (
        observed(
            began("import"), began("request"),
            failed("ProgrammingError", 'UndefinedTable: relation "dbos.queues" does not exist', about={"table": "dbos.queues", "setup": None, "migrations": []}),
        ),
        "DBOS's table dbos.queues in another database",
        "--env NAME={database_url}",
    ),
    "table with a name that DBOS uses too": (
        observed(
            began("import"), began("request"),
            failed("OperationalError", '(sqlite3.OperationalError) no such table: queues', about={"table": "queues", "setup": None, "migrations": []}),
        ),
        "flows.py:12 uses the table queues, which does not exist in the database of a trial",
        "--prepare COMMAND",
    ),
    "table that a migration creates": (
        observed(
            began("import"), began("request"),
            failed("OperationalError", '(sqlite3.OperationalError) no such table: orders', about={"table": "orders", "setup": MAIN, "migrations": ["alembic.ini"]}),
        ),
        "main.py:9 creates tables, in the main program, which is not run here",
        "--prepare 'alembic upgrade head'",
    ),
    "table of a schema on PostgreSQL": (
        observed(
            began("import"), began("request"),
            failed("ProgrammingError", 'UndefinedTable: relation "shop.orders" does not exist', about={"table": "shop.orders", "setup": SETUP, "migrations": []}),
        ),
        "the table shop.orders, which does not exist in the database of a trial: main.py:9 creates",
        "--after-launch main.py:set_up",
    ),
    "module that is nowhere": (
        observed(began("import"), failed("ModuleNotFoundError", "No module named 'a'", about={"module": "a.b"})),
        "flows.py:12 imports a.b, which is not installed",
        "install the distribution that provides it in the environment that runs resumectl;  or, "
        "where its source is elsewhere,  --env PYTHONPATH=DIRECTORY",
    ),
    "module that the project may name": (
        observed(began("import"), failed("ModuleNotFoundError", "", about={"module": "cv2", "needs": "/home/shop/requirements.txt"})),
        "flows.py:12 imports cv2, which is not installed",
        "install the distribution that provides it, as requirements.txt may name it, in the",
    ),
    "module of a src layout": (
        observed(
            began("import"),
            failed(
                "ModuleNotFoundError", "", about={"module": "a", "source": "/home/shop/src", "project": "/home/shop"}
            ),
        ),
        "flows.py:12 imports a, which is in src and is not installed",
        "pip install -e .;  or  --env PYTHONPATH=src",
    ),
    "module beside no project": (
        observed(
            began("import"),
            failed("ModuleNotFoundError", "", about={"module": "a", "source": "/home/lib", "project": None}),
        ),
        "which is in /home/lib and is not installed",
        "--env PYTHONPATH=/home/lib",
    ),
    "variable that is not set": (
        observed(began("import"), failed("KeyError", "'KEY'", about={"unset": ["KEY"]})),
        "flows.py:12 needs the environment variable KEY, which is not set",
        "--env KEY=VALUE",
    ),
    "variable that is None": (
        observed(began("import"), failed("TypeError", "got None", about={"unset": ["A", "B"]})),
        "TypeError: got None (flows.py:12, in checkout); the variables A, B, for which it asks, are not set",
        "--env A=VALUE --env B=VALUE",
    ),
    "variable that a request needs": (
        observed(
            began("import"), began("request"),
            answered(failed("KeyError", "'KEY'", about={"unset": ["KEY"]})),
        ),
        "flows.py:12 needs the environment variable KEY, which is not set",
        "--env KEY=VALUE",
    ),
    "answer that has nothing to do with a variable": (
        observed(
            began("import"), began("request"),
            answered(failed("TypeError", "no", about={"unset": ["KEY"]})),
        ),
        "the program fails without a crash: TypeError: no (flows.py:12, in checkout)",
        "catch it in a Scenario's request",
    ),
    "server that is not there": (
        observed(began("import"), failed("OperationalError", "connection failed: Connection refused")),
        "importing flows.py fails: OperationalError: connection failed",
        "start what it connects to",
    ),
    "import that stalls beside an earlier run": (
        observed(began("import"), Stalled(1, False, HERE)),
        "importing flows.py does not end: it is waiting at flows.py:12: charge(order)",
        "--timeout 300",
    ),
    "launched too early": (
        observed(began("import"), failed("DBOSException", "DBOS Error: No DBOS was created yet")),
        "flows.py:12 needs DBOS to be launched: charge(order)",
        "        charge(order)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", RECORDED)
def test_recorded_failure_has_advice_of_its_own(name: str) -> None:
    sick, what, next_step = RECORDED[name]
    advice = sick.advice
    assert what in advice.what
    assert next_step in advice.next_step
    assert "\n" not in advice.what


@pytest.mark.parametrize("option", ["--after-launch", "--observe"])
def test_function_with_arguments_is_advised_for_the_option_that_names_it(option: str) -> None:
    failed_so = unrunnable(NotAFunction(), f"{option} pay(order) is called without arguments")
    advice = observed(began("import"), failed_so).advice
    assert advice.next_step.startswith(f"name a function without parameters, as in  {option} ")


def test_workflow_without_an_id_has_its_name_in_the_advice() -> None:
    generated = "87a5eb7d-8756-483b-a699-9352600ecb4e"
    start = ClientStarted(1, generated, "sign", True, "[]", 1)
    waits = Stranded(2, (generated,), (UnregisteredQueue(f"{generated}-2", "signing", None),))
    what = observed(LAUNCH, start, waits).advice.what
    assert what.startswith("sign(1)-2 waits on the queue signing")


def test_line_break_from_outside_is_no_line_of_the_advice() -> None:
    message = "no module\nnext:  rm -rf x"
    for event in (
        failed("ModuleNotFoundError", message, about={"module": "a\nb", "source": None}),
        unrunnable(UnknownName("a\nb.py", ("x\ny",), (), "", None), message),
    ):
        advice = observed(began("import"), event).advice
        assert "\n" not in advice.what + advice.next_step


API = [
    ("TypeError", "DBOS.__new__() missing 1 required keyword-only argument: 'config'", "DBOS 0"),
    ("TypeError", "DBOS.__new__() got an unexpected keyword argument 'fastapi'", "DBOS(fastapi=…)"),
    ("DBOSException", "Queue objects cannot be constructed directly. Declare", "register_queue"),
    ("AttributeError", "type object 'DBOS' has no attribute 'transaction'", "run_tx_step"),
    ("AttributeError", "type object 'DBOS' has no attribute 'scheduled'", "apply_schedules"),
    ("AttributeError", "type object 'DBOS' has no attribute 'nothing'", "there is no such name"),
    ("ImportError", "cannot import name 'load_config' from 'dbos' (/x/y.py)", "DBOS(config="),
    ("TypeError", "DBOS.step() got an unexpected keyword argument 'a'", "this release takes"),
]


@pytest.mark.parametrize(("kind", "message", "said"), API)
def test_program_for_an_earlier_dbos_is_told_what_changed(
    kind: str, message: str, said: str
) -> None:
    advice = observed(began("import"), failed(kind, message)).advice
    assert advice.what.startswith("flows.py:12: ")
    assert advice.what.endswith("installed is dbos 3.4.0")
    assert said in f"{advice.what} {advice.next_step}"
