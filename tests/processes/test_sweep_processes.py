"""Sweeps as processes: killed, interrupted, shared and on a server; and what they leave behind."""

import json
import os
import select
import signal
import socket
import sqlite3
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from conftest import DEADLINE_S, Workspace, swept, wait_for
from killed_sweep import kill_sweep_after
from running_processes import is_there, processes_below
from sqlalchemy.exc import SQLAlchemyError

from resumectl.errors import ExitCode
from resumectl.model.codec import to_json
from resumectl.model.orders import Preload
from resumectl.runner.fork_server_client import FORK_SERVER_MODULE
from resumectl.storage.postgres import conninfo


def sandboxes_directory(processes: set[int]) -> Path:
    """The directory of all sandboxes, as the fork server was told it."""
    for pid in processes:
        with suppress(OSError):  # a process of a trial, which has ended meanwhile
            arguments = Path(f"/proc/{pid}/cmdline").read_text().split("\0")
            if "resumectl.probe.fork_server" in arguments:
                return Path(arguments[-3])
    raise AssertionError(processes)


# Which of them it is killed at decides what its fork servers are in the middle of.
@pytest.mark.slow
@pytest.mark.parametrize(
    "trials", [0, 1, *(pytest.param(n, marks=pytest.mark.long) for n in (3, 5, 8, 13, 21))]
)
def test_a_killed_sweep_leaves_no_process_no_directory_and_no_word(
    sqlite_workspace: Workspace, trials: int
) -> None:
    """A word of its fork servers would come after the prompt of the shell."""
    sweep = sqlite_workspace.start_interpreter("sweep", "--count", "5")
    wait_for("two fork servers, and a process", lambda: len(processes_below(sweep.pid)) > 2)
    wait_for_trials(sqlite_workspace, trials)
    below = processes_below(sweep.pid)
    own = sandboxes_directory(below)
    os.kill(sweep.pid, signal.SIGKILL)
    # Ends when the last process that has inherited it is gone.
    out, err = sweep.communicate(timeout=DEADLINE_S)
    assert (out, err) == ("", "")
    wait_for("nothing left", lambda: not own.exists() and not any(map(is_there, below)))


def test_a_fork_server_ends_quietly_where_nobody_read_its_answer(tmp_path: Path) -> None:
    """The kernel then resets the connection, rather than closing it."""
    root = tmp_path / "root"
    root.mkdir()
    ours, theirs = socket.socketpair()
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", FORK_SERVER_MODULE, str(theirs.fileno()), str(root), "fork"],
            pass_fds=(theirs.fileno(),),
            stderr=subprocess.PIPE,
            text=True,
        )
    ours.sendall(to_json(Preload(1, (), {})).encode() + b"\n")
    assert select.select([ours], [], [], DEADLINE_S)[0]
    ours.close()
    _, err = server.communicate(timeout=DEADLINE_S)
    assert (server.returncode, err) == (0, "")
    assert not root.exists()


@pytest.mark.slow
def test_a_sweep_ends_with_its_reader(sqlite_workspace: Workspace) -> None:
    """As where a CI job is cancelled: nobody reads, and its threads are not to outlive it."""
    sweep = sqlite_workspace.start_interpreter("sweep", "--count", "5", "--json")
    assert sweep.stdout is not None
    assert sweep.stderr is not None
    wait_for_trials(sqlite_workspace, 1)
    sweep.stdout.close()
    sweep.stderr.close()
    sweep.send_signal(signal.SIGTERM)
    assert sweep.wait(DEADLINE_S) == ExitCode.INTERRUPTED


def trials_kept(workspace: Workspace) -> int:
    """How many trials are stored so far."""
    try:
        ((count,),) = workspace.rows("SELECT count(*) FROM trials WHERE ended_at_ms IS NOT NULL")
    except SQLAlchemyError:
        return 0  # there is no table yet
    return int(count)


def wait_for_trials(workspace: Workspace, number: int) -> None:
    wait_for(f"{number} trials", lambda: trials_kept(workspace) >= number)


