"""The real `dbos` command beside resumectl: same directory, same database, same workflows."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import CHECKOUT, DEADLINE_S, MOSTLY_POSTGRES, MOSTLY_SQLITE, Workspace

from resumectl.database import open_engine
from resumectl.publishing.store.dbos_tables import has_dbos_tables
from resumectl.publishing.store.migration import ensure_migrated, is_migrated
from resumectl.settings import CONFIG_FILE_NAME, URL_VARIABLES

COMMANDS = Path(sys.executable).parent  # where `dbos` and `resumectl` are installed
# More than any test here makes; the dbos command shows ten unless told.
EVERYTHING = ["--limit", "1000"]


def prepared(workspace: Workspace) -> Workspace:
    """With the configuration file of this checkout, and the commands on the path."""
    shutil.copy(CHECKOUT / CONFIG_FILE_NAME, workspace.directory)
    path = f"{COMMANDS}{os.pathsep}{workspace.environ['PATH']}"
    return replace(workspace, environ={**workspace.environ, "PATH": path})


@pytest.fixture
def workspace_on_sqlite(sqlite_workspace: Workspace) -> Workspace:
    """No variable names a database: the file falls back to SQLite."""
    assert not set(URL_VARIABLES) & set(sqlite_workspace.environ)
    return prepared(sqlite_workspace)


@pytest.fixture
def workspace_on_postgres(postgres_workspace: Workspace) -> Workspace:
    """The variable that the file fills in names a database on PostgreSQL."""
    assert URL_VARIABLES[0] in postgres_workspace.environ
    return prepared(postgres_workspace)


@pytest.fixture(params=["sqlite", "postgres"])
def workspace(request: pytest.FixtureRequest) -> Workspace:
    """Once on each."""
    found: Workspace = request.getfixturevalue(f"workspace_on_{request.param}")
    return found


def start_dbos(
    workspace: Workspace, *arguments: str, environ: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start the dbos command as a process of its own."""
    return subprocess.Popen(
        [COMMANDS / "dbos", *arguments],
        cwd=workspace.directory,
        env=workspace.environ if environ is None else environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def dbos(workspace: Workspace, *arguments: str, environ: Mapping[str, str] | None = None) -> str:
    """Run the dbos command to its end, which must be a good one."""
    process = start_dbos(workspace, *arguments, environ=environ)
    out, _ = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 0, out
    return out


def seen_by_dbos(
    workspace: Workspace, *arguments: str, environ: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Workflow ids and their statuses, as the dbos command shows them."""
    out = dbos(workspace, "workflow", "list", *EVERYTHING, *arguments, environ=environ)
    # Its one document is the last line; warnings may come before.
    return {w["workflow_id"]: w["status"] for w in json.loads(out.splitlines()[-1])}


def seen_by_resumectl(workspace: Workspace) -> dict[str, str]:
    """Workflow ids and their statuses, as resumectl shows them."""
    document = workspace.document("list-workflows", *EVERYTHING)
    return {w["id"]: w["status"] for w in document["workflows"]}


@pytest.mark.slow
@MOSTLY_SQLITE
def test_a_batch_that_is_cancelled_without_its_messages_is_unfinished_until_they_are_delivered(
    workspace: Workspace,
) -> None:
    workspace.ok("crash-after", "2", "--count", "6", "--concurrency", "2")
    dbos(workspace, "workflow", "cancel", "alpha-1")
    left = workspace.document("state", "--check")
    assert left["verdict"].startswith("unfinished: 2 of 6 delivered")
    coming = left["totals"]["pending"]
    assert coming > 0
    resumed = workspace.document("resume")
    # The batch itself is taken up by its id alone.
    assert "alpha-1" not in {w["id"] for w in resumed["workflows"]}
    assert {w["after"] for w in resumed["workflows"]} == {"SUCCESS"}
    assert resumed["verdict"].startswith("kept: ")
    (found,) = workspace.document("state", "--check")["publishers"][0]["batches"]
    assert (found["status"], found["delivered"]) == ("CANCELLED", 2 + coming)
    assert (found["pending"], found["unfinished"], found["repeated"]) == (0, 0, 0)


@pytest.mark.slow
@MOSTLY_SQLITE
def test_both_show_the_same_workflows_with_the_same_statuses(workspace: Workspace) -> None:
    workspace.ok("publish", "--name", "alpha", "--count", "12")
    workspace.ok("crash-after", "1", "--name", "beta", "--count", "2")
    workspace.ok("publish", "--name", "gamma", "--count", "2", "--detach")
    expected = seen_by_resumectl(workspace)
    assert len(expected) == 13 + 3 + 1
    assert set(expected.values()) == {"SUCCESS", "PENDING", "ENQUEUED"}
    assert seen_by_dbos(workspace) == expected
    # The URL on its command line, in a directory and an environment that name none.
    (workspace.directory / CONFIG_FILE_NAME).unlink()
    bare = {k: v for k, v in workspace.environ.items() if k not in URL_VARIABLES}
    assert seen_by_dbos(workspace, "-s", workspace.url, environ=bare) == expected


def test_dbos_migrate_makes_all_tables_of_a_fresh_database(workspace: Workspace) -> None:
    engine = open_engine(workspace.settings)
    with engine.connect() as connection:
        assert not is_migrated(connection)
        assert not has_dbos_tables(connection, workspace.settings)
    dbos(workspace, "migrate")
    with engine.connect() as connection:
        assert is_migrated(connection)
        assert has_dbos_tables(connection, workspace.settings)
    engine.dispose()


def test_a_failure_of_resumectl_is_one_of_dbos_migrate_and_dbos_start(
    workspace_on_sqlite: Workspace,
) -> None:
    workspace = workspace_on_sqlite
    engine = open_engine(workspace.settings)
    ensure_migrated(workspace.settings, engine)
    engine.dispose()
    workspace.execute("UPDATE resumectl_version SET version_num = '9999'")
    for arguments, code in (("migrate", 1), ("start", 2)):
        process = start_dbos(workspace, arguments)
        out, _ = process.communicate(timeout=DEADLINE_S)
        assert process.returncode == code, out
        assert "newer resumectl" in out


@pytest.fixture
def started(workspace: Workspace) -> Iterator[subprocess.Popen[str]]:
    """`dbos start`, and nothing of it is left afterwards."""
    process = start_dbos(workspace, "start")
    yield process
    assert process.stdout
    if process.stdout.closed:  # read to its end: see below
        return
    process.terminate()
    # The worker is in a process group of its own, to which only dbos passes signals on.
    for row in _processes(workspace):
        if row["ended"] == "running":
            os.kill(row["pid"], signal.SIGKILL)
    process.communicate()


def _processes(workspace: Workspace) -> list[dict[str, Any]]:
    publishers = workspace.document("state")["publishers"]
    return [process for publisher in publishers for process in publisher["counters"]["processes"]]


@pytest.mark.slow
@MOSTLY_POSTGRES
def test_dbos_start_serves_the_queue_until_sigterm(
    workspace: Workspace, started: subprocess.Popen[str]
) -> None:
    workspace.ok("publish", "--count", "5", "--detach")
    deadline = time.monotonic() + DEADLINE_S
    while (totals := workspace.document("state")["totals"])["pending"]:
        assert time.monotonic() < deadline, totals
        assert started.poll() is None, started.communicate()
    assert totals["delivered"] == 5
    (process,) = _processes(workspace)
    assert process["ended"] == "running"
    started.send_signal(signal.SIGTERM)
    # dbos itself does not wait for the worker, but the worker holds the other end of this
    # pipe: it reads to the end once both have ended.
    out, _ = started.communicate(timeout=DEADLINE_S)
    assert "ended in order" in out
    (process,) = _processes(workspace)
    assert process["ended"] not in ("running", "killed")
