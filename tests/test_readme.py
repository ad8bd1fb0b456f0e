"""The README is true: its session, its commands, its library example, its generated parts."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import CHECKOUT, DEADLINE_S, Ran, Workspace, swept

sys.path.insert(0, str(CHECKOUT / "docs"))
import make_readme

README = (CHECKOUT / "README.md").read_text()


def shape(text: str) -> set[str]:
    """Its lines, without what differs from run to run: numbers, times, and who was first."""
    # DBOS hashes its own version with the sources of the workflows.
    text = re.sub(r"\b[0-9a-f]{32}\b", "N", text)
    text = re.sub(r"SUCCESS|PENDING|ENQUEUED", "STATUS", text)
    text = re.sub(r"[0-9]+|·", "N", text)
    text = re.sub(r"N(?:[-.: ]+N)*", "N", text)
    return {re.sub(r"[\s─]+", " ", line).strip() for line in text.splitlines()}


@pytest.mark.parametrize("name", ["session", "experiment"])
def test_a_session_prints_what_the_readme_shows(name: str) -> None:
    assert shape(make_readme.PARTS[name]()) == shape(make_readme.part(README, name))


@pytest.mark.parametrize("name", ["exit-codes", "layout"])
def test_what_is_generated_is_up_to_date(name: str) -> None:
    assert make_readme.part(README, name) == make_readme.PARTS[name](), (
        "run  python docs/make_readme.py"
    )


def test_every_command_of_the_readme_can_be_typed_in_its_order(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "messages.txt").write_text('first\n{"second": 2}\n')
    after_session = README.partition("<!-- /session -->")[2]
    after_session = after_session.replace(make_readme.part(README, "experiment"), "")
    blocks = re.findall(r"```console\n(.*?)```", after_session, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) > 20
    for line in lines:
        prompt, command, *arguments = line.split()
        assert (prompt, command) == ("$", "resumectl")
        ran = sqlite_workspace.run(*arguments)
        assert ran.code == 0, f"{line}: {ran}"


def test_the_library_example_prints_what_it_says(sqlite_workspace: Workspace) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (code,) = [each for each in blocks if "def checkout" not in each and "checkout," not in each]
    script = sqlite_workspace.directory / "my_program.py"
    script.write_text(code)
    ran = run_python(sqlite_workspace, script)
    assert ran.code == 0, ran
    assert ran.out == "{'messages': 2, 'failed': []}\n"


def test_the_scenario_of_the_readme_is_swept(sqlite_workspace: Workspace) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README, flags=re.DOTALL)
    (scenario,) = [each for each in blocks if "Scenario(" in each]
    (sqlite_workspace.directory / "shop.py").write_text(f"{make_readme.shop()}\n{scenario}")
    found = swept(sqlite_workspace, "shop.py:paying")
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 8


def run_python(workspace: Workspace, script: Path) -> Ran:
    """Run a script as a user would, beside the database."""
    ended = subprocess.run(
        [sys.executable, script],
        cwd=workspace.directory,
        env=workspace.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def test_every_option_and_command_that_the_readme_names_exists(sqlite_workspace: Workspace) -> None:
    named = set(re.findall(r"(?:^\$ |&& |`)resumectl ([a-z-]+)", README, flags=re.MULTILINE))
    assert {"publish", "crash-after", "resume", "worker", "doctor"} <= named
    helped = sqlite_workspace.ok("--help").out
    assert {name for name in named if f" {name} " not in helped} == set()
    names = ("publish", "state", "worker", "sweep", "replay")
    pages = [sqlite_workspace.ok(name, "--help").out for name in names]
    for option in set(re.findall(r"`(--[a-z-]+)", README)):
        assert any(option in page for page in pages), option