_POINTS = 28  # of two messages, at least once


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "killed_at"),
    [
        ("sqlite", 20),
        ("postgres", 1),
        pytest.param("sqlite", 1, marks=pytest.mark.long),
        pytest.param("postgres", 20, marks=pytest.mark.long),
    ],
)
def test_a_killed_sweep_is_finished_by_resume(
    request: pytest.FixtureRequest, kind: str, killed_at: int
) -> None:
    workspace: Workspace = request.getfixturevalue(f"{kind}_workspace")
    kill_sweep_after(workspace, "keep", killed_at, "--count", "2", "--guarantee", "at-least-once")
    before = workspace.rows("SELECT number, ended_at_ms FROM trials WHERE ended_at_ms IS NOT NULL")
    assert killed_at <= len(before) < _POINTS
    (listed,) = workspace.document("list-workflows", "--limit", "100", "--name", "Sweep.run")[
        "workflows"
    ]
    assert listed["id"] == "sweep:1"
    assert listed["status"] in ("PENDING", "ENQUEUED")

    (found,) = workspace.document("resume")["sweeps"]
    assert found["verdicts"] == {"KEPT": _POINTS, "BROKEN": 0, "UNSTABLE": 0, "VOID": 0}
    assert found["trials"] == found["reached"] == found["crash_points"] == _POINTS
    # None was lost, none counted twice, and what was there was not run again.
    after = workspace.rows("SELECT number, ended_at_ms FROM trials")
    assert len(after) == len(set(after)) == _POINTS
    assert set(before) <= set(after)
    assert workspace.document("check", "1")["verdicts"] == found["verdicts"]
    assert workspace.document("resume")["workflows"] == []


@pytest.mark.slow
def test_a_worker_takes_trials_of_a_sweep(postgres_workspace: Workspace) -> None:
    worker = postgres_workspace.start("worker")
    assert worker.stderr is not None
    assert "serving" in worker.stderr.readline()
    # Five groups, where a process takes three at a time: what is left is the other's.
    sweep = postgres_workspace.start(
        "sweep", "--count", "1", "--only", "*/step-1", "--repeat", "20", "--jobs", "1", "--json"
    )
    out, err = sweep.communicate(timeout=DEADLINE_S)
    worker.terminate()
    worker.communicate(timeout=DEADLINE_S)
    assert sweep.returncode == ExitCode.DONE, err
    found = json.loads(out)
    assert found["crash_points"] > found["reached"] == 4
    assert found["verdicts"] == {"KEPT": 80, "BROKEN": 0, "UNSTABLE": 0, "VOID": 0}
    executors = postgres_workspace.rows(
        "SELECT DISTINCT executor_id FROM workflow_status WHERE name = 'Sweep.trials'"
    )
    assert set(executors) == {("sweep",), ("local",)}


@pytest.mark.slow
def test_an_interrupted_sweep_ends_in_order_and_says_how_to_go_on(
    sqlite_workspace: Workspace,
) -> None:
    sweep = sqlite_workspace.start_interpreter("sweep", "--count", "1")
    wait_for_trials(sqlite_workspace, 3)
    sweep.send_signal(signal.SIGINT)
    _, err = sweep.communicate(timeout=DEADLINE_S)
    assert sweep.returncode == ExitCode.INTERRUPTED
    assert "resumectl resume sweep:1  finishes it" in err
    assert "Traceback" not in err
    ((pending,),) = sqlite_workspace.rows(
        "SELECT count(*) FROM workflow_status WHERE status = 'PENDING'"
    )
    assert pending == 0
    # It may also be given up, and taken up again by its id.
    sqlite_workspace.ok("cancel", "sweep:1")
    assert sqlite_workspace.document("resume")["workflows"] == []
    sqlite_workspace.ok("publish", "--count", "1")  # which takes no trials
    sqlite_workspace.ok("resume", "sweep:1")
    (kept,) = sqlite_workspace.document("sweeps")["sweeps"]
    assert kept["trials"] == kept["planned"] == kept["verdicts"]["KEPT"]


CHECKOUT = """
from dbos import DBOS

@DBOS.workflow()
def checkout():
    return "paid"
"""


@pytest.mark.slow
def test_a_sweep_goes_on_only_with_the_program_that_it_began_with(
    sqlite_workspace: Workspace,
) -> None:
    workspace = sqlite_workspace
    program = workspace.directory / "shop.py"
    program.write_text(CHECKOUT)
    kill_sweep_after(workspace, "keep", 1, "shop.py:checkout")
    before = trials_kept(workspace)

    def refuse(told: str) -> None:
        refused = workspace.run("resume")
        assert refused.code == ExitCode.NOTHING_PROVED, refused
        assert told in refused.err
        assert "put it back as it was" in refused.err
        assert "Traceback" not in refused.err
        assert trials_kept(workspace) == before

    program.unlink()
    refuse("there is no file")
    program.write_text(CHECKOUT + "# edited\n")
    refuse("changed")
    program.write_text(CHECKOUT)
    (found,) = workspace.document("resume")["sweeps"]
    assert found["verdicts"] == {"KEPT": 4, "BROKEN": 0, "UNSTABLE": 0, "VOID": 0}


# What it says is another thing from the third run on, crash or no crash.
PROGRAM_THAT_CHANGES = """
from pathlib import Path
from dbos import DBOS

runs = Path(__file__).with_name("runs")

@DBOS.step()
def look():
    with runs.open("a") as file:
        file.write(".")
    return "usual" if runs.stat().st_size <= 2 else "other"

@DBOS.workflow()
def checkout():
    return look()
"""


@pytest.mark.slow
def test_a_sweep_that_is_killed_while_it_judges_again_is_judged_whole(
    sqlite_workspace: Workspace,
) -> None:
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(PROGRAM_THAT_CHANGES)
    kill_sweep_after(workspace, "judge_again", 1, "shop.py:checkout")
    verdicts = [
        verdict for (verdict,) in workspace.rows("SELECT verdict FROM trials ORDER BY number")
    ]
    # One is judged again by now, and two are not. The others said so before they were killed.
    assert verdicts == ["KEPT", "BROKEN", "BROKEN", "KEPT", "KEPT", "KEPT"]
    (found,) = workspace.document("resume")["sweeps"]
    assert found["verdicts"] == {"KEPT": len(verdicts), "BROKEN": 0, "UNSTABLE": 0, "VOID": 0}
    assert workspace.document("check", "1")["verdicts"] == found["verdicts"]


@pytest.mark.slow
def test_a_file_that_is_edited_meanwhile_proves_nothing_from_then_on(
    sqlite_workspace: Workspace,
) -> None:
    program = sqlite_workspace.directory / "shop.py"
    program.write_text(CHECKOUT)
    sweep = sqlite_workspace.start("sweep", "shop.py:checkout", "--repeat", "16", "--json")
    wait_for_trials(sqlite_workspace, 1)
    # At once, as an editor does: a process that reads a half-written file sees another mistake.
    edited = program.with_name("edited")
    edited.write_text(CHECKOUT.replace("paid", "sent"))
    edited.replace(program)
    out, err = sweep.communicate(timeout=DEADLINE_S)
    assert sweep.returncode == ExitCode.NOTHING_PROVED, err
    found = json.loads(out)
    assert found["verdicts"]["KEPT"] > 0
    assert found["verdicts"]["BROKEN"] == 0  # though the result is another one
    assert all("start a new sweep" in each["why"] for each in found["void"])


@pytest.mark.long
def test_two_sweeps_at_once_do_not_meet(sqlite_workspace: Workspace) -> None:
    workspace = sqlite_workspace
    both = [workspace.start("sweep", "--count", "1", "--json") for _ in range(2)]
    said = [json.loads(each.communicate(timeout=DEADLINE_S)[0]) for each in both]
    assert {each["sweep"] for each in said} == {1, 2}
    for each in said:
        assert each["verdicts"]["KEPT"] == each["trials"] == each["crash_points"]


def sandbox_databases(workspace: Workspace, prefix: str = "resumectl_sandbox_") -> set[str]:
    return {n for (n,) in workspace.rows("SELECT datname FROM pg_database") if n.startswith(prefix)}


@pytest.mark.slow
def test_trials_on_a_server_leave_no_database_behind(postgres_workspace: Workspace) -> None:
    workspace = postgres_workspace
    others = sandbox_databases(workspace)
    found = swept(
        workspace, "--on", "postgres", "--count", "2", "--guarantee", "at-least-once", "--keep",
        "--promise", "delivery=exactly-once", "--only", "alpha-1-*/step-1", code=ExitCode.PROMISE_BROKEN,
    )  # fmt: skip
    assert found["verdicts"]["BROKEN"] > 0
    assert found["crash_points"] > found["reached"] == 4
    kept = list((workspace.directory / ".resumectl/kept").iterdir())
    assert len(kept) == found["verdicts"]["BROKEN"]
    names = {
        (each / "DATABASE").read_text().strip().partition("?")[0].rpartition("/")[2]
        for each in kept
    }
    assert names == sandbox_databases(workspace, "resumectl_kept_")
    with psycopg.connect(conninfo(workspace.url), autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name}".encode())
    # A killed one neither.
    run_before = trials_kept(workspace)
    sweep = workspace.start_interpreter("sweep", "--on", "postgres", "--count", "2")
    wait_for_trials(workspace, run_before + 1)
    below = processes_below(sweep.pid)
    assert sandbox_databases(workspace) - others
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    wait_for(
        "nothing left",
        lambda: not sandbox_databases(workspace) - others and not any(map(is_there, below)),
    )


