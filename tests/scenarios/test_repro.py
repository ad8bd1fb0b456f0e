"""A broken trial becomes a file that shows it with dbos alone, and a text for an issue."""

import subprocess
from pathlib import Path

import make_docs
import pytest
from conftest import CHECKOUT, DEADLINE_S, Workspace

from resumectl.errors import ExitCode

PROGRAM = '''
"""It's a program with 'quotes' and "others"."""
import os
from pathlib import Path

from dbos import DBOS, SetWorkflowID
from resumectl import Scenario, effect

runs_before = Path("runs").read_text() if Path("runs").exists() else ""
Path("runs").write_text(runs_before + "x")

@DBOS.step()
def look(order):
    return order

@DBOS.step()
def charge(order):
    effect("charge", order)

@DBOS.workflow()
def by_memory(order):
    """What it returns depends on how often the program was started."""
    look(order)
    look(order)
    return f"{order} {len(runs_before)}"

@DBOS.workflow()
def checkout(order):
    charge(order)

def handler(order, times):
    """A client without ids."""
    return [DBOS.start_workflow(checkout, order).get_result() for _ in range(times)]

def request():
    with SetWorkflowID("checkout-1"):
        return checkout("order-1")

def observe():
    return Path("runs").read_text()

scenario = Scenario(request, promises={"charge": "exactly-once"})
'''
SECRET = "hunter2"
LONG = pytest.mark.long


@pytest.fixture
def workspace(sqlite_workspace: Workspace) -> Workspace:
    (sqlite_workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    (sqlite_workspace.directory / "more.py").write_text(PROGRAM)
    return sqlite_workspace


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "look_at"),
    [
        (("shop.py:checkout", "--args", '["order-1"]', "--promise", "charge=exactly-once"),
         "['runs', 'charge']"),
        pytest.param(("more.py:by_memory", "--args", '["order-1"]'), "['answer']", marks=LONG),
        pytest.param(
            ("more.py:scenario",), "['effects', \"charge('order-1')\"]", marks=LONG
        ),
        pytest.param(
            ("more.py:handler", "--args", '["order-1", 2]', "--client", "retries", "--only",
          "*/accepted"), "['workflows']", marks=LONG),
        pytest.param(
            ("more.py:checkout", "--args", '["o"]', "--observe", "more.py:observe", "--only",
             "*/step-1"), "['observed']", marks=LONG),
    ],
)  # fmt: skip
def test_file_shows_the_finding_with_dbos_alone(
    workspace: Workspace, environment: Path, options: tuple[str, ...], look_at: str
) -> None:
    environ = ("--env", f"SHOP_PASSWORD={SECRET}")
    assert workspace.run("sweep", *options, *environ).code == ExitCode.PROMISE_BROKEN
    ran = workspace.run("repro", "1", "-o", "found", "--runs", "2", "--json")
    assert ran.code == ExitCode.DONE, ran
    assert (ran.document["fails"], ran.document["runs"]) == (2, 2)
    found = workspace.directory / "found"
    text, issue = (found / "repro.py").read_text(), (found / "ISSUE.md").read_text()
    assert f"LOOK_AT = {look_at}" in text
    assert "It failed in 2 of 2 runs" in issue
    for each in (text, issue):
        assert str(workspace.directory) not in each
        assert SECRET not in each
    alone = subprocess.run(
        [environment, found / "repro.py"],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
        env={},
    )
    assert (alone.returncode, alone.stdout.splitlines()[-1]) == (1, "BROKEN"), alone


FAMILY = """
from dataclasses import dataclass
from pathlib import Path
from dbos import DBOS

@dataclass
class Contract:
    number: str

@DBOS.step()
def render(number):
    return f"pdf of {number}"

@DBOS.step()
def ask(number):
    return f"{number} is signed"

@DBOS.workflow()
def sign_one(number):
    return ask(number)

@DBOS.workflow()
def sign(number):
    return DBOS.start_workflow(sign_one, render(number)).get_result()

def post(origin, contract: Contract):
    return DBOS.start_workflow(sign, contract.number).get_result()
"""


def test_child_of_a_workflow_without_an_id_is_killed_at_its_own_step(
    sqlite_workspace: Workspace,
) -> None:
    """The parent's step has the same number; the handler asks for an object."""
    (sqlite_workspace.directory / "family.py").write_text(FAMILY)
    options = (
        "family.py:post",
        "--args",
        '["web", {"number": "C-1"}]',
        "--promise",
        "ask=exactly-once",
    )
    ran = sqlite_workspace.run("sweep", *options, "--only", "*-2/step-1", "--edge", "before")
    assert ran.code == ExitCode.PROMISE_BROKEN, ran
    ran = sqlite_workspace.run("repro", "1", "--runs", "1", "--json")
    assert ran.code == ExitCode.DONE, ran
    assert ran.document["fails"] == 1
    text = (sqlite_workspace.directory / "repro" / "repro.py").read_text()
    assert "CRASH = ('before', 'sign(1)-2', 'step-1', 1)" in text


