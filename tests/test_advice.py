"""A program that fails without any crash: what is wrong is said, with its line, and what to type.

Most cases run one uninterrupted process each, in one lab.
"""

import linecache
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from conftest import Place, swept

from resumectl.cli.subject import ScenarioOptions, TrialOptions, located, read_specification
from resumectl.errors import ExitCode, Refusal
from resumectl.judge.advice.advise import advise
from resumectl.judge.advice.situation import Advice
from resumectl.judge.experiment import Experiment
from resumectl.model.observation import BASELINE, LifeSeen, Observation
from resumectl.model.target import Subject
from resumectl.probe.error_facts import facts_of
from resumectl.probe.hang_watch import Row
from resumectl.probe.load_target import plain
from resumectl.probe.user_code import INSTALLED
from resumectl.runner.trial_runner import Lab, Runner

# ------------------------------------------------------------- from recorded events

HERE = {"file": "/home/shop/flows.py", "line": 12, "function": "checkout", "text": "charge(order)"}


def observed(
    *events: Mapping[str, Any], in_time: bool = True, signal: int | None = None, **left: Any
) -> Observation:
    """An uninterrupted run that recorded these events."""
    nothing: dict[str, Any] = {"workflows": [], "steps": [], "event": [], "stream": [], "inbox": []}
    ending = f"killed by signal {signal}" if signal else "exit status 70"
    life = LifeSeen(events, ending, signal, None if signal else 70, in_time, {**nothing, **left})
    return Observation(BASELINE, [life], 30.0)


def began(what: str, file: str = "/home/shop/flows.py") -> dict[str, Any]:
    event: dict[str, Any] = {"kind": "began", "what": what}
    return event | ({"target": [file, "checkout"]} if what == "import" else {})


def failed(kind: str, message: str, **more: Any) -> dict[str, Any]:
    about = {"dbos": "3.4.0", "unset": [], **more.pop("about", {})}
    return {
        "kind": "failed", "problem": "exception", "error": f"{kind}: {message}", "where": HERE,
        "type": f"builtins.{kind}", "message": message, "about": about, "traceback": "", **more,
    }  # fmt: skip


def stands(**more: Any) -> dict[str, Any]:
    return {"kind": "stands", "where": HERE, "others": [], **more}


def stranded(**more: Any) -> dict[str, Any]:
    return {"kind": "stranded", "workflows": ["a-1"], "unregistered": [{"workflow": "a-1", **more}]}


LAUNCH = {"kind": "launch", "promises": {}, "digest": ""}
SETUP = {"file": "/home/shop/main.py", "line": 9, "function": "set_up", "is_callable": True}
MAIN = {**SETUP, "function": "", "is_callable": False}


def not_set(setup: Mapping[str, Any], *, is_before_launch: bool = False) -> dict[str, Any]:
    more: dict[str, Any] = {"name": "store", "lines": ["size = 1", "store = Store(size)"]}
    more["is_before_launch"] = is_before_launch
    return failed("NameError", "name 'store' is not defined", about={"global": {**setup, **more}})


def raised(workflow: str) -> dict[str, Any]:
    return failed("ValueError", "no stock") | {"kind": "raised", "workflow": workflow}


def exits(message: str, text: str = "sys.exit(1)", **about: Any) -> dict[str, Any]:
    return failed("SystemExit", message, where={**HERE, "text": text}, about=about)


def unrunnable(problem: str, **about: Any) -> dict[str, Any]:
    known = {"file": "/home/shop/flows.py", "name": "pay", "module": "flows", "defined": ""}
    return {
        "kind": "failed", "problem": problem, "error": "pay is wrong", "where": None,
        "about": {**known, "workflows": [], "is_async": False, **about}, "traceback": "",
    }  # fmt: skip


