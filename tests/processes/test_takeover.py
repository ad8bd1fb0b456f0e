"""Whose work is whose, and what is taken over when a process is killed."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest
from command_server import Forked
from conftest import DEADLINE_S, MOSTLY_POSTGRES, MOSTLY_SQLITE, Workspace, wait_for

from resumectl.database import open_engine
from resumectl.errors import ExitCode
from resumectl.publishing.store import batches
from resumectl.publishing.store.processes import RESET, executor_locks
from resumectl.publishing.store.state import Guarantee

MESSAGES = 30
SLOWLY = ("--count", str(MESSAGES), "--delay", "1", "--concurrency", "2")


Publishing = Callable[..., Forked]


@pytest.fixture
def publishing(workspace: Workspace) -> Publishing:
    """Start a process that publishes slowly; its batch is under way, as those of earlier ones."""
    workspace.ok("migrate")

    def start(name: str, *options: str) -> Forked:
        # However long this one takes to start, the earlier ones are still at it afterwards; its
        # own concurrency lets them go on.
        pace(workspace, 0)
        delivered = "SELECT count(*) FROM deliveries"
        ((before,),) = workspace.rows(delivered)
        process = workspace.start("publish", "--name", name, *SLOWLY, *options)
        # Not its first delivery: the queue serves first what came first, of whichever publisher.
        running = (
            f"SELECT 1 FROM workflow_status WHERE workflow_uuid = '{name}-1' AND status = 'PENDING'"
        )
        wait_for(f"{name} runs", lambda: workspace.rows(running) == [(1,)])
        wait_for("deliveries", lambda: workspace.rows(delivered)[0][0] > before)
        return process

    return start


def pace(workspace: Workspace, concurrency: int) -> None:
    """So many messages at work at a time in each process, from its next look at the queue on."""
    workspace.execute(
        f"UPDATE queues SET worker_concurrency = {concurrency} WHERE name = 'publisher_queue'"
    )


def faster(workspace: Workspace) -> None:
    """More messages at work at a time."""
    pace(workspace, 16)


def counts(workspace: Workspace, name: str) -> tuple[int, int]:
    """Deliveries and distinct messages of a publisher, by hand."""
    sql = (
        "SELECT count(*), count(DISTINCT batch_id || '/' || message_number)"
        f" FROM deliveries WHERE publisher = '{name}'"
    )
    ((deliveries, distinct),) = workspace.rows(sql)
    return int(deliveries), int(distinct)


@pytest.mark.slow
@pytest.mark.parametrize(
    "guarantee", ["exactly-once", pytest.param("at-least-once", marks=pytest.mark.long)]
)
def test_two_processes_publish_at_once_and_one_is_killed(
    workspace: Workspace, publishing: Publishing, guarantee: str
) -> None:
    options = ("--guarantee", guarantee)
    alpha = publishing("alpha", *options)
    beta = publishing("beta", *options)
    alpha.kill()
    alpha.wait()
    faster(workspace)
    # Started while beta is running: it takes what alpha left, and nothing of beta's.
    resumed = workspace.run("resume")
    assert resumed.code == 0, resumed
    _, err = beta.communicate(timeout=DEADLINE_S)
    assert beta.returncode == 0, err
    state = workspace.document("state", "--check")
    assert {b["status"] for p in state["publishers"] for b in p["batches"]} == {"SUCCESS"}
    assert state["totals"]["delivered"] == 2 * MESSAGES
    # The killed one's messages may come again, at most as many as were at work in it.
    assert state["totals"]["repeated"] <= (0 if guarantee == "exactly-once" else 2)
    assert counts(workspace, "beta")[1] == MESSAGES


@pytest.mark.slow
@MOSTLY_POSTGRES
def test_work_of_a_running_process_is_left_alone_and_reported(
    workspace: Workspace, publishing: Publishing
) -> None:
    alpha = publishing("alpha")
    os.kill(alpha.pid, signal.SIGSTOP)  # running, and not about to end meanwhile
    try:
        resumed = workspace.run("resume", "--json")
        assert resumed.code == 0
        assert resumed.document["workflows"] == []
        assert {b["reason"] for b in resumed.document["blocked"]} == {
            "of the running executor local"
        }
        assert "left alone: alpha-1" in workspace.ok("resume").out
    finally:
        os.kill(alpha.pid, signal.SIGCONT)
    faster(workspace)
    alpha.communicate(timeout=DEADLINE_S)
    assert counts(workspace, "alpha") == (MESSAGES, MESSAGES)


@pytest.mark.long
def test_many_batches_at_once_do_not_wait_for_each_other_in_vain(
    sqlite_workspace: Workspace,
) -> None:
    """Their writers all wait for one lock, and its holder needs one connection more."""
    sqlite_workspace.ok("migrate")
    engine = open_engine(sqlite_workspace.settings)
    with engine.begin() as connection:
        for _ in range(60):
            batches.create(
                connection,
                publisher="alpha",
                guarantee=Guarantee.EXACTLY_ONCE,
                bodies=batches.generated(10),
            )
    engine.dispose()
    # They were written down, and their process was killed before it started them.
    assert "locked" not in sqlite_workspace.ok("resume").err
    assert sqlite_workspace.document("state", "--check")["totals"]["delivered"] == 600


@pytest.mark.slow
@MOSTLY_POSTGRES
def test_work_of_several_dead_executors_is_taken_over_in_one_resume(
    workspace: Workspace, publishing: Publishing
) -> None:
    processes = [publishing(name) for name in ("alpha", "beta", "gamma")]
    for process in processes:
        process.kill()
        process.communicate()
    faster(workspace)
    held = {executor for (executor,) in workspace.rows("SELECT executor_id FROM processes")}
    assert held == {"local", "local-2", "local-3"}
    workspace.ok("resume")
    assert workspace.document("state", "--check")["totals"]["delivered"] == 3 * MESSAGES
    assert counts(workspace, "alpha") == (MESSAGES, MESSAGES)


@pytest.mark.slow
@MOSTLY_POSTGRES
def test_an_interrupted_publish_ends_in_order_and_repeats_nothing(
    workspace: Workspace, publishing: Publishing
) -> None:
    """Ctrl-C lets what is under way reach its checkpoint, even where it could be repeated."""
    process = publishing("alpha", "--guarantee", "at-least-once")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130, err
    assert "next:  resumectl resume" in err
    assert "Traceback" not in err
    (process,) = workspace.document("state")["publishers"][0]["counters"]["processes"]
    assert process["ended"] == "interrupted"
    before = counts(workspace, "alpha")[0]
    assert before < MESSAGES
    faster(workspace)
    workspace.ok("resume")
    assert counts(workspace, "alpha") == (MESSAGES, MESSAGES)


# Is interrupted at a random moment, so many times, as it begins to ask one short thing after another.
INTERRUPTED_AT_RANDOM = """
import os, random, signal, threading, time
import sqlalchemy as sa
from resumectl.database import open_engine
from resumectl.settings import Settings

