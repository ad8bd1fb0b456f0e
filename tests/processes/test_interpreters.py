"""A target runs in the application's own interpreter, which has dbos and nothing of resumectl's."""

import os
import sys
from pathlib import Path
from typing import Any

import make_docs
import pytest
from conftest import CHECKOUT, Workspace, swept
from shared_trials import prove

from resumectl.errors import ExitCode
from resumectl.model.interpreter import Source
from resumectl.runner.interpreter_description import Candidate, describe

# Further interpreters, of environments that hold dbos alone; the gate makes one for each release.
PYTHONS = os.environ.get("RESUMECTL_TEST_PYTHONS", "").split()

LOOKING = """
import importlib
import sys

from dbos import DBOS, SetWorkflowID
from resumectl import Scenario, effect

def found(name):
    try:
        return importlib.import_module(name).__file__
    except ImportError:
        return ""

@DBOS.step()
def look():
    effect("looked")
    return [found(name) for name in ("sqlalchemy", "psycopg", "dbos", "typer", "rich", "alembic")]

@DBOS.workflow()
def work():
    return look()

def request():
    with SetWorkflowID("work-1"):
        return [sys.prefix, *work()]

scenario = Scenario(request=request)
"""


def path_of(request: pytest.FixtureRequest, python: str) -> str:
    """Return the path of an interpreter; `environment` names the fixture."""
    return str(request.getfixturevalue(python)) if python == "environment" else python


def answer_of(workspace: Workspace, *options: str) -> Any:
    """Return what a scenario of looking.py answered in the last process of a trial."""
    document = workspace.document("replay", "before:work-1/step-1", "looking.py:scenario", *options)
    events = document["observation"]["processes"][-1]["events"]
    (ended,) = [each for each in events if each["kind"] == "request-ended"]
    return ended["value"]


@pytest.mark.parametrize("isolation", ["fork", pytest.param("spawn", marks=pytest.mark.slow)])
def test_only_the_environment_of_the_application_is_visible(
    sqlite_workspace: Workspace, environment: Path, isolation: str
) -> None:
    (sqlite_workspace.directory / "looking.py").write_text(LOOKING)
    prefix, *files = answer_of(
        sqlite_workspace, "--python", str(environment), "--isolation", isolation
    )
    assert Path(prefix) == environment.parents[1]
    own, other = files[:3], files[3:]
    assert all(each.startswith(f"{environment.parents[1]}/") for each in own), own
    assert other == ["", "", ""]