def test_path_of_a_child_is_found_by_the_name_of_its_parent(sqlite_workspace: Workspace) -> None:
    """The child takes another branch after the crash."""
    branch = """
    if Path("seen").exists():
        render(number)
    else:
        Path("seen").touch()
        ask(number)
    return "signed"
"""
    program = FAMILY.replace("\n    return ask(number)\n", branch)
    (sqlite_workspace.directory / "family.py").write_text(program)
    options = ("family.py:post", "--args", '["web", {"number": "C-1"}]')
    ran = sqlite_workspace.run("sweep", *options, "--only", "*-2/step-1", "--edge", "before")
    assert ran.code == ExitCode.PROMISE_BROKEN, ran
    ran = sqlite_workspace.run("repro", "1", "--runs", "1", "--json")
    assert ran.code == ExitCode.DONE, ran
    text = (sqlite_workspace.directory / "repro" / "repro.py").read_text()
    assert "LOOK_AT = ['steps', 'sign-2']" in text


WATCHED = """
import sys
from pathlib import Path
from dbos import DBOS

@DBOS.step()
def charge(order):
    Path("seen").touch()

@DBOS.workflow()
def checkout(order):
    is_watched = any("commit_watch" in name for name in sys.modules)
    is_again = is_watched and Path("seen").exists()
    charge(order)
    return "again" if is_again else "once"
"""


def test_file_that_never_shows_the_finding_has_no_issue(sqlite_workspace: Workspace) -> None:
    """The program is broken only while it is watched."""
    workspace = sqlite_workspace
    (workspace.directory / "watched.py").write_text(WATCHED)
    options = ("watched.py:checkout", "--args", '["o"]', "--only", "*/step-1", "--edge", "after")
    assert workspace.run("sweep", *options).code == ExitCode.PROMISE_BROKEN
    ran = workspace.run("repro", "1", "--runs", "2")
    assert ran.code == ExitCode.NOTHING_PROVED, ran
    assert "shows the finding in none of 2 runs" in ran.err
    assert "resumectl replay after:checkout-1/step-1 watched.py:checkout" in ran.err
    assert [each.name for each in (workspace.directory / "repro").iterdir()] == ["repro.py"]


# Which branch or order a process takes depends on chance in each run of the file.
BY_CHANCE = ("branch_on_the_clock", "random_branch", "random_order")
PITFALLS = [
    path.stem
    for path in sorted((CHECKOUT / "examples" / "pitfalls").glob("*.py"))
    if "\nmistake = " in path.read_text()
]


@LONG
@pytest.mark.parametrize("pitfall", PITFALLS)
def test_each_pitfall_is_shown(sqlite_workspace: Workspace, pitfall: str) -> None:
    text = (CHECKOUT / "examples" / "pitfalls" / f"{pitfall}.py").read_text()
    (sqlite_workspace.directory / f"{pitfall}.py").write_text(text)
    ran = sqlite_workspace.run("sweep", f"{pitfall}.py:mistake")
    assert ran.code in (ExitCode.PROMISE_BROKEN, ExitCode.UNSTABLE)
    ran = sqlite_workspace.run("repro", "1", "--runs", "3", "--json")
    assert pitfall in BY_CHANCE or ran.document["fails"] == 3, ran


@LONG
def test_arguments_are_as_small_as_the_finding_allows(workspace: Workspace) -> None:
    options = ("more.py:by_memory", "--args", '["a long order"]', "--only", "*/step-1")
    assert workspace.run("sweep", *options).code == ExitCode.PROMISE_BROKEN
    workspace.ok("repro", "1:after:by_memory-1/step-1", "--runs", "1")
    text = (workspace.directory / "repro" / "repro.py").read_text()
    assert "ARGS, KWARGS, WORKFLOW_ID = ['a'], {}, 'by_memory-1'" in text
    assert "CRASH = ('after', 'by_memory-1', 'step-1', 1)" in text


def test_corrected_program_is_not_shown_to_be_broken(workspace: Workspace) -> None:
    options = ("shop.py:checkout", "--args", '["a"]', "--promise", "charge=exactly-once")
    assert workspace.run("sweep", *options, "--only", "*/step-1").code == ExitCode.PROMISE_BROKEN
    corrected = make_docs.SHOP.read_text().replace("    charge(order)\n", "")
    (workspace.directory / "shop.py").write_text(corrected)
    ran = workspace.run("repro", "1", "--runs", "1")
    assert ran.code == ExitCode.NOTHING_PROVED
    assert not (workspace.directory / "repro").exists()


@pytest.mark.parametrize(
    ("trial", "what"),
    [
        ("x", "'x' is no trial"),
        ("7", "there is no sweep 7"),
        ("1", "sweep 1 has no finding in it"),
        ("1:before:a/b", "sweep 1 has no finding at before:a/b"),
    ],
)
def test_trial_without_a_finding_is_refused(workspace: Workspace, trial: str, what: str) -> None:
    workspace.ok("sweep", "shop.py:checkout", "--args", '["a"]', "--only", "*/step-2")
    ran = workspace.run("repro", trial)
    assert ran.code == ExitCode.REFUSED
    assert ran.err.startswith(f"error: {what}")
