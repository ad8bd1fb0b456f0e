"""Commands take their targets from pyproject.toml: flags, then the environment, then the file."""

import os
from dataclasses import replace

import make_docs
import pytest
from conftest import Workspace

from resumectl.errors import ExitCode

PROJECT = """
[tool.resumectl]
downtime = 60

[tool.resumectl.targets.checkout]
target = "shop.py:checkout"
args = ["order-1"]
promises = { charge = "exactly-once" }

[tool.resumectl.targets.second-step]
target = "shop.py:checkout"
args = ["order-2"]
only = "*/step-2"
"""
OBSERVED = """
[tool.resumectl.targets.checkout]
target = "observed.py:checkout"
args = ["order-1"]
observe = "observed.py:payments"
"""
OBSERVED_PROGRAM = """
from pathlib import Path
from dbos import DBOS

@DBOS.step()
def charge(order):
    with open("payments", "a") as file:
        file.write(order)

@DBOS.workflow()
def checkout(order):
    charge(order)

def payments():
    return Path("payments").read_text()
"""


@pytest.fixture
def project(sqlite_workspace: Workspace) -> Workspace:
    (sqlite_workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    (sqlite_workspace.directory / "pyproject.toml").write_text(PROJECT)
    return sqlite_workspace


def test_sweep_without_a_target_sweeps_all_of_the_project(project: Workspace) -> None:
    ran = project.run("sweep", "--json")
    assert ran.code == ExitCode.PROMISE_BROKEN
    first, second = ran.document["sweeps"]
    assert (first["verdicts"]["BROKEN"], first["verdicts"]["KEPT"]) == (1, 7)
    assert (second["crash_points"], second["verdicts"]["KEPT"]) == (8, 2)
    assert "shop.py:checkout" in project.run("sweeps").out


def test_named_target_is_swept_from_any_directory_below(project: Workspace) -> None:
    below = project.directory / "deep" / "below"
    below.mkdir(parents=True)
    ran = replace(project, directory=below).run("sweep", "second-step", "--json")
    assert (ran.code, ran.document["trials"]) == (ExitCode.DONE, 2)
    shown = project.run("points", "checkout")
    assert "8 crash points" in shown.out
    assert "shop.py:checkout --args '[\"order-1\"]' --downtime 60 --promise" in shown.err
    assert "replay" not in shown.err


def test_flag_beats_the_file(project: Workspace) -> None:
    ran = project.run("replay", "after:checkout-1/step-1", "checkout", "--args", '["x"]', "--json")
    (start,) = [
        event
        for event in ran.document["observation"]["processes"][0]["events"]
        if event["kind"] == "step-started"
    ]
    assert start["arguments"][0]["text"] == "'x'"
    # Also a flag with the default value.
    line = ("replay", "before:checkout-1/step-1", "checkout")
    assert "--downtime 60" in project.run(*line).out
    assert "--downtime" not in project.run(*line, "--downtime", "3600").out


def test_environment_beats_the_file(project: Workspace) -> None:
    text = f'{PROJECT}python = "no/such/python"\n'
    (project.directory / "pyproject.toml").write_text(text)
    refused = project.run("points", "second-step")
    assert refused.code == ExitCode.REFUSED
    assert "no/such/python" in refused.err
    environ = {**project.environ, "RESUMECTL_PYTHON": "/also/missing"}
    other = replace(project, environ=environ).run("points", "second-step")
    assert "/also/missing (from RESUMECTL_PYTHON)" in other.err


def test_options_of_the_publisher_mean_the_publisher(project: Workspace) -> None:
    ran = project.run("points", "--count", "1")
    assert ran.code == ExitCode.DONE
    assert "delivered" in ran.out


def test_command_of_one_target_asks_for_a_name(project: Workspace) -> None:
    ran = project.run("points")
    assert ran.code == ExitCode.REFUSED
    assert ran.err == (
        "error: the project names several targets: checkout, second-step\nnext:  name one of them\n"
    )


MISTAKES = {
    'only = "nothing*"': (
        'no transition of the baseline matches only = "nothing*"; the nearest are',
        "next:  resumectl points shop.py:checkout",
    ),
    'promises = { chage = "exactly-once" }': (
        "unknown promise target 'chage'",
        'next:  promises = { "NAME" = "PROMISE" }, with charge',
    ),
    'observe = "shop.py:look"': ("shop.py has no look", "next:  correct the name in  observe"),
    'prepare = "exit 3"': ('prepare = "exit 3" ended with status 3', "next:  run it by hand"),
    'args = ["one", "two"]': ("the arguments do not fit checkout", "next:  as in  args = "),
}


@pytest.mark.parametrize("line", MISTAKES)
def test_mistake_that_only_a_run_can_find_is_shown_with_its_line(
    project: Workspace, line: str
) -> None:
    what, next_step = MISTAKES[line]
    args = "" if line.startswith("args") else 'args = ["one"]'
    text = f'[tool.resumectl.targets.one]\ntarget = "shop.py:checkout"\n{line}\n{args}\n'
    (project.directory / "pyproject.toml").write_text(text)
    refused = project.run("sweep")
    assert refused.code == ExitCode.REFUSED
    assert f"error: pyproject.toml:3: {what}" in refused.err
    assert next_step in refused.err


def test_mistake_that_the_user_typed_is_in_no_file(project: Workspace) -> None:
    refused = project.run("sweep", "checkout", "--only", "nothing*")
    assert "error: no transition of the baseline matches --only 'nothing*'" in refused.err


@pytest.mark.slow
def test_function_that_observes_needs_no_scenario(project: Workspace) -> None:
    (project.directory / "observed.py").write_text(OBSERVED_PROGRAM)
    (project.directory / "pyproject.toml").write_text(OBSERVED)
    ran = project.run("sweep", "checkout", "--json")
    assert ran.code == ExitCode.PROMISE_BROKEN
    (finding,) = ran.document["findings"]
    assert "order-1order-1" in finding["evidence"]
    again = project.run(
        "replay", "before:checkout-1/step-1", "observed.py:checkout", "--args", '["order-1"]',
        "--observe", "observed.py:payments",
    )  # fmt: skip
    assert again.code == ExitCode.PROMISE_BROKEN


INIT_PROGRAM = """
import sys
from dataclasses import dataclass
from dbos import DBOS

if "resumectl.probe.fork_server" not in " ".join(sys.orig_argv):
    raise SystemExit("init imports the program")

@dataclass
class Order:
    id: str
    amount: int

@DBOS.step()
def charge(order):
    return order.amount

@DBOS.workflow()
def checkout(order: Order, note: str):
    return charge(order)

def main():
    DBOS.register_queue("mails")
"""


def test_init_writes_a_table_that_can_be_swept(sqlite_workspace: Workspace) -> None:
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(INIT_PROGRAM)
    (workspace.directory / "pyproject.toml").write_text('[project]\nname = "shop"')
    ran = workspace.ok("init")
    assert ran.out == (
        "checkout: shop.py:checkout (line 19)\n1 target in pyproject.toml; edit the lines that are marked with  # edit\n"
    )
    assert ran.err == "next:  edit its args, then  resumectl sweep checkout\n"
    assert (workspace.directory / "pyproject.toml").read_text() == (
        '[project]\nname = "shop"\n\n'
        "# `resumectl sweep` kills each of these targets at every durable write.\n"
        "[tool.resumectl]\n"
        "after-launch = \"shop.py:main\"  # for  DBOS.register_queue('mails')  (shop.py:23)\n"
        "\n"
        "[tool.resumectl.targets.checkout]\n"
        'target = "shop.py:checkout"  # workflow in line 19\n'
        'args = [{ id = "…", amount = 1 }, "…"]  # edit: order: Order, note: str\n'
        '# promises = { charge = "exactly-once" }  # its steps: charge\n'
    )
    refused = workspace.run("points", "checkout")
    assert refused.code == ExitCode.REFUSED
    assert "pyproject.toml:10: args still has the text … that stands for a value" in refused.err
    text = (workspace.directory / "pyproject.toml").read_text()
    (workspace.directory / "pyproject.toml").write_text(text.replace("…", "order-1"))
    assert workspace.run("points", "checkout").code == ExitCode.DONE
    again = workspace.run("init")
    assert (again.code, again.out) == (ExitCode.REFUSED, "")


def test_init_refuses_a_directory_without_a_workflow(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.run("init", "--json")
    assert ran.code == ExitCode.REFUSED
    assert "no workflow was found in 0 Python files below" in ran.document["error"]
    assert not (sqlite_workspace.directory / "pyproject.toml").exists()


def test_init_keeps_what_is_there_byte_by_byte(sqlite_workspace: Workspace) -> None:
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    before = b'[project]\r\nname = "shop"\r\n'
    (workspace.directory / "pyproject.toml").write_bytes(before)
    workspace.ok("init")
    after = (workspace.directory / "pyproject.toml").read_bytes()
    assert after.startswith(before + b"\r\n# `resumectl sweep`")
    assert after.count(b"\n") == after.count(b"\r\n")


@pytest.mark.parametrize(
    ("before", "what", "next_step"),
    [
        (
            "tool = {ruff = {}}\n",
            "with a table [tool.resumectl] at its end is not TOML",
            "correct it",
        ),
        ("[project\n", "with a table [tool.resumectl] at its end is not TOML", "correct it"),
        ("\ufeff[project]\n", "it begins with a byte order mark", "save it as UTF-8 without one"),
    ],
)
def test_init_leaves_a_file_alone_that_the_table_would_break(
    sqlite_workspace: Workspace, before: str, what: str, next_step: str
) -> None:
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    file = workspace.directory / "pyproject.toml"
    file.write_text(before)
    ran = workspace.run("init")
    assert ran.code == ExitCode.REFUSED
    assert what in ran.err
    assert next_step in ran.err
    assert file.read_text() == before


def test_init_reads_only_files(sqlite_workspace: Workspace) -> None:
    """A pipe would let it wait for ever."""
    workspace = sqlite_workspace
    os.mkfifo(workspace.directory / "pipe.py")
    (workspace.directory / "endless.py").symlink_to("/dev/zero")
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    ran = workspace.ok("init")
    for name in ("pipe.py", "endless.py"):
        assert f"not read: {name}: it is not a file" in ran.err


def test_option_that_is_typed_stands_for_one_that_nobody_has_written(
    sqlite_workspace: Workspace,
) -> None:
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    assert "next:  edit its args, then  resumectl sweep checkout" in workspace.ok("init").err
    for target in ("shop.py:checkout", "checkout"):
        workspace.ok("points", target, "--args", '["order-1"]')


def test_project_without_a_target_is_refused(project: Workspace) -> None:
    (project.directory / "pyproject.toml").write_text("[tool.resumectl.targets]\n")
    ran = project.run("sweep")
    assert ran.code == ExitCode.REFUSED
    assert "names no target in it" in ran.err
    assert "next:  add  [tool.resumectl.targets.checkout]  with  target = " in ran.err