engine = open_engine(Settings.resolve())
begun = False

def interrupt():
    global begun
    while True:
        time.sleep(random.uniform(0.0005, 0.0015))
        if begun:
            os.kill(os.getpid(), signal.SIGINT)
            begun = False

threading.Thread(target=interrupt, daemon=True).start()
for _ in range(300):
    try:
        begun = True
        with engine.connect() as connection:
            while True:
                connection.scalar(sa.select(1))
    except KeyboardInterrupt:
        # A connection that has lasted: the next one is this, and asked first whether it is there.
        with engine.connect() as connection:
            connection.scalar(sa.select(1))
print("each was told as what it is")
"""


def test_an_interrupt_is_told_as_one_in_whatever_query_it_comes(
    postgres_workspace: Workspace,
) -> None:
    told = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_RANDOM],
        env=postgres_workspace.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    assert told.stdout == "each was told as what it is\n", told.stderr


@MOSTLY_SQLITE
def test_work_of_another_version_is_left_alone_until_that_version_comes(
    workspace: Workspace,
) -> None:
    workspace.ok("crash-after", "3", "--app-version", "old")
    left = workspace.document("resume")
    assert left["workflows"] == []
    assert {b["reason"] for b in left["blocked"]} == {"of application version old"}
    assert "resumectl resume --app-version old" in workspace.ok("resume").out
    workspace.ok("resume", "--app-version", "old")
    assert workspace.document("state", "--check")["totals"]["delivered"] == 20


@pytest.mark.slow
def test_a_batch_whose_process_was_killed_before_its_start_is_started_by_the_next(
    workspace: Workspace,
) -> None:
    workspace.ok("migrate")
    engine = open_engine(workspace.settings)
    with engine.begin() as connection:
        batches.create(
            connection, publisher="alpha", guarantee="exactly-once", bodies=batches.generated(3)
        )
    engine.dispose()
    (batch,) = workspace.document("state")["publishers"][0]["batches"]
    assert (batch["status"], batch["pending"]) == ("NOT_STARTED", 3)
    workspace.ok("resume")
    (batch,) = workspace.document("state", "--check")["publishers"][0]["batches"]
    assert (batch["status"], batch["delivered"]) == ("SUCCESS", 3)


@pytest.mark.slow
@MOSTLY_SQLITE
def test_a_waiting_publisher_takes_over_what_a_killed_process_had_claimed(
    workspace: Workspace, publishing: Publishing
) -> None:
    """Two share the queue, so the killed one holds messages of the running one's batch."""
    alpha = publishing("alpha")
    beta = publishing("beta")
    beta_s_messages = (
        "SELECT count(*) > 0 FROM workflow_status w JOIN processes l ON l.executor_id = w.executor_id"
        f" WHERE w.status = 'PENDING' AND w.parent_workflow_id = 'beta-1' AND l.pid = {alpha.pid}"
    )
    faster(workspace)
    wait_for("alpha holds messages of beta", lambda: workspace.rows(beta_s_messages)[0][0])
    alpha.kill()
    alpha.communicate()
    _, err = beta.communicate(timeout=DEADLINE_S)
    assert beta.returncode == 0, err
    assert counts(workspace, "beta") == (MESSAGES, MESSAGES)


