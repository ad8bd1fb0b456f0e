"""Begin a sweep in a process that is killed in the middle of it."""

import signal
import subprocess
import sys

from conftest import Workspace

# Kills itself by SIGKILL as soon as a method of the store of its trials has been called so many times.
KILLED = """
import itertools, os, signal, sys
from resumectl.runner.trial_store import TrialStore

method, times = sys.argv.pop(1), int(sys.argv.pop(1))
original, calls = getattr(TrialStore, method), itertools.count(1)

def and_be_killed(*arguments):
    original(*arguments)
    if next(calls) == times:
        os.kill(os.getpid(), signal.SIGKILL)

setattr(TrialStore, method, and_be_killed)

from resumectl.cli import main
main()
"""


def kill_sweep_after(workspace: Workspace, method: str, times: int, *arguments: str) -> None:
    """Run a sweep that is killed when this method of `TrialStore` has returned so many times."""
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, method, str(times), "sweep", *arguments],
        cwd=workspace.directory,
        env=workspace.environ,
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed
