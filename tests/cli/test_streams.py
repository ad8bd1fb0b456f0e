"""What a command does where nobody reads it, or where there is nothing to write to."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import DEADLINE_S, Ran, Workspace

from resumectl.cli import streams
from resumectl.errors import ExitCode


def run_unread(workspace: Workspace, *arguments: str) -> Ran:
    """Run a command whose standard output is a pipe that nobody reads, as after `| head`."""
    reader, writer = os.pipe()
    os.close(reader)
    process = workspace.start_interpreter(*arguments, stdout=writer)
    os.close(writer)
    _, err = process.communicate(timeout=DEADLINE_S)
    return Ran(process.returncode, "", err)


@pytest.mark.slow
def test_the_exit_code_is_the_same_where_nobody_reads(sqlite_workspace: Workspace) -> None:
    workspace = sqlite_workspace
    workspace.ok("publish", "--count", "3")
    for arguments in (
        ("steps", "alpha-1"), ("state", "--json"), ("--help",), ("--version",), ("doctor",),
        ("list-workflows",),
    ):  # fmt: skip
        ran = run_unread(workspace, *arguments)
        assert (ran.code, ran.err) == (ExitCode.DONE, ""), arguments
    assert run_unread(workspace, "steps", "nobody").code == ExitCode.REFUSED
    workspace.execute("DELETE FROM deliveries WHERE message_number = 2")
    assert run_unread(workspace, "state", "--check").code == ExitCode.PROMISE_BROKEN


@pytest.mark.slow
def test_a_long_output_is_cut_off_quietly(sqlite_workspace: Workspace) -> None:
    """Longer than the buffer of a pipe: it is written while the reader is already gone."""
    sqlite_workspace.ok("publish", "--count", "2")
    sqlite_workspace.execute("UPDATE workflow_status SET name = hex(zeroblob(200000))")
    process = sqlite_workspace.start_interpreter("list-workflows")
    assert process.stdout is not None
    process.stdout.read(1)
    process.stdout.close()
    assert process.stderr is not None
    assert process.stderr.read() == ""
    assert process.wait(DEADLINE_S) == ExitCode.DONE


@pytest.mark.parametrize(
    "closed",
    [
        (0, 1, 2),
        pytest.param((1,), marks=pytest.mark.long),
        pytest.param((2,), marks=pytest.mark.long),
    ],
)
def test_closed_streams_are_no_failure_and_no_database_takes_their_place(
    sqlite_workspace: Workspace, closed: tuple[int, ...]
) -> None:
    workspace = sqlite_workspace
    redirected = " ".join(f"{descriptor}>&-" for descriptor in closed)
    shown = subprocess.run(
        ["sh", "-c", f'exec "$0" -m resumectl publish --count 2 {redirected}', sys.executable],
        cwd=workspace.directory,
        env=workspace.environ,
        capture_output=True,
        check=False,
    )
    assert shown.returncode == ExitCode.DONE, shown
    assert workspace.document("state")["totals"]["delivered"] == 2
    assert workspace.rows("PRAGMA integrity_check") == [("ok",)]


def test_a_full_disk_behind_standard_output_is_told(sqlite_workspace: Workspace) -> None:
    for arguments in (("--help",), ("--version",), ("state",), ("state", "--json")):
        with open("/dev/full", "w") as full:  # noqa: PTH123 (a device)
            process = sqlite_workspace.start_interpreter(*arguments, stdout=full)
            _, err = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == ExitCode.MACHINE_FAILED
        assert len(err.splitlines()) == 2
        assert "next:  " in err


def test_a_message_on_a_terminal_breaks_no_word(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "sweep 5 is unfinished, and none of its trials is lost at-least-once"
    assert streams.folded(text) == [text]
    monkeypatch.setenv("COLUMNS", "30")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    lines = streams.folded(text)
    assert max(map(len, lines)) <= 30
    assert " ".join(lines) == text
    long = "x" * 40
    assert streams.folded(long) == [long]


# Presses Ctrl-C as soon as a module is imported.
INTERRUPTED_AT = """
import os, signal, sys

module = sys.argv.pop(1)

def interrupt(event, args):
    if event == "import" and args[0] == module:
        os.kill(os.getpid(), signal.SIGINT)

sys.addaudithook(interrupt)
from resumectl.__main__ import main
main()
"""


@pytest.mark.parametrize(
    ("module", "code"),
    [("typer", -signal.SIGINT), ("sqlalchemy", ExitCode.INTERRUPTED)],
)
def test_ctrl_c_while_a_command_starts_shows_no_traceback(
    sqlite_workspace: Workspace, module: str, code: int
) -> None:
    """As a shell sees it, both ends are those of an interrupted command."""
    ran = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT, module, "state"],
        cwd=sqlite_workspace.directory,
        env=sqlite_workspace.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran
    assert ran.stdout == ""
    assert "Traceback" not in ran.stderr