@pytest.mark.long
def test_trials_on_a_server_of_their_own(sqlite_workspace: Workspace) -> None:
    found = swept(sqlite_workspace, "--on", "postgres", "--count", "1", "--only", "alpha-1-1/*")
    assert found["verdicts"]["KEPT"] == found["trials"] == found["reached"] > 5
    sweep = sqlite_workspace.start_interpreter("sweep", "--on", "postgres", "--count", "2")
    wait_for_trials(sqlite_workspace, found["trials"] + 1)
    below = processes_below(sweep.pid)
    own = sandboxes_directory(below)
    server = int((own / "server" / "postmaster.pid").read_text().split()[0])
    assert is_there(server)
    os.kill(sweep.pid, signal.SIGKILL)
    sweep.communicate()
    wait_for("nothing left", lambda: not own.exists() and not any(map(is_there, {*below, server})))


@pytest.mark.long
def test_a_copy_whose_tables_are_its_own_is_not_used_again(postgres_workspace: Workspace) -> None:
    (postgres_workspace.directory / "tables.py").write_text(
        "import os, sqlalchemy as sa\n"
        "from dbos import DBOS\n"
        "engine = sa.create_engine(os.environ['APP'].replace('postgresql:', 'postgresql+psycopg:'))\n"
        "with engine.begin() as c:\n"
        "    c.execute(sa.text('CREATE TABLE IF NOT EXISTS orders (id text)'))\n"
        "@DBOS.step()\n"
        "def order():\n"
        "    with engine.begin() as c:\n"
        "        c.execute(sa.text(\"INSERT INTO orders VALUES ('a')\"))\n"
        "        return c.scalar(sa.text('SELECT count(*) FROM orders'))\n"
        "@DBOS.workflow()\n"
        "def checkout():\n"
        "    return order()\n"
    )
    ran = postgres_workspace.run(
        "sweep", "tables.py:checkout", "--env", "APP={database_url}", "--on", "postgres", "--json"
    )
    (repeated,) = [
        each for each in ran.document["exposures"] if each["subject"].startswith("order,")
    ]
    assert repeated["note"] == "answered 2 after the crash; baseline: 1"


@pytest.mark.long
def test_a_fresh_interpreter_for_each_process_comes_out_the_same(
    sqlite_workspace: Workspace,
) -> None:
    found = swept(sqlite_workspace, "--count", "1", "--isolation", "spawn", "--only", "*/step-1")
    assert found["verdicts"]["KEPT"] == found["trials"] == found["reached"] == 4


@pytest.mark.long
def test_only_trials_that_are_not_kept_leave_their_place(sqlite_workspace: Workspace) -> None:
    workspace = sqlite_workspace
    swept(workspace, "--count", "1", "--keep", "--only", "alpha-1-1/*")
    assert not (workspace.directory / ".resumectl/kept").exists()
    ran = workspace.run(
        "replay", "after:alpha-1-1/delivered", "--count", "1", "--guarantee", "at-least-once",
        "--promise", "delivery=exactly-once", "--keep",
    )  # fmt: skip
    assert ran.code == ExitCode.PROMISE_BROKEN
    (kept,) = (workspace.directory / ".resumectl/kept").iterdir()
    url = (kept / "DATABASE").read_text().strip()
    with sqlite3.connect(url.removeprefix("sqlite:///")) as database:
        assert database.execute("SELECT count(*) FROM deliveries").fetchone() == (2,)


PROGRAM_WITHOUT_SPACE = """
import resource
from pathlib import Path
from dbos import DBOS

if Path(".process-2").exists() and not Path(__file__).with_name("space").exists():
    # As on a full disk: no file may grow.
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, resource.RLIM_INFINITY))

@DBOS.workflow()
def checkout():
    return 1
"""


@pytest.mark.slow
def test_a_full_disk_under_the_trials_is_no_finding(sqlite_workspace: Workspace) -> None:
    shop = sqlite_workspace.directory / "shop.py"
    shop.write_text(PROGRAM_WITHOUT_SPACE)
    ran = sqlite_workspace.run("sweep", "shop.py:checkout")
    assert ran.code == ExitCode.MACHINE_FAILED, ran
    assert "the disk under a trial is full" in ran.err
    assert "Traceback" not in ran.err
    assert trials_kept(sqlite_workspace) == 0
    # Once there is space, the same sweep goes on.
    (sqlite_workspace.directory / "space").touch()
    (found,) = sqlite_workspace.document("resume")["sweeps"]
    assert found["verdicts"]["KEPT"] == found["trials"] == found["crash_points"] > 3