RECORDED: dict[str, tuple[Observation, str, str]] = {
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
        observed(began("import"), began("request"), failed("ValueError", "no stock") | {"kind": "answered"}),
        "the scenario fails without any crash: ValueError: no stock (flows.py:12, in checkout)",
        "catch it in a Scenario's request",
    ),
    "import that was cut off": (
        observed(began("import"), stands(), in_time=False),
        "importing flows.py does not end: it stands at flows.py:12: charge(order)",
        '--timeout 300',
    ),
    "import that was cut off before it could be looked at": (
        observed(began("import"), in_time=False),
        "importing flows.py does not end",
        '__name__ == "__main__"',
    ),
    "import that serves": (
        observed(began("import"), {"kind": "stalled", "why": "serves", "where": HERE}),
        "importing flows.py does not end: it serves at flows.py:12",
        '__name__ == "__main__"',
    ),
    "process that ends at import": (
        observed(began("import")),
        "importing flows.py ends its process: exit status 70",
        'put what calls os._exit under  if __name__ == "__main__":',
    ),
    "process that is killed at import": (
        observed(began("import"), signal=11),
        "importing flows.py ends its process: killed by signal 11",
        "python -X faulthandler flows.py",
    ),
    "exit with a reason": (
        observed(began("import"), exits("no licence server")),
        "importing flows.py ends the process: sys.exit at flows.py:12: no licence server",
        "correct what it says;  or put what exits under",
    ),
    "exit with a number": (
        observed(began("import"), exits("2", "parser.parse_args()", unset=["KEY"])),
        "importing flows.py ends the process: sys.exit at flows.py:12",
        "put what reads the command line, or exits, under",
    ),
    "exit since a variable is not set": (
        observed(began("import"), exits("no KEY", unset=["KEY"])),
        "SystemExit: no KEY (flows.py:12, in checkout); the environment variable KEY, for which it",
        "--env KEY=VALUE",
    ),
    "global of the main program": (
        observed(began("import"), began("request"), not_set(MAIN) | {"kind": "answered"}),
        "flows.py:12 uses store, which is not set: main.py:9 sets it, in the main program, which is",
        "--after-launch main.py:setup  with these lines in main.py\n\n    def setup():\n"
        "        global store\n        size = 1\n        store = Store(size)",
    ),
    "global that main sets before the launch": (
        observed(began("import"), began("request"), not_set(MAIN, is_before_launch=True) | {"kind": "answered"}),
        "main.py:9 sets it, in the main program, which is not run here",
        "above  if __name__ == \"__main__\":\n\n    size = 1\n    store = Store(size)",
    ),
    "datasource after the launch": (
        observed(began("import"), began("after-launch"), failed("DBOSException", "DBOS Error: Datasources must be created before DBOS.launch()")),
        "flows.py:12 creates a datasource after DBOS is launched",
        "create it where its module is imported",
    ),
    "global of a function that can be called": (
        observed(began("import"), began("request"), not_set(SETUP) | {"kind": "answered"}),
        "main.py:9 sets it, in set_up, which is not run here",
        "--after-launch main.py:set_up",
    ),
    "name that the main program sets": (
        observed(began("import"), unrunnable("unknown-name", **{"global": {**MAIN, "name": "store"}})),
        "flows.py has no store when it is imported: main.py:9 sets it, in the main program, which",
        "set store above  if __name__",
    ),
    "launched too early, in a statement of several lines": (
        observed(began("import"), failed("DBOSException", "DBOS Error: No DBOS was created yet", where=HERE | {"text": "DBOS.register_queue("})),
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
            began("import", "/home/shop/stock/flows.py"),
            failed("ImportError", "attempted relative import with no known parent package", where=HERE | {"file": "/home/shop/stock/flows.py"}),
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
            began("import"), LAUNCH, began("request"), raised("a-1"), {"kind": "stranded", "workflows": [], "unregistered": []},
            workflows=[{"id": "a-1", "status": "ERROR"}],
        ),
        "the scenario fails without any crash, and its request waits for ever: a-1: ValueError: no "
        "stock (flows.py:12, in checkout)",
        "correct flows.py:12",
    ),
    "workflow that failed while another one waits": (
        observed(
            began("import"), LAUNCH, began("request"), raised("a-2"), in_time=False,
            workflows=[{"id": "a-1", "status": "PENDING", "queue": None}, {"id": "a-2", "status": "ERROR"}],
        ),
        "a-1 stays PENDING; a-2 has failed: ValueError: no stock (flows.py:12)",
        "--timeout 300",
    ),
    "pause that is longer than any time limit": (
        observed(
            began("import"), LAUNCH, {"kind": "launched", "clock_ms": 1_000_000}, began("request"), in_time=False,
            workflows=[{"id": "a-1", "status": "PENDING", "queue": None}],
            steps=[{"workflow": "a-1", "number": 2, "name": "DBOS.sleep", "output": "1600.5"}],
        ),
        "a-1 stays PENDING waiting for a message or an event",
        "--timeout 900",
    ),
    "function that is no workflow": (
        observed(began("import"), unrunnable("not-a-workflow", what="function", call="pay(o=...)")),
        "pay is wrong",
        "\n    def request():\n        with SetWorkflowID(\"pay-1\"):\n            return pay(o=...)\n",
    ),
    "function that is awaited": (
        observed(began("import"), unrunnable("not-a-workflow", what="function", call="pay()", is_async=True)),
        "pay is wrong",
        "\n    async def request():\n        with SetWorkflowID(\"pay-1\"):\n            return await pay()\n",
    ),
    "application of a web framework": (
        observed(began("import"), unrunnable("not-a-workflow", what="application", framework="FastAPI", call="")),
        "pay is wrong",
        "\n        with SetWorkflowID(\"pay-1\"):\n            return TestClient(pay).post(",
    ),
    "application without a client": (
        observed(began("import"), unrunnable("not-a-workflow", what="application", framework="Sanic", call="", workflows=["a"])),
        "pay is wrong",
        "name a workflow, as in  flows.py:a",
    ),
    "parameters by name alone": (
        observed(began("import"), unrunnable("wrong-arguments", example={"o": "it's"}, named_example={"n": 1})),
        "the arguments do not fit pay is wrong",
        """as in  --args '["it'"'"'s"]' --kwargs '{"n": 1}'""",
    ),
    "parameter by name alone that JSON cannot give": (
        observed(began("import"), unrunnable(
            "cannot-build", parameter="by", parameters=["a", "by"], by_name=["by"], built="User(id=...)", annotation="User",
        )),
        "pay is wrong",
        "return DBOS.start_workflow(pay, ..., by=User(id=...)).get_result()",
    ),
    "request that waits": (
        observed(began("import"), LAUNCH, began("request"), stands(), in_time=False),
        "it goes on waiting; its request stands at flows.py:12: charge(order)",
        "--timeout 300",
    ),
    "workflow that waits": (
        observed(began("import"), LAUNCH, began("request"), stands(where=None, others=[HERE]), in_time=False),
        "the program stands at flows.py:12: charge(order)",
        "--timeout 300",
    ),
    "queue that main registers": (
        observed(
            began("import"), began("request"),
            stranded(queue="mails", setup=SETUP | {"is_callable": False, "lines": [
                "from main import N", 'await DBOS.register_queue_async("mails", concurrency=N)',
            ]}),
        ),
        "a-1 waits on the queue mails, which no process registers: main.py:9 does, in set_up",
        "--after-launch after_launch.py:setup  with these lines in after_launch.py\n\n    from dbos import DBOS\n"
        "    from main import N\n\n\n    async def setup():\n"
        '        await DBOS.register_queue_async("mails", concurrency=N)',
    ),
    "queue that a function registers": (
        observed(
            began("import"), began("request"),
            stranded(queue="mails", setup=SETUP | {"lines": []}),
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
            failed("ProgrammingError", 'UndefinedTable: relation "shop.orders" does not exist', about={"table": "shop.orders", "setup": SETUP | {"lines": []}, "migrations": []}),
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
            failed("KeyError", "'KEY'", about={"unset": ["KEY"]}) | {"kind": "answered"},
        ),
        "flows.py:12 needs the environment variable KEY, which is not set",
        "--env KEY=VALUE",
    ),
    "answer that has nothing to do with a variable": (
        observed(
            began("import"), began("request"),
            failed("TypeError", "no", about={"unset": ["KEY"]}) | {"kind": "answered"},
        ),
        "the scenario fails without any crash: TypeError: no (flows.py:12, in checkout)",
        "catch it in a Scenario's request",
    ),
    "server that is not there": (
        observed(began("import"), failed("OperationalError", "connection failed: Connection refused")),
        "importing flows.py fails: OperationalError: connection failed",
        "start what it connects to",
    ),
    "import that stalls beside an earlier run": (
        observed(began("import"), {"kind": "stalled", "why": "stands", "where": HERE}),
        "importing flows.py does not end: it stands at flows.py:12: charge(order)",
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
    run, what, next_step = RECORDED[name]
    advice = advise(run, "/home/shop")
    assert what in advice.what
    assert next_step in advice.next_step
    assert "\n" not in advice.what


def test_line_break_from_outside_is_no_line_of_the_advice() -> None:
    message = "no module\nnext:  rm -rf x"
    about = {"module": "a\nb", "source": None}
    for event in (
        failed("ModuleNotFoundError", message, about=about),
        {"kind": "failed", "problem": "unknown-name", "error": message, "where": None, "about": {
            "file": "a\nb.py", "nearest": ["x\ny"], "workflows": [], "option": "", "global": None,
        }},
    ):  # fmt: skip
        advice = advise(observed(began("import"), event), "/home/shop")
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
    advice: Advice = advise(observed(began("import"), failed(kind, message)), "/home/shop")
    assert advice.what.startswith("flows.py:12: ")
    assert advice.what.endswith("installed is dbos 3.4.0")
    assert said in f"{advice.what} {advice.next_step}"


# ------------------------------------------------------------- from errors


def facts_of_program(directory: Path, text: str) -> dict[str, Any]:
    """Return what is recorded of the error that a file ends with."""
    file = directory / "flows.py"
    file.write_text(text)
    linecache.clearcache()
    with pytest.raises(BaseException) as error:  # noqa: PT011 (each program has one of its own)
        exec(compile(text, str(file), "exec"), {"__name__": "flows"})
    return facts_of(error.value, roots=[directory])


def test_global_that_main_sets_is_told_with_the_error(tmp_path: Path) -> None:
    main = "if __name__ == '__main__':\n    store = 1\n"
    for text in (f"{main}store\n", f"store = None\n{main}store.keep()\n"):
        found = facts_of_program(tmp_path, text)["about"]["global"]
        assert (found["name"], found["lines"]) == ("store", ["store = 1"])
    for text in (f"{main}other\n", f"def f(): x; x = 1\n{main}f()\n", f"{main}None.store()\n"):
        assert "global" not in facts_of_program(tmp_path, text)["about"]


def test_variable_that_a_program_looks_for_is_told_as_not_set(tmp_path: Path) -> None:
    text = "import os, sys\nif 'SHOP_KEY' not in os.environ: sys.exit('no key')\n"
    assert "SHOP_KEY" in facts_of_program(tmp_path, text)["about"]["unset"]


def test_package_that_distributions_share_is_no_package_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = ModuleType("shared")
    shared.__path__ = [f"{INSTALLED[0]}shared"]
    monkeypatch.setitem(sys.modules, "shared", shared)
    (tmp_path / "requirements.txt").touch()
    about = facts_of_program(tmp_path, "import shared.storage\n")["about"]
    assert "package" not in about
    assert about["needs"] == str(tmp_path / "requirements.txt")
    shared.__path__ = [str(tmp_path / "shared")]
    about = facts_of_program(tmp_path, "import shared.storage\n")["about"]
    assert about["package"] == "shared"


def test_circle_of_imports_is_told_from_a_name_that_a_module_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = ModuleType("flows")
    half.__file__ = str(tmp_path / "flows.py")
    monkeypatch.setitem(sys.modules, "flows", half)
    for text in ("from flows import price\n", "import flows\nflows.price()\n"):
        assert facts_of_program(tmp_path, text)["about"]["half_imported"] == "flows"
    for text in ("from os import price\n", "import os\nos.price()\n"):
        assert "half_imported" not in facts_of_program(tmp_path, text)["about"]


def test_answer_that_is_a_handle_is_the_same_whichever_process_runs_the_workflow() -> None:
    class Running:
        def get_workflow_id(self) -> str:
            return "a-1"

        def get_result(self) -> int:
            return 1

        get_status = get_result

    class Polling(Running):
        pass

    assert plain([Running()]) == plain([Polling()]) == ["handle of a-1"]


def test_thread_that_works_is_not_the_main_one() -> None:
    row = Row(1)
    row.holds("a line")
    began_s = time.monotonic()

    def work() -> None:
        """Use a twentieth of the time since then, however busy the machine is."""
        used_s = time.thread_time()
        while time.thread_time() - used_s < max(0.1, (time.monotonic() - began_s) / 20):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not row.has_worked
    work()
    assert row.has_worked


# ------------------------------------------------------------- with processes


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with Lab() as opened:
        yield opened


def refused(lab: Lab, directory: Path, target: str, timeout_s: float, **given: Any) -> Refusal:
    """What a program is refused with whose first uninterrupted run must not go well."""
    file, _, name = target.rpartition(":")
    path = str(directory / file) if file.endswith(".py") else file
    experiment = Experiment(Runner(lab, Subject(target=(path, name), **given)), {})
    with pytest.raises(Refusal) as error:
        experiment.discover(timeout_s * lab.slowness)
    return error.value


SHOP = """
import datetime, uuid
from dataclasses import dataclass
from dbos import DBOS, DBOSConfiguredInstance

@dataclass
class Order:
    id: uuid.UUID
    due: datetime.datetime

class Session:
    def __init__(self, user): pass

class Flask:
    pass

app = Flask()

@DBOS.step()
def charge(order): pass

@DBOS.workflow()
def checkout(order: Order, times: int = 1): pass

@DBOS.workflow()
def login(session: Session, name: str): pass

def handler(order_id):
    return DBOS.start_workflow(checkout, order_id)

@DBOS.dbos_class()
class Publisher(DBOSConfiguredInstance):
    @DBOS.workflow()
    def publish(self, n: int): pass

    @staticmethod
    @DBOS.workflow()
    def all(): pass

alpha = Publisher("alpha")
"""
TABLE = """
import os, sqlalchemy as sa
from dbos import DBOS

engine = sa.create_engine(os.environ["RESUMECTL_PLACE"].join(("sqlite:///", "/shop.sqlite")))
metadata = sa.MetaData()
orders = sa.Table("orders", metadata, sa.Column("id", sa.Integer, primary_key=True))

@DBOS.step()
def store():
    with engine.begin() as connection:
        connection.execute(sa.insert(orders))

@DBOS.workflow()
def checkout():
    store()

def set_up():
    metadata.create_all(engine)
"""
QUEUE = """
from dbos import DBOS

@DBOS.workflow()
def child(n):
    return n

@DBOS.workflow()
def parent():
    return [DBOS.enqueue_workflow("mails", child, n).get_result() for n in range(2)]

def main():
    DBOS(config={"name": "shop"})
    DBOS.launch()
    DBOS.register_queue("mails")
    parent()
"""
WAITER = """
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario
@DBOS.workflow()
def checkout():
    raise ValueError("no stock")

def request():
    with SetWorkflowID("a-1"):
        DBOS.start_workflow(checkout)
    return DBOS.get_event("a-1", "ready", timeout_seconds=3600)

scenario = Scenario(request=request)
"""
LONG = pytest.mark.long


def case(  # a row of the table below
    text: str, target: str, what: str, next_step: str, *marks: Any, **given: Any
) -> Any:
    return pytest.param(text, target, what, next_step, given, marks=marks)


@pytest.mark.parametrize(
    ("text", "target", "what", "next_step", "given"),
    [
        case(
            "from stock.flows import restock\n", "shop.py:restock",
            "shop.py:1 imports stock, which is in src and is not installed",
            "pip install -e .;  or  --env PYTHONPATH=src",
        ),
        case("def f(:\n", "shop.py:f", "shop.py:1 is not valid Python: invalid syntax: def f(:",
             "correct line 1 of shop.py"),
        case("x = {}\nx['a']\n", "shop.py:f", "importing shop.py fails: KeyError: 'a' (shop.py:2)",
             "correct shop.py:2"),
        case("import os\nkey = os.environ['SHOP_KEY']\n", "shop.py:f",
             "shop.py:2 needs the environment variable SHOP_KEY, which is not set",
             "--env SHOP_KEY=VALUE"),
        case("import os\nopen(os.getenv('SHOP_FILE'))\n", "shop.py:f",
             "the environment variable SHOP_FILE, for which it asks, is not set",
             "--env SHOP_FILE=VALUE", LONG),
        case("import sys\nsys.exit(2)\n", "shop.py:f",
             "importing shop.py ends the process: sys.exit at shop.py:2", "__main__", LONG),
        case("import os\nos._exit(3)\n", "shop.py:f",
             "importing shop.py ends its process: exit status 3", "os._exit under", LONG),
        case("from socketserver import *\nTCPServer(('', 0), None).serve_forever()\n", "shop.py:f",
             "importing shop.py does not end: it serves at shop.py:2", "__main__"),
        case("import time\ntime.sleep(600)\n", "shop.py:f",
             "importing shop.py does not end: it stands at shop.py:2: time.sleep(600)",
             "--timeout 300", timeout_s=4.0),
        case("from dbos import DBOS\nDBOS()\n", "shop.py:f",
             "shop.py:2: DBOS() without a configuration is of DBOS 0", 'DBOS(config={"name"'),
        case("from dbos import Queue\nQueue('a')\n", "shop.py:f", "Queue(…) is of DBOS 2",
             "DBOS.register_queue(NAME)", LONG),
        case("from dbos import DBOS\n@DBOS.transaction()\ndef f(): pass\n", "shop.py:f",
             "shop.py:2: DBOS.transaction is of DBOS 2", "run_tx_step", LONG),
        case("from dbos import DBOS\nDBOS.register_queue('mails')\n", "shop.py:f",
             "shop.py:2 needs DBOS to be launched", "--after-launch", LONG),
        case("import stock.nothing\n", "shop.py:f",
             "shop.py:1 imports stock.nothing, which the package stock does not have",
             "correct shop.py:1", LONG, environ={"PYTHONPATH": "src"}),
        case("open('pyproject.toml')\n", "shop.py:f",
             "the working directory of each process is its sandbox",
             'Path(__file__).with_name("pyproject.toml")', LONG),
        case("from dbos import DBOS\n@DBOS.workflow()\ndef f(): pass\nf()\n", "shop.py:f",
             "shop.py:4: f() calls a workflow while it is imported", "Scenario(request=", LONG),
        case("from dbos import DBOS\nclass A:\n    @DBOS.workflow()\n    def f(self): pass\na = A()\n",
             "shop.py:a.f", "a.f is a method of A, a class that DBOS does not know (shop.py:2)",
             "class A(DBOSConfiguredInstance):", LONG),
        case("class A:\n    def f(self): pass\n", "shop.py:A.f",
             "A.f is a plain function, not a workflow", "return A.f(self=...)", LONG),
        case(TABLE, "shop.py:checkout", "uses the table orders, which does not exist",
             "--after-launch shop.py:set_up"),
        case(QUEUE, "shop.py:parent",
             "parent-1-1 waits on the queue mails, which no process registers: shop.py:15 does, in main",
             'DBOS.register_queue("mails")'),
        case(WAITER, "shop.py:scenario",
             "its request waits for ever: a-1: ValueError: no stock (shop.py:6, in checkout)",
             "correct shop.py:6"),
        case(SHOP, "shop.py:chekout", "shop.py has no chekout; the nearest are checkout",
             "as in  shop.py:checkout", LONG),
        case(SHOP, "shop.py:app", "app is a Flask application, not a workflow",
             "scenario = Scenario(request=request)", LONG),
        case(SHOP, "shop.py:charge", "charge is a step, not a workflow (shop.py:19)",
             "shop.py:checkout;  or", LONG),
        case(SHOP, "shop.py:handler", "handler is a plain function, not a workflow (shop.py:28)",
             "return handler(order_id=...)"),
        case(SHOP, "shop.py:Publisher", "Publisher is a class, not a workflow",
             "shop.py:alpha.publish", LONG),
        case(SHOP, "shop.py:Publisher.publish", "is a method of the class Publisher",
             "shop.py:alpha.publish"),
        case(SHOP, "shop.py:alpha", "alpha is an object of Publisher, not a workflow",
             "as in  shop.py:alpha.publish", LONG),
        case(SHOP, "shop.py:Order", "Order is a class, not a workflow", "shop.py:checkout", LONG),
        case(SHOP, "shop.py:DBOS", "DBOS is a class, not a workflow", "shop.py:checkout", LONG),
        case(SHOP, "shop.py:checkout",
             "do not fit checkout(order: shop.Order, times: int = 1): missing a required argument",
             """as in  --args '[{"id": "00000000-0000-4000-8000-000000000001", "due": "2026-""", LONG),
        case(SHOP, "shop.py:Publisher.all", "too many positional", "leave out --args", LONG,
             args=[1]),
        case(SHOP, "shop.py:checkout", """['id']: "x" is not a UUID""", "as in  --args '[{", LONG,
             args=[{"id": "x"}]),
        case(SHOP, "shop.py:login", "JSON has nothing that becomes Session",
             "DBOS.start_workflow(login, Session(user=...), ...).get_result()", args=["a", "b"]),
        case(SHOP, "shop.py:alpha.publish", "shop.py has no set_upp", "correct the name", LONG,
             args=[1], after_launch="set_upp"),
        case(SHOP, "shop.py:alpha.publish", "handler(order_id) is called without arguments",
             "as in  --after-launch", LONG, args=[1], after_launch="handler"),
    ],
)  # fmt: skip
def test_broken_program_is_told_what_is_wrong_and_what_to_type(
    lab: Lab,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    text: str,
    target: str,
    what: str,
    next_step: str,
    given: dict[str, Any],
) -> None:
    monkeypatch.chdir(tmp_path)
    package = tmp_path / "src" / "stock"
    package.mkdir(parents=True)
    (tmp_path / "pyproject.toml").touch()
    (package / "flows.py").touch()
    (tmp_path / "shop.py").write_text(text)
    if "environ" in given:
        given = {**given, "environ": {"PYTHONPATH": str(tmp_path / "src")}}
    if "after_launch" in given:
        given = {**given, "after_launch": (str(tmp_path / "shop.py"), given["after_launch"])}
    # So long that what is not noticed by itself ends the test by the time that it takes.
    timeout_s = given.get("timeout_s", 60.0)
    more = {name: value for name, value in given.items() if name != "timeout_s"}
    error = refused(lab, tmp_path, target, timeout_s, **more)
    assert what in error.what
    assert next_step in "\n".join([error.next_step, *error.paste])


@pytest.mark.parametrize(
    ("target", "given", "code"),
    [
        ("shop.py:nowhere", {}, ExitCode.REFUSED),
        ("shop.py:handler", {}, ExitCode.REFUSED),
        ("shop.py:work", {"args": (1, 2)}, ExitCode.REFUSED),
        ("no.such.module:work", {}, ExitCode.REFUSED),
        ("shop.py:fails", {}, ExitCode.NOTHING_PROVED),
        ("broken.py:work", {}, ExitCode.NOTHING_PROVED),
    ],
)
def test_what_was_mistyped_has_the_exit_code_of_a_mistake(
    lab: Lab, tmp_path: Path, target: str, given: Mapping[str, Any], code: ExitCode
) -> None:
    (tmp_path / "shop.py").write_text(
        "from dbos import DBOS\n"
        "def handler():\n    return 1\n"
        "@DBOS.workflow()\ndef work():\n    return 1\n"
        "@DBOS.workflow()\ndef fails():\n    raise ValueError('no')\n"
    )
    (tmp_path / "broken.py").write_text("import no_such_library\n")
    assert refused(lab, tmp_path, target, 60.0, **given).exit_code is code


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("shop.py::pay", "'shop.py::pay' is neither FILE.py:NAME nor package.module:NAME"),
        (".:pay", "'.:pay' is neither FILE.py:NAME nor package.module:NAME"),
        ("stock/shop:pay", "is neither FILE.py:NAME nor package.module:NAME"),
        ("shop.txt:pay", "shop.txt is no Python file: its name does not end with .py"),
        ("stock.py:pay", "stock.py is no file"),
        ("other.py:pay", "there is no file other.py"),
    ],
)
def test_what_names_no_module_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "shop.txt").touch()
    (tmp_path / "stock.py").mkdir()
    with pytest.raises(Refusal) as error:
        located(target)
    assert said in error.value.what
    assert error.value.next_step == "as in  shop.py:checkout"


