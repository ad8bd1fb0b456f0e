"""Run commands that look, or are refused, inside the test's own process: a tenth of a process's time."""

import contextlib
import io
from typing import Any

import pytest
from conftest import Ran, Workspace

from resumectl.cli import app
from resumectl.errors import ExitCode


def look(workspace: Workspace, *arguments: str) -> Ran:
    """Run a command that looks, or is refused, in this process: a tenth of one of its own."""
    with (
        contextlib.chdir(workspace.directory),
        contextlib.redirect_stdout(io.StringIO()) as out,
        contextlib.redirect_stderr(io.StringIO()) as err,
        pytest.MonkeyPatch.context() as patched,
    ):
        patched.setenv("COLUMNS", workspace.environ["COLUMNS"])
        code = app([*arguments, "--db-url", workspace.url], standalone_mode=False)
    return Ran(code, out.getvalue(), err.getvalue())


def seen(workspace: Workspace, *arguments: str) -> Any:
    """The JSON document of a command that only looks."""
    ran = look(workspace, *arguments, "--json")
    assert ran.code == ExitCode.DONE, ran
    return ran.document


def listed(workspace: Workspace, *options: str) -> list[Any]:
    """The ids that `list-workflows` lists, in its order."""
    return [w["id"] for w in seen(workspace, "list-workflows", *options)["workflows"]]


def batch(document: Any, batch_id: str) -> Any:
    """One batch of a document as `state` prints it."""
    return next(b for p in document["publishers"] for b in p["batches"] if b["id"] == batch_id)
