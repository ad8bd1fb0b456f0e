"""Workers on one queue: one killed, one frozen, and the others finish the work."""

import os
import signal
from contextlib import ExitStack
from typing import Any

import pytest
from conftest import DEADLINE_S, MOSTLY_POSTGRES, MOSTLY_SQLITE, Workspace, seconds, wait_for
from running_worker import status, worker


def processes(workspace: Workspace) -> dict[int, str]:
    """Process id to executor id, of every process."""
    rows = workspace.rows("SELECT pid, executor_id FROM processes")
    return {int(pid): str(executor) for pid, executor in rows}


def delivered(workspace: Workspace) -> int:
    return int(workspace.rows("SELECT count(*) FROM deliveries")[0][0])


def by_pid(workspace: Workspace, pid: int) -> int:
    sql = f"SELECT count(*) FROM deliveries d JOIN processes l ON l.id = d.process_id WHERE l.pid = {pid}"
    return int(workspace.rows(sql)[0][0])


def totals(workspace: Workspace) -> Any:
    return workspace.document("state")["totals"]


@MOSTLY_SQLITE
def test_a_worker_serves_what_was_detached_and_ends_in_order(workspace: Workspace) -> None:
    workspace.ok("publish", "--count", "5", "--detach")
    with worker(workspace) as process:
        wait_for("five deliveries", lambda: status(workspace, "alpha-1") == "SUCCESS")
        process.send_signal(signal.SIGTERM)
        assert process.wait(DEADLINE_S) == 0
    (process,) = workspace.document("state")["publishers"][0]["counters"]["processes"]
    assert process["ended"] == "interrupted"
    assert totals(workspace)["delivered"] == 5


@pytest.mark.slow
@MOSTLY_POSTGRES
def test_each_worker_holds_an_executor_id_of_its_own(workspace: Workspace) -> None:
    with ExitStack() as stack:
        workers = [stack.enter_context(worker(workspace)) for _ in range(3)]
        held = processes(workspace)
    assert sorted(held[w.pid] for w in workers) == ["local", "local-2", "local-3"]


@pytest.mark.slow
def test_an_executor_id_that_is_held_is_refused(workspace: Workspace) -> None:
    with worker(workspace, "--executor", "mine"):
        refused = workspace.run("worker", "--executor", "mine")
    assert refused.code == 2
    assert "mine is held by a running process" in refused.err


def freeze(workspace: Workspace, pid: int, held: str) -> bool:
    """Stop a process; let it go on if it holds no work at this instant."""
    os.kill(pid, signal.SIGSTOP)
    if workspace.rows(held):
        return True
    os.kill(pid, signal.SIGCONT)
    return False


@pytest.mark.slow
@pytest.mark.parametrize(
    "guarantee", ["exactly-once", pytest.param("at-most-once", marks=pytest.mark.long)]
)
def test_a_killed_worker_is_replaced_and_a_frozen_one_is_left_alone(
    postgres_workspace: Workspace, guarantee: str
) -> None:
    workspace = postgres_workspace
    count = 90
    options = ("--count", str(count), "--delay", seconds(0.3), "--guarantee", guarantee)
    workspace.ok("migrate")
    with ExitStack() as stack:
        a, b, c = (stack.enter_context(worker(workspace, "--adopt-every", "0.3")) for _ in range(3))
        # Once all three are there: the first would have done it all before the third has begun.
        workspace.ok("publish", *options, "--concurrency", "3", "--detach")
        wait_for("all three deliver", lambda: all(by_pid(workspace, w.pid) for w in (a, b, c)))
        frozen = processes(workspace)[b.pid]
        held_by_frozen = (
            "SELECT workflow_uuid FROM workflow_status WHERE status = 'PENDING'"
            f" AND executor_id = '{frozen}' AND workflow_uuid LIKE 'alpha-1-%'"
        )
        wait_for("it is frozen with work in hand", lambda: freeze(workspace, b.pid, held_by_frozen))
        held = workspace.rows(held_by_frozen)
        os.kill(a.pid, signal.SIGKILL)
        a.wait(DEADLINE_S)
        # All but what the frozen one holds: nobody touches that, for it is running. It may have
        # been stopped in the middle of claiming more: these are ENQUEUED still, under the id of
        # no matter who enqueued them, with their rows locked on the server.
        wait_for(
            "the others finish",
            lambda: (
                workspace.rows(
                    "SELECT count(*) FROM workflow_status WHERE status NOT IN ('SUCCESS', 'ENQUEUED')"
                    f" AND executor_id <> '{frozen}' AND name = 'Publisher.deliver_message'"
                )
                == [(0,)]
                and workspace.rows(
                    "SELECT workflow_uuid FROM workflow_status WHERE status = 'ENQUEUED'"
                    " FOR UPDATE SKIP LOCKED"
                )
                == []
            ),
        )
        assert workspace.rows(held_by_frozen) == held
        os.kill(b.pid, signal.SIGCONT)
        wait_for("the batch ends", lambda: status(workspace, "alpha-1") == "SUCCESS")
        (found,) = workspace.document("state", "--check")["publishers"][0]["batches"]
    assert found["repeated"] == 0
    if guarantee == "exactly-once":
        assert found["delivered"] == count
