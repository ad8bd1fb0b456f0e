"""`sweep --watch` sweeps a program again each time that one of its files changes."""

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import DEADLINE_S, Workspace

from resumectl.errors import ExitCode

PROGRAM = """
from dbos import DBOS
import mails

@DBOS.step()
def pack(order):
    return order

@DBOS.workflow()
def sell(order):
    mails.{call}(order)
    return pack(order)
"""
MAILS = """
from dbos import DBOS
from resumectl import effect

def send(order):
    effect("mail", order)

send_in_a_step = DBOS.step()(send)
"""
PROJECT = """
[tool.resumectl.targets.sell]
target = "shop.py:sell"
args = ["order-1"]

[tool.resumectl.targets.other]
target = "other.py:rest"
"""
OTHER = """
from dbos import DBOS

@DBOS.workflow()
def rest():
    return 1
"""


class Watching:
    """A running `sweep --watch`, with the lines that it prints."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.process = process
        self._descriptor = process.stdout.fileno()
        self._selector = selectors.DefaultSelector()
        self._selector.register(self._descriptor, selectors.EVENT_READ)

    def until_it_waits(self) -> str:
        """Return what it prints until it waits for the next change."""
        printed = b""
        deadline = time.monotonic() + DEADLINE_S
        while not printed.endswith(b"Ctrl-C ends\n"):
            assert self._selector.select(deadline - time.monotonic()), printed.decode()
            part = os.read(self._descriptor, 1 << 16)
            assert part, printed.decode()
            printed += part
        return printed.decode()

    def interrupt(self) -> int:
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(DEADLINE_S)


@pytest.fixture
def project(sqlite_workspace: Workspace) -> Path:
    directory = sqlite_workspace.directory
    files = {
        "pyproject.toml": PROJECT,
        "shop.py": PROGRAM.format(call="send"),
        "mails.py": MAILS,
        "other.py": OTHER,
    }
    for name, text in files.items():
        (directory / name).write_text(text)
    return directory


@contextmanager
def watching(workspace: Workspace, *options: str) -> Iterator[Watching]:
    # Of its own: another process of the test server ignores SIGINT.
    with workspace.start_interpreter(
        "sweep", *options, "--watch", stderr=subprocess.STDOUT
    ) as process:
        try:
            yield Watching(process)
        finally:
            process.kill()


@pytest.mark.slow
def test_changed_program_is_swept_again(project: Path, sqlite_workspace: Workspace) -> None:
    with watching(sqlite_workspace) as running:
        first = running.until_it_waits()
        assert "of shop.py:sell" in first
        assert "of other.py:rest" in first
        assert first.endswith("watching 3 files: a change sweeps again, Ctrl-C ends\n")

        (project / "shop.py").write_text(PROGRAM.format(call="send_in_a_step"))
        corrected = running.until_it_waits()
        assert corrected.startswith("changed: shop.py\n")
        assert "KEPT: every promise held" in corrected
        assert "other.py:rest" not in corrected

        (project / "mails.py").write_text("def send(:\n")
        refused = running.until_it_waits()
        assert "error: mails.py:1 is not valid Python" in refused
        (project / "mails.py").write_text(MAILS)
        assert "KEPT: every promise held" in running.until_it_waits()

        (project / "shop.py").write_text(PROGRAM.format(call="send"))
        assert "BROKEN" in running.until_it_waits()
        assert running.interrupt() == ExitCode.PROMISE_BROKEN


@pytest.mark.slow
def test_program_that_cannot_be_imported_at_first_is_swept_when_it_is_corrected(
    project: Path, sqlite_workspace: Workspace
) -> None:
    (project / "mails.py").unlink()
    with watching(sqlite_workspace, "sell") as running:
        assert "error: shop.py:3 imports mails" in running.until_it_waits()
        (project / "shop.py").write_text(PROGRAM.format(call="send_in_a_step"))
        assert "error: shop.py:3 imports mails" in running.until_it_waits()
        (project / "mails.py").write_text(MAILS)
        assert "KEPT: every promise held" in running.until_it_waits()
        assert running.interrupt() == ExitCode.DONE


def test_watch_and_json_are_refused_together(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.run("sweep", "--watch", "--json")
    assert ran.code == ExitCode.REFUSED
    assert ran.err.endswith("next:  leave out one of them\n")
