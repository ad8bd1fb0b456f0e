"""A program that fails without any crash: what is wrong is said, with its line, and what to type.

Most cases run one uninterrupted process each.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from conftest import Workspace, swept
from shared_trials import shared_pool

from resumectl.cli.spec_from_options import located, read_spec
from resumectl.cli.target_options import TargetOptions, TrialOptions
from resumectl.errors import ExitCode, Refusal
from resumectl.model.target import Target
from resumectl.report.advice.advise import refusal_of
from resumectl.runner.baseline_runs import BaselineRuns, FailingBaseline
from resumectl.runner.trial_runner import TrialRunner


def refused(directory: Path, target: str, timeout_s: float, **given: Any) -> Refusal:
    """What a program is refused with whose first uninterrupted run must not go well."""
    file, _, name = target.rpartition(":")
    path = str(directory / file) if file.endswith(".py") else file
    pool = shared_pool()
    runs = BaselineRuns.of(TrialRunner(pool, Target(entry=(path, name), **given)), {})
    with pytest.raises(FailingBaseline) as error:
        runs.discover(timeout_s * pool.slowness)
    return refusal_of(error.value.run, error.value.target, str(Path.cwd()))


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

engine = sa.create_engine(os.environ["RESUMECTL_SANDBOX"].join(("sqlite:///", "/shop.sqlite")))
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
             "importing shop.py does not end: it serves requests at shop.py:2", "__main__"),
        case("import time\ntime.sleep(600)\n", "shop.py:f",
             "importing shop.py does not end: it is waiting at shop.py:2: time.sleep(600)",
             "--timeout 300", timeout_s=4.0),
        case("from dbos import DBOS\nDBOS()\n", "shop.py:f",
             "shop.py:2: DBOS() without a configuration belongs to DBOS 0", 'DBOS(config={"name"'),
        case("from dbos import Queue\nQueue('a')\n", "shop.py:f", "Queue(…) belongs to DBOS 2",
             "DBOS.register_queue(NAME)", LONG),
        case("from dbos import DBOS\n@DBOS.transaction()\ndef f(): pass\n", "shop.py:f",
             "shop.py:2: DBOS.transaction belongs to DBOS 2", "run_tx_step", LONG),
        case("from dbos import DBOS\nDBOS.register_queue('mails')\n", "shop.py:f",
             "shop.py:2 needs DBOS to be launched", "--after-launch", LONG),
        case("import stock.nothing\n", "shop.py:f",
             "shop.py:1 imports stock.nothing, which is not in the package stock",
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
        case(SHOP, "shop.py:handler", "do not fit handler(order_id): missing a required argument",
             """as in  --args '["…"]'"""),
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
    error = refused(tmp_path, target, timeout_s, **more)
    assert what in error.what
    assert next_step in "\n".join([error.next_step, *error.paste])


@pytest.mark.parametrize(
    ("target", "given", "code"),
    [
        ("shop.py:nowhere", {}, ExitCode.REFUSED),
        ("shop.py:charge", {}, ExitCode.REFUSED),
        ("shop.py:work", {"args": (1, 2)}, ExitCode.REFUSED),
        ("no.such.module:work", {}, ExitCode.REFUSED),
        ("shop.py:fails", {}, ExitCode.NOTHING_PROVED),
        ("broken.py:work", {}, ExitCode.NOTHING_PROVED),
    ],
)
def test_what_was_mistyped_has_the_exit_code_of_a_mistake(
    tmp_path: Path, target: str, given: Mapping[str, Any], code: ExitCode
) -> None:
    (tmp_path / "shop.py").write_text(
        "from dbos import DBOS\n"
        "@DBOS.step()\ndef charge():\n    return 1\n"
        "@DBOS.workflow()\ndef work():\n    return 1\n"
        "@DBOS.workflow()\ndef fails():\n    raise ValueError('no')\n"
    )
    (tmp_path / "broken.py").write_text("import no_such_library\n")
    assert refused(tmp_path, target, 60.0, **given).exit_code is code


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("shop.py::pay", "'shop.py::pay' is neither FILE.py:NAME nor package.module:NAME"),
        (".:pay", "'.:pay' is neither FILE.py:NAME nor package.module:NAME"),
        ("stock/shop:pay", "is neither FILE.py:NAME nor package.module:NAME"),
        ("shop.txt:pay", "shop.txt is not a Python file: its name does not end with .py"),
        ("stock.py:pay", "stock.py is not a file"),
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


def test_lines_to_paste_are_shown_as_lines(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(SHOP)
    ran = sqlite_workspace.run("points", "shop.py:charge")
    assert ran.code == ExitCode.REFUSED
    assert "\n    from shop import charge\n\n\n    def request():\n" in ran.err


@pytest.mark.slow
def test_what_main_does_after_launch_is_done_in_every_process(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(f"{TABLE}\n{QUEUE}")
    (sqlite_workspace.directory / "setup.py").write_text(
        "import shop\n\nasync def both():\n"
        "    shop.set_up()\n    await shop.DBOS.register_queue_async('mails')\n"
    )
    for name in ("checkout", "parent"):
        found = swept(sqlite_workspace, f"shop.py:{name}", "--after-launch", "setup.py:both")
        assert found["verdicts"]["KEPT"] == found["crash_points"] > 0


def test_line_that_is_told_is_of_the_program_rather_than_of_what_it_imports(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    library, program = tmp_path / "elsewhere", tmp_path / "program"
    library.mkdir()
    program.mkdir()
    (library / "lib.py").write_text("def fail():\n    raise ValueError('no')\n")
    (program / "shop.py").write_text("import lib\n\nlib.fail()\n")
    environ = {"PYTHONPATH": str(library)}
    error = refused(program, "shop.py:f", 60.0, environ=environ)
    assert error.what.endswith("ValueError: no (program/shop.py:3)")


def test_function_after_launch_is_taken_from_the_next_release_of_the_same_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.py", "b.py", "main.py"):
        (tmp_path / name).touch()
    deploy = TrialOptions(resume_with="b.py:f")
    for given, expected in (("a.py:set_up", "b.py"), ("main.py:set_up", "main.py")):
        asked = read_spec(TargetOptions("a.py:f", after_launch=given), deploy)
        assert asked.later.after_launch == (str(tmp_path / expected), "set_up")


def test_module_of_a_src_layout_is_found_by_pythonpath(sqlite_workspace: Workspace) -> None:
    package = sqlite_workspace.directory / "src" / "stock"
    package.mkdir(parents=True)
    (package / "flows.py").write_text(
        "from dbos import DBOS\n\n@DBOS.workflow()\ndef restock(): return 1\n"
    )
    found = sqlite_workspace.document("points", "stock.flows:restock", "--env", "PYTHONPATH=src")
    assert found["crash_points"]
