"""What a restart and a deploy do to workflows in flight: versions, executor ids, edited files."""

from pathlib import Path
from typing import Any

import pytest
from conftest import Workspace, swept
from shared_trials import prove

from resumectl.errors import ExitCode

PARKED = """
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario

@DBOS.workflow()
def checkout(order):
    answer = DBOS.recv("go", timeout_seconds=60)
    return answer{edit}

def request():
    with SetWorkflowID("checkout-1"):
        handle = DBOS.start_workflow(checkout, "order-1")
    DBOS.send("checkout-1", "go", "go", idempotency_key="once")
    return handle.get_result()

scenario = Scenario(request=request)
"""
DEPLOY = ("old.py:scenario", "--resume-with", "new.py:scenario")


@pytest.fixture
def parked(sqlite_workspace: Workspace) -> Workspace:
    """A program that waits for a message, and the same after an edit of its body."""
    for name, edit in (("old", ""), ("new", " or None")):
        (sqlite_workspace.directory / f"{name}.py").write_text(PARKED.replace("{edit}", edit))
    return sqlite_workspace


@pytest.mark.slow
def test_an_edited_body_strands_what_is_in_flight(parked: Workspace) -> None:
    """As without resumectl: "No workflows to recover from application version …"."""
    found = swept(parked, *DEPLOY, code=ExitCode.PROMISE_BROKEN)
    before, after = (found["settings"][each] for each in ("before_crash", "after_crash"))
    assert before["is_version_computed"]
    assert after["is_version_computed"]
    assert before["app_version"] != after["app_version"]
    assert {each["kind"] for each in found["findings"]} == {"stuck"}
    evidence = found["findings"][0]["evidence"]
    for said in (before["app_version"], after["app_version"], "DBOS.fork_workflow"):
        assert said in evidence
    # Before it was accepted, and after it had ended, there is nothing to strand.
    assert found["verdicts"]["KEPT"] == 2
    # Uninterrupted, and under one version, there is nothing to say.
    assert swept(parked, "old.py:scenario")["verdicts"]["BROKEN"] == 0
    found = swept(parked, *DEPLOY, "--app-version", "1")
    assert found["verdicts"]["KEPT"] == found["crash_points"]
    assert found["settings"]["after_crash"]["app_version"] == "1"


def replayed(workspace: Workspace, plan: str, *arguments: str) -> Any:
    ran = workspace.run("replay", plan, *arguments, "--json")
    assert ran.code == ExitCode.PROMISE_BROKEN, ran
    return ran.document


@pytest.mark.slow
def test_a_trial_ends_as_soon_as_its_process_can_do_no_more(parked: Workspace) -> None:
    document = replayed(parked, "after:checkout-1/accepted", *DEPLOY)
    last = document["observation"]["processes"][-1]
    assert last["exit"]["in_time"]
    (stranded,) = [each for each in last["events"] if each["kind"] == "stranded"]
    assert stranded["workflows"] == ["checkout-1"]


PROGRAM = """
import os
from dataclasses import dataclass
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario

DBOS(config={"name": "shop", "executor_id": {executor}})

@dataclass
class Order:
    name: str

@DBOS.step()
def charge(order):
    return order.name

@DBOS.workflow()
def checkout(order):
    return charge(order){edit}

def request():
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(checkout, Order("first")).get_result()

scenario = Scenario(request=request)
"""


def write_program(path: Path, *, executor: str = '"one"', edit: str = "") -> None:
    text = PROGRAM.replace("{executor}", executor).replace("{edit}", edit)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


@pytest.mark.slow
def test_an_executor_id_that_changes_strands_what_is_in_flight(sqlite_workspace: Workspace) -> None:
    write_program(sqlite_workspace.directory / "shop.py", executor='f"shop-{os.getpid()}"')
    document = replayed(sqlite_workspace, "after:checkout-1/accepted", "shop.py:scenario")
    (finding,) = document["findings"]
    assert finding["kind"] == "stuck"
    assert "executor shop-" in finding["evidence"]
    write_program(sqlite_workspace.directory / "shop.py")
    found = swept(sqlite_workspace, "shop.py:scenario", "--only", "*/accepted")
    assert found["settings"]["before_crash"]["executor_id"] == "one"


def test_a_database_that_changes_with_each_process_is_a_finding(
    sqlite_workspace: Workspace,
) -> None:
    """In a trial both processes have the sandbox's; outside of it, all would be left behind."""
    write_program(sqlite_workspace.directory / "shop.py")
    shop = sqlite_workspace.directory / "shop.py"
    url = 'f"postgresql://shop:secret@db/shop-{os.getpid()}"'
    shop.write_text(
        shop.read_text().replace('"executor_id"', f'"system_database_url": {url}, "executor_id"')
    )
    document = replayed(sqlite_workspace, "after:checkout-1/accepted", "shop.py:scenario")
    (finding,) = document["findings"]
    assert (finding["kind"], finding["subject"]) == ("stuck", "the system database")
    assert "postgresql://shop:***@db/shop-" in finding["evidence"]
    assert "secret" not in str(document)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("old.py", "new.py"),
        pytest.param("a/shop/flows.py", "b/shop/flows.py", marks=pytest.mark.long),
        ("shop_1/flows.py", "shop_2/flows.py"),
    ],
)
def test_the_next_release_has_the_module_name_of_the_first(
    tmp_path: Path, old: str, new: str
) -> None:
    """What process 1 pickled names the classes of its own module."""
    for name, edit in ((old, ""), (new, " or None")):
        write_program(tmp_path / name, edit=edit)
        if "/" in name:
            (tmp_path / name).with_name("__init__.py").touch()
    assert prove(tmp_path / old, "scenario", next_path=tmp_path / new).is_kept
