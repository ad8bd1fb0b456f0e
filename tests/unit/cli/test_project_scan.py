"""A project is looked at without importing anything of it."""

from pathlib import Path

import pytest

from resumectl.cli.project_scan import FoundLine, FoundTarget, Parameter, scan_project

PROGRAM = """
raise SystemExit("it was imported")

import sqlalchemy as sa
from dbos import DBOS, DBOSConfiguredInstance
from fastapi import FastAPI
from pydantic import BaseModel

app = FastAPI()
engine = sa.create_engine("sqlite:///shop.db")

class Order(BaseModel):
    id: str
    amount: int = 1

@DBOS.step()
def charge(order): ...

@DBOS.step(retries_allowed=True)
async def ship(order): ...

@DBOS.workflow()
def checkout(order: str, times: int = 1) -> str:
    charge(order)
    return ship(order)

@app.post("/orders")
async def create(order: Order):
    await DBOS.start_workflow_async(checkout, order.id)

@app.get("/orders")
def listed(): ...

class Shop(DBOSConfiguredInstance):
    @classmethod
    @DBOS.workflow()
    def restock(cls, shelf: int): ...

    @DBOS.workflow()
    def of_instance(self): ...

@celery.step
def not_of_dbos(): ...

def main():
    DBOS.launch()
    DBOS.register_queue("orders")
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for directory in (".venv/lib", "env/lib", "node_modules/x", "src/shop"):
        (tmp_path / directory).mkdir(parents=True)
    (tmp_path / "env/pyvenv.cfg").touch()
    for other in (".venv/lib/a.py", "env/lib/b.py", "node_modules/x/c.py"):
        (tmp_path / other).write_text("@DBOS.workflow()\ndef of_library(): ...\n")
    (tmp_path / "src/shop/flows.py").write_text(PROGRAM)
    (tmp_path / "broken.py").write_text("def f(:\n")
    return tmp_path


def test_workflows_and_handlers_that_start_one_are_found(root: Path) -> None:
    order, shelf = [Parameter("order", "str")], [Parameter("shelf", "int")]
    file = "src/shop/flows.py"
    assert scan_project(root).targets == [
        FoundTarget(file, "checkout", 23, order, ["charge", "ship"], is_handler=False),
        FoundTarget(file, "create", 28, [Parameter("order", "Order")], [], is_handler=True),
        FoundTarget(file, "Shop.restock", 37, shelf, [], is_handler=False),
    ]


def test_set_up_and_databases_are_found(root: Path) -> None:
    scan = scan_project(root)
    file = "src/shop/flows.py"
    found = "DBOS.register_queue('orders')"
    assert scan.set_ups == [FoundLine(file, 47, found, "main", only_sets_up=False)]
    engine = "sa.create_engine('sqlite:///shop.db')"
    assert scan.engines == [FoundLine(file, 10, engine, "", only_sets_up=False)]
    assert scan.classes["Order"] == [Parameter("id", "str")]


@pytest.mark.parametrize(
    ("text", "only_sets_up"),
    [
        ("def queues():\n    DBOS.register_queue('a')\n    DBOS.register_queue('b')\n", True),
        ("async def queues(name='a'):\n    await DBOS.register_queue_async(name)\n", True),
        ("def queues(name):\n    DBOS.register_queue(name)\n", False),
        ("def queues():\n    DBOS.register_queue('a')\n    serve()\n", False),
    ],
)
def test_function_that_only_sets_up_is_known(tmp_path: Path, text: str, only_sets_up: bool) -> None:
    (tmp_path / "main.py").write_text(text)
    assert {each.only_sets_up for each in scan_project(tmp_path).set_ups} == {only_sets_up}


def test_file_that_is_no_python_is_named(root: Path) -> None:
    (error,) = scan_project(root).unreadable
    assert error.startswith("broken.py: ")
