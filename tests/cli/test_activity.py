"""From the first moment on a command says on a terminal what it is doing; elsewhere nothing."""

import os
import pty
import re
import subprocess
import sys
import time

import pytest
from conftest import Workspace

from resumectl.errors import ExitCode

SHOP = """
from dbos import DBOS

@DBOS.workflow()
def checkout():
    return 1
"""


def seen_on_a_terminal(workspace: Workspace, *arguments: str) -> str:
    """What a command writes to standard error where that is a terminal."""
    reader, writer = pty.openpty()
    process = workspace.start(*arguments, stderr=writer, stdout=subprocess.DEVNULL)
    os.close(writer)
    parts = []
    while True:
        try:
            part = os.read(reader, 1 << 16)
        except OSError:  # how a terminal says that nobody holds its other end any longer
            break
        parts.append(part)
    os.close(reader)
    assert process.wait() == ExitCode.DONE
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", b"".join(parts).decode())


@pytest.mark.slow
def test_what_is_done_is_said_on_a_terminal_in_its_order(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(SHOP)
    text = seen_on_a_terminal(sqlite_workspace, "sweep", "shop.py:checkout", "--prepare", "true")
    said = [
        "starting",
        "running --prepare 'true'",
        "importing shop.py:checkout",
        "baseline 2 of 2",
        "4/4",
    ]
    places = [text.find(each) for each in said]
    assert -1 not in places, text
    assert places == sorted(places)


@pytest.mark.slow
def test_nothing_of_it_is_said_elsewhere(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(SHOP)
    assert sqlite_workspace.ok("sweep", "shop.py:checkout").err == ""


@pytest.mark.slow
def test_time_of_a_sweep_is_counted_from_the_start_of_its_command(
    sqlite_workspace: Workspace,
) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(SHOP)
    began = time.monotonic()
    found = sqlite_workspace.document("sweep", "shop.py:checkout")
    waited = time.monotonic() - began
    assert found["seconds"] < found["wall_seconds"] <= waited + 0.02  # the kernel's clock ticks
    # Another command does not know how long somebody has waited.
    assert sqlite_workspace.document("check", "1")["wall_seconds"] is None


def test_seconds_since_start_begin_with_the_process() -> None:
    began = time.monotonic()
    line = "from resumectl.elapsed import seconds_since_start as s; print(s())"
    ran = subprocess.run([sys.executable, "-c", line], check=True, capture_output=True, text=True)
    assert 0 < float(ran.stdout) <= time.monotonic() - began + 0.02
