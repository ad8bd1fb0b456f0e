"""The examples do what their READMEs show: each command is run, and each line of its output is found."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest
from conftest import CHECKOUT, DEADLINE_S, command_server

EXAMPLES = [path.parent.name for path in sorted((CHECKOUT / "examples").glob("*/README.md"))]


def sessions(example: str) -> list[tuple[str, list[str]]]:
    """Return each command of a README, with the lines that it prints."""
    text = (CHECKOUT / "examples" / example / "README.md").read_text()
    found = []
    for block in re.findall(r"```console\n(.*?)```", text, flags=re.DOTALL):
        command, *lines = block.splitlines()
        assert command.startswith("$ "), command
        found.append((command[2:], lines))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("example", EXAMPLES)
def test_commands_of_an_example_print_what_its_readme_shows(
    example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = tmp_path / example
    skipped = shutil.ignore_patterns("__pycache__", ".resumectl", "*.sqlite")
    shutil.copytree(CHECKOUT / "examples" / example, directory, ignore=skipped)
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "RESUMECTL_DATABASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLUMNS", "200")
    assert sessions(example)
    for command, lines in sessions(example):
        module, *arguments = shlex.split(command)
        process = command_server().start(
            arguments, module=module, directory=directory, environ=os.environ
        )
        out, err = process.communicate(timeout=DEADLINE_S)
        printed = re.sub(r"\s+", " ", out)
        for line in lines:
            assert re.sub(r"\s+", " ", line) in printed, f"{command}\n{out}\n{err}"