def test_lines_to_paste_are_shown_as_lines(sqlite_place: Place) -> None:
    (sqlite_place.directory / "shop.py").write_text(SHOP)
    ran = sqlite_place.run("points", "shop.py:handler")
    assert ran.code == ExitCode.REFUSED
    assert "\n    from shop import handler\n\n\n    def request():\n" in ran.err


def test_what_main_does_after_launch_is_done_in_every_process(sqlite_place: Place) -> None:
    (sqlite_place.directory / "shop.py").write_text(f"{TABLE}\n{QUEUE}")
    (sqlite_place.directory / "setup.py").write_text(
        "import shop\n\nasync def both():\n"
        "    shop.set_up()\n    await shop.DBOS.register_queue_async('mails')\n"
    )
    for name in ("checkout", "parent"):
        found = swept(sqlite_place, f"shop.py:{name}", "--after-launch", "setup.py:both")
        assert found["verdicts"]["KEPT"] == found["crash_points"] > 0


def test_line_that_is_told_is_of_the_program_rather_than_of_what_it_imports(
    lab: Lab, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library, program = tmp_path / "elsewhere", tmp_path / "program"
    library.mkdir()
    program.mkdir()
    (library / "lib.py").write_text("def fail():\n    raise ValueError('no')\n")
    (program / "shop.py").write_text("import lib\n\nlib.fail()\n")
    environ = {"PYTHONPATH": str(library)}
    error = refused(lab, program, "shop.py:f", 60.0, environ=environ)
    assert error.what.endswith("ValueError: no (program/shop.py:3)")


def test_function_after_launch_is_taken_from_the_next_release_of_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py", "main.py"):
        (tmp_path / name).touch()
    deploy = TrialOptions(next_life="b.py:f")
    for given, expected in (("a.py:set_up", "b.py"), ("main.py:set_up", "main.py")):
        asked = read_specification(ScenarioOptions("a.py:f", after_launch=given), deploy)
        assert asked.later.after_launch == (str(tmp_path / expected), "set_up")


def test_module_of_a_src_layout_is_found_by_pythonpath(sqlite_place: Place) -> None:
    package = sqlite_place.directory / "src" / "stock"
    package.mkdir(parents=True)
    (package / "flows.py").write_text(
        "from dbos import DBOS\n\n@DBOS.workflow()\ndef restock(): return 1\n"
    )
    found = sqlite_place.document("points", "stock.flows:restock", "--env", "PYTHONPATH=src")
    assert found["crash_points"]
