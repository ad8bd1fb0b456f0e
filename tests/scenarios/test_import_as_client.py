"""Programs that launch DBOS and start workflows when they are imported: the import is the client."""

from typing import Any

import pytest
from conftest import Workspace, swept

from resumectl.errors import ExitCode

PROGRAM = """
from dbos import DBOS, SetWorkflowID

DBOS(config={"name": "shop"})

@DBOS.step()
def charge(order):
    return f"{order} is paid"

@DBOS.step()
def ship(order):
    return f"{order} is under way"

@DBOS.workflow()
def checkout(order):
    charge(order)
    {body}

DBOS.launch()
{start}
"""
BODY = "return ship(order)"
START = 'handle = DBOS.start_workflow(checkout, "order-1")'
UNDER_AN_ID = f'with SetWorkflowID("order-1"):\n    {START}'


def sweep(workspace: Workspace, *, start: str, body: str = BODY, code: int = ExitCode.DONE) -> Any:
    text = PROGRAM.replace("{body}", body).replace("{start}", start)
    (workspace.directory / "shop.py").write_text(text)
    return swept(workspace, "shop.py:checkout", "--args", '["order-1"]', code=code)


@pytest.mark.parametrize(
    "start", [START, pytest.param(f"{START}\nhandle.get_result()", marks=pytest.mark.long)]
)
def test_an_import_that_starts_a_workflow_is_its_client(
    sqlite_workspace: Workspace, start: str
) -> None:
    found = sweep(sqlite_workspace, start=start)
    assert found["findings"] == []
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 8
    assert found["settings"]["before_crash"]["started_at_import"] == ["checkout"]
    assert found["settings"]["before_crash"]["is_version_computed"]
    # Each process imports it, and starts one more.
    (again,) = [each for each in found["exposures"] if each["note"]]
    assert "starts one more in each process" in again["note"]


def test_an_import_that_starts_a_workflow_under_an_id_starts_it_once(
    sqlite_workspace: Workspace,
) -> None:
    found = sweep(sqlite_workspace, start=UNDER_AN_ID)
    assert found["findings"] == []
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 8
    assert [each["note"] for each in found["exposures"]] == ["", ""]


MISTAKE = """
    from pathlib import Path
    is_first = not Path("been-here").exists()
    Path("been-here").touch()
    return ship(order) if is_first else charge(order)
"""


@pytest.mark.slow
@pytest.mark.parametrize("start", [UNDER_AN_ID, pytest.param(START, marks=pytest.mark.long)])
def test_a_mistake_of_a_workflow_that_an_import_starts_is_found(
    sqlite_workspace: Workspace, start: str
) -> None:
    """Its body takes another path in the second process."""
    found = sweep(sqlite_workspace, start=start, body=MISTAKE.strip(), code=ExitCode.PROMISE_BROKEN)
    assert {each["kind"] for each in found["findings"]} & {"failed", "diverged"}