@pytest.mark.slow
def test_a_lock_is_released_by_the_end_of_its_process_and_by_nothing_else(
    workspace: Workspace,
) -> None:
    locks = executor_locks(workspace.settings)
    workspace.ok("publish", "--count", "1")  # makes the database
    assert locks.held().is_empty
    worker = workspace.start("worker")
    assert worker.stderr is not None
    assert "serving as" in worker.stderr.readline()
    assert "local" in locks.held()
    assert "local-2" not in locks.held()
    assert not locks.acquire("local")
    os.kill(worker.pid, signal.SIGSTOP)
    assert "local" in locks.held()
    os.kill(worker.pid, signal.SIGKILL)
    worker.communicate()
    wait_for("the lock is released", lambda: locks.held().is_empty)
    assert locks.acquire("local")
    assert locks.holds("local")
    locks.close()
    assert not locks.holds("local")


def test_looking_takes_no_lock(sqlite_workspace: Workspace, tmp_path: Path) -> None:
    assert tmp_path in sqlite_workspace.directory.parents
    before = sorted(p.name for p in sqlite_workspace.directory.iterdir())
    assert "nothing has been published yet" in sqlite_workspace.ok("state").out
    assert sorted(p.name for p in sqlite_workspace.directory.iterdir()) == before


def test_a_worker_that_lost_its_lock_ends(postgres_workspace: Workspace) -> None:
    """Its work may be taken by others from then on, so it must not go on."""
    worker = postgres_workspace.start("worker")
    assert worker.stderr is not None
    assert "serving as" in worker.stderr.readline()
    postgres_workspace.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
        " AND objsubid = 1 AND database = (SELECT oid FROM pg_database"
        " WHERE datname = current_database())"
        " AND pid IN (SELECT pid FROM pg_stat_activity WHERE application_name = 'resumectl')"
    )
    _, err = worker.communicate(timeout=DEADLINE_S)
    assert worker.returncode == 4
    assert "has lost the lock on its executor id" in err


@pytest.mark.slow
def test_nothing_is_deleted_under_a_process_that_begins_and_none_begins_meanwhile(
    workspace: Workspace,
) -> None:
    workspace.ok("publish", "--count", "1")
    with closing(executor_locks(workspace.settings)) as locks:
        assert locks.acquire("local")  # as a process does, ahead of anything else
        for command in (("reset", "--yes"), ("crash-after", "1", "--count", "1")):
            refused = workspace.run(*command)
            assert refused.code == ExitCode.REFUSED
            assert "another process uses the database" in refused.err
        locks.release("local")
        assert locks.acquire(RESET)
        refused = workspace.run("publish", "--count", "1")
        assert refused.code == ExitCode.REFUSED
        assert "the database is being reset" in refused.err
        locks.release(RESET)
        workspace.ok("reset", "--yes")


def test_what_another_application_locks_is_nobody_of_ours(postgres_workspace: Workspace) -> None:
    url = postgres_workspace.settings.url.set(drivername="postgresql")
    with (
        psycopg.connect(url.render_as_string(hide_password=False)) as connection,
        closing(executor_locks(postgres_workspace.settings)) as locks,
    ):
        connection.execute("SELECT pg_advisory_lock(4711), pg_advisory_lock(47, 11)")
        assert locks.held().is_empty
        assert locks.acquire("local")
        locks.set_process("local", 3)
        assert locks.held().process("local") == 3