@pytest.mark.parametrize("python", [*PYTHONS, "environment"])
def test_verdicts_are_those_of_resumectls_own_interpreter(
    request: pytest.FixtureRequest, sqlite_workspace: Workspace, python: str
) -> None:
    path = path_of(request, python)
    (sqlite_workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    found = swept(
        sqlite_workspace, "shop.py:checkout", "--args", '["order-1"]', "--python", path,
        "--promise", "charge=exactly-once", code=ExitCode.PROMISE_BROKEN,
    )  # fmt: skip
    assert found["interpreter"]["path"] == path
    assert not found["interpreter"]["is_own"]
    assert found["verdicts"]["BROKEN"] == 1
    assert found["verdicts"]["KEPT"] == found["crash_points"] - 1 == 7
    assert {each["plan"] for each in found["findings"]} == {"before:checkout-1/step-1"}
    ran = sqlite_workspace.run(
        "replay", "after:checkout-1/step-1", "shop.py:checkout", "--args", '["order-1"]',
        "--python", path, "--json",
    )  # fmt: skip
    assert (ran.code, ran.document["verdict"]) == (ExitCode.DONE, "KEPT")


@pytest.mark.slow
@pytest.mark.parametrize("python", PYTHONS[1:2] or ["environment"])  # the newest DBOS 2
def test_processes_after_the_kill_have_an_interpreter_of_their_own(
    request: pytest.FixtureRequest, sqlite_workspace: Workspace, python: str
) -> None:
    """As in an upgrade of DBOS, which migrates the database at its next launch."""
    path = path_of(request, python)
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    found = swept(
        workspace, "shop.py:checkout", "--args", '["order-1"]', "--app-version", "1",
        "--python", path, "--resume-python", sys.executable,
        "--promise", "charge=exactly-once", code=ExitCode.PROMISE_BROKEN,
    )  # fmt: skip
    before, after = found["interpreter"], found["interpreter_after_crash"]
    assert (before["path"], after["path"]) == (path, sys.executable)
    assert (before["is_own"], after["is_own"]) == (False, True)
    assert (found["reached"], found["verdicts"]["KEPT"]) == (8, 7)
    assert {each["plan"] for each in found["findings"]} == {"before:checkout-1/step-1"}
    ran = workspace.run(
        "replay", "after:checkout-1/step-1", "shop.py:checkout", "--args", '["order-1"]',
        "--app-version", "1", "--python", path, "--resume-python", sys.executable, "--json",
    )  # fmt: skip
    assert (ran.code, ran.document["verdict"]) == (ExitCode.DONE, "KEPT")
    # A migration is no transition of the program.
    observed = ran.document["observation"]["processes"][1]["events"]
    names = [f["name"] for e in observed if e["kind"] == "committed" for f in e["facts"]]
    assert names
    assert all(name.startswith("checkout-1/") for name in names)


def test_only_the_processes_after_the_kill_run_in_the_other_interpreter(
    sqlite_workspace: Workspace, environment: Path
) -> None:
    (sqlite_workspace.directory / "looking.py").write_text(LOOKING)
    options = ("--python", str(environment), "--resume-python", sys.executable)
    assert answer_of(sqlite_workspace, *options)[0] == sys.prefix


CHILD = """
import uuid
from dbos import DBOS, SetWorkflowID

@DBOS.workflow()
def child():
    return "done"

@DBOS.workflow()
def parent():
    with SetWorkflowID(str(uuid.uuid4())):
        return DBOS.start_workflow(child).get_result()
"""


TRANSACTION = """
import os
import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario

@DBOS.transaction()
def book(order):
    DBOS.sql_session.execute(sa.text("INSERT INTO orders VALUES (:id)"), {"id": order})

@DBOS.workflow()
def checkout(order):
    book(order)

def connect():
    return sa.create_engine(os.environ["DB"]).begin()

def prepare():
    with connect() as connection:
        connection.execute(sa.text("CREATE TABLE orders (id TEXT)"))

def request():
    with SetWorkflowID("checkout-1"):
        checkout("order-1")

def observe():
    with connect() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM orders"))

scenario = Scenario(request=request, prepare=prepare, observe=observe)
"""


# What a program of DBOS 2 has that DBOS 3 has not, and what both have.
WIDE = """
import asyncio
from dbos import DBOS, Queue, SetWorkflowID
from resumectl import Scenario, effect

queue = Queue("orders", concurrency=2)

@DBOS.step()
async def pack(order):
    effect("pack", order)
    return f"{order} is packed"

@DBOS.workflow()
async def packing(order):
    return await pack(order)

@DBOS.workflow()
def shipping(order):
    DBOS.write_stream("log", order)
    DBOS.set_event("state", "shipped")
    return order

@DBOS.workflow()
def checkout(order):
    with SetWorkflowID(f"{order}-shipping"):
        handle = queue.enqueue(shipping, order)
    shipped = handle.get_result()
    return [shipped, DBOS.get_event(f"{order}-shipping", "state")]

def check_out():
    with SetWorkflowID("checkout-1"):
        return checkout("order-1")

async def request():
    shipped = await asyncio.to_thread(check_out)
    # Enqueued: up to 2.26, DBOS may execute it twice if a client calls it during its recovery.
    with SetWorkflowID("packing-1"):
        handle = await queue.enqueue_async(packing, "order-1")
    return [shipped, await handle.get_result()]

scenario = Scenario(request=request)
"""


PITFALLS = {
    "state_in_memory": "diverged",
    "fire_and_forget_thread": "lost",
    "effect_in_the_workflow_body": "duplicated",
}


# The environment has the release of resumectl's own; tests/scenarios judge programs under that.
RELEASES = [*PYTHONS, pytest.param("environment", marks=pytest.mark.long)]


@pytest.mark.slow
@pytest.mark.parametrize("python", RELEASES)
def test_mistakes_are_found_under_every_release(
    request: pytest.FixtureRequest, python: str
) -> None:
    path = path_of(request, python)
    for pitfall, kind in PITFALLS.items():
        program = CHECKOUT / "examples" / "pitfalls" / f"{pitfall}.py"
        assert kind in prove(program, "mistake", until={kind}, python=path).kinds
    assert prove(program, "corrected", python=path).is_kept


@pytest.mark.slow
@pytest.mark.parametrize("python", RELEASES)
def test_programs_are_judged_under_every_release(
    request: pytest.FixtureRequest, tmp_path: Path, python: str
) -> None:
    path = path_of(request, python)
    release = describe(Candidate(Path(path), Source.OPTION)).dbos
    program = tmp_path / "family.py"
    program.write_text(CHILD)
    # Up to 3.0, the start of a child and its parent's record of it are two commits.
    is_older = release.startswith(("2.", "3.0."))
    kinds = prove(program, "parent", python=path, until={"unexpected"}).kinds
    assert kinds == ({"unexpected"} if is_older else set())
    if release.startswith("2."):
        program = tmp_path / "wide.py"
        program.write_text(WIDE)
        assert prove(program, "scenario", python=path).is_kept
        program = tmp_path / "shop.py"
        program.write_text(TRANSACTION)
        proved = prove(program, "scenario", environ={"DB": "{database_url}"}, python=path)
        assert proved.is_kept
        # `@DBOS.transaction` is of DBOS 2: its rows and its record share one commit.
        names = {plan.partition(":")[2] for plan in proved.crash_points}
        assert names & {"orders/inserted", "checkout-1/transaction-1"}
        assert len(proved.crash_points) == 8
