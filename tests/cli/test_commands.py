"""What each command does, beyond the session that a newcomer types."""

import json
import subprocess
import sys
from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from conftest import DEADLINE_S, Ran, Workspace, seconds, wait_for
from in_process import batch, listed, look, seen
from running_worker import status, worker

from resumectl import __version__
from resumectl.errors import ExitCode
from resumectl.statuses import STATUSES
from resumectl.text import shell_word

pytestmark = pytest.mark.long


def refused(ran: Ran, what: str) -> None:
    assert ran.code == ExitCode.REFUSED, ran
    assert what in ran.err, ran
    assert "next:  " in ran.err


# ------------------------------------------------------------- what is loaded

LOADED = (
    "import sys; from resumectl.cli import app; sys.argv[1:] = sys.argv[1].split()\n"
    "try:\n    app()\n"
    "finally:\n    print('loaded', *sorted({m.partition('.')[0] for m in sys.modules}), file=sys.stderr)"
)


def loaded(workspace: Workspace, arguments: str) -> set[str]:
    """The packages that a command has imported when it ends."""
    ran = subprocess.run(
        [sys.executable, "-c", LOADED, arguments],
        cwd=workspace.directory,
        env=workspace.environ,
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = (line for line in ran.stderr.splitlines() if line.startswith("loaded "))
    return set(line.split())


def test_help_and_version_load_neither_dbos_nor_sqlalchemy(sqlite_workspace: Workspace) -> None:
    for arguments in ("--help", "--version", "publish --help"):
        found = loaded(sqlite_workspace, arguments)
        assert found.isdisjoint({"dbos", "sqlalchemy", "alembic", "psycopg"}), arguments
        assert "typer" in found
    assert sqlite_workspace.ok("--version").out == f"resumectl {__version__}\n"


def test_what_looks_does_not_load_dbos(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("publish", "--count", "1")
    for arguments in ("state --check", "list-workflows --tree", "steps alpha-1 --json"):
        found = loaded(sqlite_workspace, arguments)
        assert found.isdisjoint({"dbos", "alembic"}), arguments
        assert "sqlalchemy" in found


def test_every_command_and_every_exit_code_is_in_the_help(sqlite_workspace: Workspace) -> None:
    shown = sqlite_workspace.ok("--help").out
    for command in (
        "publish", "crash-after", "resume", "worker", "state", "list-workflows", "steps",
        "cancel", "fork", "doctor", "migrate", "reset",
    ):  # fmt: skip
        assert f"\n  {command} " in shown
    for code in ExitCode:
        assert f"{code.value}  {code.meaning}" in shown


# ------------------------------------------------------------- list-workflows


def publish_three_batches(workspace: Workspace) -> None:
    """Ten workflows of two publishers: alpha-1 and beta-1 have ended, beta-2 waits for a worker."""
    workspace.ok("publish", "--name", "alpha", "--count", "3")
    workspace.ok("publish", "--name", "beta", "--count", "4")
    workspace.ok("publish", "--name", "beta", "--count", "2", "--detach")


ALPHA = {"alpha-1", *(f"alpha-1-{n}" for n in (1, 2, 3))}
BETA = {"beta-1", *(f"beta-1-{n}" for n in (1, 2, 3, 4))}
ALL = ALPHA | BETA | {"beta-2"}


def test_workflows_are_found_by_what_is_asked_for_page_by_page(workspace: Workspace) -> None:
    publish_three_batches(workspace)
    assert set(listed(workspace, "--publisher", "alpha")) == ALPHA
    assert set(listed(workspace, "--publisher", "alph")) == set()
    assert set(listed(workspace, "--status", "SUCCESS")) == ALPHA | BETA
    assert set(listed(workspace, "--status", "enqueued")) == {"beta-2"}
    assert set(listed(workspace, "--name", "publish_batch")) == {"alpha-1", "beta-1", "beta-2"}
    assert set(listed(workspace, "--name", "publish%batch")) == set()
    both = ("--name", "deliver", "--publisher", "beta", "--status", "SUCCESS")
    assert set(listed(workspace, *both)) == BETA - {"beta-1"}
    for each in STATUSES:
        assert set(listed(workspace, "--status", each)) <= ALL
    whole = listed(workspace)
    assert len(whole) == len(ALL)
    assert set(whole) == ALL
    paged = []
    for offset in range(0, len(ALL) + 3, 3):
        paged += listed(workspace, "--limit", "3", "--offset", str(offset))
    assert paged == whole


def test_workflows_are_found_by_when_they_were_created_newest_first(
    sqlite_workspace: Workspace,
) -> None:
    workspace = sqlite_workspace
    publish_three_batches(workspace)
    old = (
        "UPDATE workflow_status SET created_at = created_at - {ms} WHERE workflow_uuid LIKE '{id}%'"
    )
    workspace.execute(old.format(ms=3 * 3600 * 1000, id="alpha-1"))
    workspace.execute(old.format(ms=26 * 3600 * 1000, id="beta-1"))
    assert set(listed(workspace, "--since", "1h")) == {"beta-2"}
    assert set(listed(workspace, "--since", "120m")) == {"beta-2"}
    assert set(listed(workspace, "--since", "4h")) == ALPHA | {"beta-2"}
    assert set(listed(workspace, "--since", "2d")) == ALL
    earlier = datetime.now().astimezone() - timedelta(hours=4)
    for text in (earlier.isoformat(), earlier.replace(tzinfo=None).isoformat(timespec="minutes")):
        assert set(listed(workspace, "--since", text)) == ALPHA | {"beta-2"}
    assert listed(workspace, "--since", "2100-01-01") == []
    assert listed(workspace)[0] == "beta-2"
    assert set(listed(workspace)[1:5]) == ALPHA
    created = [w["created"] for w in seen(workspace, "list-workflows")["workflows"]]
    assert created == sorted(created, reverse=True)


def test_the_next_page_is_of_the_same_question(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("publish", "--count", "4")
    question = ("--status", "SUCCESS", "--name", "deliver", "--limit", "3")
    said = look(sqlite_workspace, "list-workflows", *question).err
    (next_step,) = (line for line in said.splitlines() if line.startswith("next:  resumectl "))
    there = seen(sqlite_workspace, *next_step.removeprefix("next:  resumectl ").split())
    assert [w["id"] for w in there["workflows"]] == ["alpha-1-1"]
    # No page follows the last one, also when it is full.
    assert "next:" not in look(sqlite_workspace, "list-workflows", *question, "--offset", "1").err


def test_a_tree_has_children_under_their_parents(sqlite_workspace: Workspace) -> None:
    workspace = sqlite_workspace
    workspace.ok("publish", "--name", "alpha", "--count", "11")
    workspace.ok("publish", "--name", "beta", "--count", "2")
    lines = look(workspace, "list-workflows", "--tree").out.splitlines()
    ids = [line.split("  Publisher.")[0].rstrip() for line in lines if " Publisher." in line]
    for parent, count in (("alpha-1", 11), ("beta-1", 2)):
        at = ids.index(parent)
        below = ids[at + 1 : at + 1 + count]
        assert below == [f"  {parent}-{n}" for n in range(1, count + 1)]
    assert len(ids) == 15
    flat = look(workspace, "list-workflows").out
    assert "  alpha-1-1 " not in flat.replace("\n", "\n|")
    # The filters choose roots, and a root comes with everything below it.
    assert set(listed(workspace, "--tree", "--publisher", "beta")) == {
        "beta-1",
        "beta-1-1",
        "beta-1-2",
    }


# ------------------------------------------------------------- steps


def test_steps_name_the_process_that_executed_each(workspace: Workspace) -> None:
    workspace.ok("crash-after", "3", "--count", "5", "--concurrency", "1")
    before = seen(workspace, "steps", "alpha-1")
    assert before["workflow"]["status"] == "PENDING"
    assert [s["child"] for s in before["steps"][:5]] == [f"alpha-1-{n}" for n in range(1, 6)]
    assert {tuple(s["processes"]) for s in before["steps"]} == {(1,)}
    assert seen(workspace, "steps", "alpha-1-3")["steps"] == []  # delivered, not checkpointed
    workspace.ok("resume")
    after = seen(workspace, "steps", "alpha-1")
    assert after["workflow"]["status"] == "SUCCESS"
    recorded = len(before["steps"])
    assert after["steps"][:recorded] == before["steps"]
    assert {tuple(s["processes"]) for s in after["steps"][recorded:]} == {(2,)}
    assert len(after["steps"]) == 10  # each message enqueued, and awaited
    # Delivered in the first process; its step was recorded in the second.
    for message, process in ((1, 1), (2, 1), (4, 2), (5, 2)):
        (step,) = seen(workspace, "steps", f"alpha-1-{message}")["steps"]
        assert step["processes"] == [process], message
        assert step["failed"] is False
    shown = look(workspace, "steps", "alpha-1-5").out
    assert "alpha-1-5: SUCCESS, 1 step recorded" in shown
    assert " resume " in shown
    assert " crash-after " not in shown
    both = look(workspace, "steps", "alpha-1").out
    assert " resume " in both
    assert " crash-after " in both


# ------------------------------------------------------------- cancel and fork


def test_what_was_cancelled_is_resumed_by_its_id_and_delivered_whole(workspace: Workspace) -> None:
    workspace.ok("crash-after", "2", "--count", "6", "--concurrency", "2")
    cancelled = workspace.document("cancel", "alpha-1")
    assert [w["status"] for w in cancelled["workflows"]] == ["CANCELLED"]
    left = batch(seen(workspace, "state", "--check"), "alpha-1")
    assert left["status"] == "CANCELLED"
    assert left["missing"] == 4  # as a cancellation allows
    refused(look(workspace, "cancel", "alpha-1"), "alpha-1 has ended: CANCELLED")
    assert workspace.document("resume")["workflows"] == []  # not without its id
    resumed = workspace.document("resume", "alpha-1")
    assert {w["after"] for w in resumed["workflows"]} == {"SUCCESS"}
    found = batch(seen(workspace, "state", "--check"), "alpha-1")
    assert (found["status"], found["delivered"], found["repeated"]) == ("SUCCESS", 6, 0)
    assert set(listed(workspace, "--status", "SUCCESS")) == {
        "alpha-1",
        *(f"alpha-1-{n}" for n in range(1, 7)),
    }


def test_a_running_batch_is_cancelled_and_what_is_under_way_runs_to_its_end(
    sqlite_workspace: Workspace,
) -> None:
    workspace = sqlite_workspace
    workspace.ok("migrate")
    process = workspace.start(
        "publish", "--count", "30", "--delay", seconds(0.2), "--concurrency", "2"
    )
    wait_for("a delivery", lambda: workspace.rows("SELECT count(*) > 0 FROM deliveries") == [(1,)])
    workspace.ok("cancel", "alpha-1")
    out, err = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == ExitCode.DONE, (out, err)
    assert "CANCELLED" in out
    assert "Traceback" not in err
    assert set(listed(workspace, "--status", "PENDING")) == set()
    assert batch(seen(workspace, "state", "--check"), "alpha-1")["delivered"] < 30
    workspace.execute("UPDATE batches SET delay_s = 0")
    workspace.ok("resume", "alpha-1")
    assert batch(seen(workspace, "state", "--check"), "alpha-1")["delivered"] == 30


@pytest.mark.parametrize("from_step", [1, 2])
def test_a_fork_executes_again_from_the_step_that_it_is_told(
    workspace: Workspace, from_step: int
) -> None:
    workspace.ok("publish", "--count", "2", "--guarantee", "at-least-once")
    forked = workspace.document("fork", "alpha-1-2", "--from-step", str(from_step))
    (workflow,) = forked["workflows"]
    assert workflow["id"] == "alpha-1-2.fork1"
    assert workflow["status"] == "ENQUEUED"
    deliveries = "SELECT count(*) FROM deliveries WHERE message_number = 2"
    assert workspace.rows(deliveries) == [(1,)]
    workspace.ok("resume")
    assert status(workspace, "alpha-1-2.fork1") == "SUCCESS"
    # Its one step is the delivery: from 1 on it is made again, after it nothing is left to do.
    assert workspace.rows(deliveries) == [(2 if from_step == 1 else 1,)]
    assert len(seen(workspace, "steps", "alpha-1-2.fork1")["steps"]) == 1
    again = seen(workspace, "fork", "alpha-1-2", "--from-step", "1")["workflows"]
    assert [w["id"] for w in again] == ["alpha-1-2.fork2"]


def test_a_fork_of_a_batch_awaits_again_what_was_delivered(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("publish", "--count", "2")
    sqlite_workspace.ok("fork", "alpha-1", "--from-step", "3")
    resumed = sqlite_workspace.document("resume")
    assert [(w["id"], w["after"]) for w in resumed["workflows"]] == [("alpha-1.fork1", "SUCCESS")]
    assert seen(sqlite_workspace, "state", "--check")["totals"]["delivered"] == 2
    assert sqlite_workspace.rows("SELECT count(*) FROM deliveries") == [(2,)]


# ------------------------------------------------------------- resume


def test_nothing_to_resume_is_said_and_is_no_failure(workspace: Workspace) -> None:
    assert "nothing to resume" in workspace.ok("resume").out
    workspace.ok("publish", "--count", "1")
    assert "nothing to resume" in workspace.ok("resume").out
    named = workspace.ok("resume", "alpha-1")
    assert "nothing to resume" in named.out
    assert "alpha-1 has ended: SUCCESS" in named.err
    assert "next:  resumectl fork alpha-1" in named.err


def test_a_resume_waits_no_longer_than_it_is_told(sqlite_workspace: Workspace) -> None:
    slowly = ("--count", "4", "--delay", seconds(0.5), "--concurrency", "1")
    sqlite_workspace.ok("crash-after", "1", *slowly)
    ran = sqlite_workspace.run("resume", "--timeout", "0.1")
    assert ran.code == ExitCode.MACHINE_FAILED
    assert "error: not everything ended within 0.1 s" in ran.err
    assert "next:  resumectl resume" in ran.err
    left = batch(seen(sqlite_workspace, "state"), "alpha-1")
    assert left["pending"] > 0
    assert left["repeated"] == 0
    sqlite_workspace.ok("resume", "--timeout", str(DEADLINE_S))
    assert batch(seen(sqlite_workspace, "state", "--check"), "alpha-1")["delivered"] == 4


def test_a_resume_shows_what_was_replayed_and_what_was_executed(workspace: Workspace) -> None:
    workspace.ok(
        "crash-after", "2", "--count", "4", "--concurrency", "1", "--guarantee", "at-least-once"
    )
    document = workspace.document("resume")
    rows = {w["id"]: w for w in document["workflows"]}
    assert set(rows) == {"alpha-1", "alpha-1-2", "alpha-1-3", "alpha-1-4"}
    assert (rows["alpha-1"]["before"], rows["alpha-1"]["after"]) == ("PENDING", "SUCCESS")
    assert rows["alpha-1"]["replayed"] + rows["alpha-1"]["executed"] == 8
    assert rows["alpha-1"]["replayed"] >= 4
    assert [rows[f"alpha-1-{n}"]["repeated"] for n in (2, 3, 4)] == [1, 0, 0]
    assert all(rows[f"alpha-1-{n}"]["executed"] == 1 for n in (2, 3, 4))
    assert batch(document, "alpha-1")["repeated"] == 1


# ------------------------------------------------------------- publish


def test_the_same_id_again_starts_nothing_and_returns_what_was_recorded(
    workspace: Workspace,
) -> None:
    first = workspace.document("publish", "--count", "3", "--id", "mine")
    again = workspace.document("publish", "--count", "3", "--id", "mine")
    assert batch(again, "mine") == batch(first, "mine")
    assert workspace.rows("SELECT count(*) FROM deliveries") == [(3,)]
    assert workspace.rows("SELECT count(*) FROM processes") == [(1,)]
    for options, what in (
        (("--count", "3", "--name", "beta"), "name"),
        (("--count", "4"), "count"),
        (("--count", "3", "--guarantee", "idempotent"), "guarantee"),
        (("--from", "other.txt"), "messages"),
    ):
        (workspace.directory / "other.txt").write_text("message 1\nmessage 2\nanother 3\n")
        refused(look(workspace, "publish", "--id", "mine", *options), what)
    assert workspace.rows("SELECT count(*) FROM batches") == [(1,)]
    assert workspace.rows("SELECT name FROM publishers") == [("alpha",)]
    crash = look(workspace, "crash-after", "2", "--count", "3", "--id", "mine")
    refused(crash, "published before")


def test_the_same_id_again_finishes_what_was_left_of_it(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("crash-after", "2", "--count", "4", "--id", "mine")
    found = batch(sqlite_workspace.document("publish", "--count", "4", "--id", "mine"), "mine")
    assert (found["status"], found["delivered"], found["repeated"]) == ("SUCCESS", 4, 0)


def test_a_json_object_is_stored_as_one_and_any_other_line_as_text(workspace: Workspace) -> None:
    path = workspace.directory / "messages.txt"
    path.write_bytes(
        b'\xef\xbb\xbf{"order": 1, "lines": [1.5, null, true]}\r\n'
        b'\r\nplain text\n[1, 2]\n42\n"quoted"\n{"broken": \n  indented\n{"n": NaN}\n'
    )
    ran = workspace.ok("publish", "--from", "messages.txt")
    assert "messages.txt: 1 blank line skipped" in ran.err
    expected = [
        {"order": 1, "lines": [1.5, None, True]},
        "plain text",
        "[1, 2]",
        "42",
        '"quoted"',
        '{"broken": ',
        "  indented",
        '{"n": NaN}',
    ]
    for table in ("messages ORDER BY number", "deliveries ORDER BY message_number"):
        bodies = [body for (body,) in workspace.rows(f"SELECT body FROM {table}")]
        found = [json.loads(each) if workspace.settings.is_sqlite else each for each in bodies]
        assert found == expected


FAILING = {
    "sqlite": (
        "CREATE TRIGGER failing BEFORE INSERT ON deliveries WHEN NEW.message_number = 3"
        " BEGIN SELECT RAISE(ABORT, 'no such address'); END",
    ),
    "postgresql": (
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$"
        " BEGIN RAISE EXCEPTION 'no such address'; END $$",
        "CREATE TRIGGER failing BEFORE INSERT ON deliveries FOR EACH ROW"
        " WHEN (NEW.message_number = 3) EXECUTE FUNCTION refuse()",
    ),
}


@pytest.mark.parametrize("guarantee", ["exactly-once", "at-least-once", "at-most-once"])
def test_a_message_that_fails_stops_no_other_and_its_error_is_seen(
    workspace: Workspace, guarantee: str
) -> None:
    workspace.ok("migrate")
    for sql in FAILING["sqlite" if workspace.settings.is_sqlite else "postgresql"]:
        workspace.execute(sql)
    ran = workspace.run("publish", "--count", "5", "--guarantee", guarantee, "--json")
    # Only at-most-once allows a message to be lost.
    kept = guarantee == "at-most-once"
    assert ran.code == (ExitCode.DONE if kept else ExitCode.PROMISE_BROKEN), ran
    assert "not delivered" in ran.err
    assert "Traceback" not in ran.err
    found = batch(ran.document, "alpha-1")
    assert (found["status"], found["delivered"], found["missing"]) == ("SUCCESS", 4, 1)
    assert found["failed"] == 1
    (failure,) = found["failures"]
    assert failure["message"] == 3
    assert "no such address" in failure["error"]
    assert "\n" not in failure["error"]
    delivered = workspace.rows("SELECT message_number FROM deliveries ORDER BY message_number")
    assert delivered == [(1,), (2,), (4,), (5,)]
    assert "no such address" in look(workspace, "state").out
    (workflow,) = seen(workspace, "list-workflows", "--status", "ERROR")["workflows"]
    assert "no such address" in workflow["error"]
    # As wide as its words are, no text is folded between two of them.
    endless = replace(workspace, environ={**workspace.environ, "COLUMNS": "1000"})
    assert "no such address" in look(endless, "list-workflows").out
    assert batch(seen(workspace, "state"), "alpha-1")["failures"] == [failure]
    (failed,) = seen(workspace, "list-workflows", "--status", "ERROR")["workflows"]
    assert failed["id"] == "alpha-1-3"
    assert failed["error"] == failure["error"]


# ------------------------------------------------------------- state --check


@pytest.mark.parametrize(
    ("guarantee", "sql", "verdict"),
    [
        ("exactly-once", "DELETE FROM deliveries WHERE message_number = 2", "1 missing"),
        ("at-least-once", "DELETE FROM deliveries WHERE message_number = 2", "1 missing"),
        ("at-most-once", "DELETE FROM deliveries WHERE message_number = 2", None),
        ("exactly-once", "REPEAT", "1 repeated"),
        ("idempotent", "REPEAT", "1 repeated"),
        ("at-most-once", "REPEAT", "1 repeated"),
        ("at-least-once", "REPEAT", None),
    ],
)
def test_a_broken_promise_is_exit_code_1_if_asked_for(
    sqlite_workspace: Workspace, guarantee: str, sql: str, verdict: str | None
) -> None:
    sqlite_workspace.ok("publish", "--count", "3", "--guarantee", guarantee)
    columns = (
        "batch_id, message_number, body, publisher, workflow_id, process_id, local_count,"
        " global_count, delivered_at_ms"
    )
    repeat = f"INSERT INTO deliveries ({columns}) SELECT {columns} FROM deliveries LIMIT 1"
    sqlite_workspace.execute(repeat if sql == "REPEAT" else sql)
    checked = sqlite_workspace.run("state", "--check", "--json")
    if verdict is None:
        assert checked.code == ExitCode.DONE
        assert checked.document["verdict"].startswith("kept: ")
    else:
        assert checked.code == ExitCode.PROMISE_BROKEN
        assert checked.document["verdict"] == (
            f"BROKEN: alpha-1 promised {guarantee}, but {verdict}"
        )
        assert sqlite_workspace.run("state").code == ExitCode.DONE


# ------------------------------------------------------------- reset


def test_a_reset_asks_and_leaves_the_tables_working(workspace: Workspace) -> None:
    workspace.ok("publish", "--count", "2")
    refused(workspace.run("reset", stdin="n\n"), "nothing was deleted")
    assert seen(workspace, "state")["totals"]["delivered"] == 2
    workspace.ok("reset", stdin="y\n")
    assert seen(workspace, "state")["publishers"] == []
    assert listed(workspace) == []
    # The first batch is the first again, and nothing of the old one is in its way.
    workspace.ok("publish", "--count", "3")
    assert batch(seen(workspace, "state", "--check"), "alpha-1")["delivered"] == 3
    workspace.ok("crash-after", "1", "--count", "2")
    assert workspace.document("reset", "--yes")["deleted"] is True
    assert workspace.document("resume")["workflows"] == []
    for table in ("deliveries", "messages", "batches", "failures", "processes", "publishers"):
        assert workspace.rows(f"SELECT count(*) FROM {table}") == [(0,)], table
    for table in ("workflow_status", "operation_outputs"):
        assert workspace.rows(f"SELECT count(*) FROM {table}") == [(0,)], table


def test_a_reset_of_nothing_is_said_and_creates_nothing(sqlite_workspace: Workspace) -> None:
    assert sqlite_workspace.document("reset", "--yes")["deleted"] is False
    assert sorted(sqlite_workspace.directory.iterdir()) == []


def test_a_reset_is_refused_while_a_process_runs(workspace: Workspace) -> None:
    workspace.ok("publish", "--count", "2")
    with worker(workspace) as process:
        refused(workspace.run("reset", "--yes"), f"pid {process.pid}")
        assert seen(workspace, "state")["totals"]["delivered"] == 2
    workspace.ok("reset", "--yes")


# ------------------------------------------------------------- doctor


def checks(workspace: Workspace) -> dict[str, tuple[str, str]]:
    """What was looked at, to what was seen and what to do."""
    document = seen(workspace, "doctor")
    assert document["healthy"] is True
    database = f" --db-url {shell_word(workspace.url)}"  # as `look` gives it
    return {f["what"]: (f["seen"], f["next"].replace(database, "")) for f in document["checks"]}


def test_a_doctor_says_what_is_right_and_what_to_do(workspace: Workspace) -> None:
    workspace.ok("publish", "--count", "1")
    healthy = checks(workspace)
    kind = "SQLite" if workspace.settings.is_sqlite else "PostgreSQL"
    assert healthy["reachable"][0].startswith(f"yes, {kind} ")
    assert healthy["migrations"] == ("up to date", "")
    assert healthy["running"] == ("0 processes", "")
    assert healthy["unfinished"] == ("0 workflows", "")
    assert "stranded" not in healthy
    assert "dead-lettered" not in healthy
    # Stranded: of a version that nobody has any more.
    workspace.ok("crash-after", "1", "--count", "3", "--app-version", "old")
    stranded = checks(workspace)
    assert stranded["unfinished"] == ("0 workflows", "")
    assert stranded["stranded"][0].endswith("of application version old")
    assert stranded["stranded"][1] == "resumectl resume --app-version old"
    workspace.ok(*stranded["stranded"][1].removeprefix("resumectl ").split())
    # Unfinished: for anybody to take up.
    workspace.ok("crash-after", "1", "--count", "3")
    unfinished = checks(workspace)
    assert unfinished["unfinished"][1] == "resumectl resume"
    assert "stranded" not in unfinished
    # Dead-lettered: DBOS has given it up.
    workspace.execute(
        "UPDATE workflow_status SET status = 'MAX_RECOVERY_ATTEMPTS_EXCEEDED', queue_name = NULL"
        " WHERE status IN ('PENDING', 'ENQUEUED')"
    )
    dead = checks(workspace)
    assert dead["unfinished"] == ("0 workflows", "")
    next_step = dead["dead-lettered"][1]
    workspace.ok(*next_step.removeprefix("resumectl ").split())
    assert "dead-lettered" not in checks(workspace)
    assert seen(workspace, "state", "--check")["totals"]["delivered"] == 7


def test_a_doctor_refuses_a_directory_that_is_not_there(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.run("doctor", "--db-url", "sqlite:////nowhere/at/all.sqlite", "--json")
    assert ran.code == ExitCode.MACHINE_FAILED
    assert not ran.document["healthy"]
    assert "/nowhere/at is not there" in ran.document["checks"][-1]["seen"]


def test_a_doctor_of_nothing_creates_nothing(sqlite_workspace: Workspace) -> None:
    assert checks(sqlite_workspace)["reachable"] == (
        "not there yet",
        "resumectl publish  creates it",
    )
    assert sorted(sqlite_workspace.directory.iterdir()) == []


def test_a_doctor_sees_who_is_running(sqlite_workspace: Workspace) -> None:
    with worker(sqlite_workspace):
        assert checks(sqlite_workspace)["running"][0].startswith("1 ")


# ------------------------------------------------------------- ids that would collide


def test_ids_that_would_be_those_of_messages_are_refused_or_skipped(
    sqlite_workspace: Workspace,
) -> None:
    workspace = sqlite_workspace
    workspace.ok("publish", "--name", "alpha", "--count", "2")  # alpha-1, alpha-1-1, alpha-1-2
    # The batches of a publisher alpha-1 would be alpha-1-1, alpha-1-2, ….
    refused(look(workspace, "publish", "--name", "alpha-1", "--count", "1"), "alpha-1-1")
    refused(look(workspace, "publish", "--id", "alpha-1-7", "--count", "1"), "alpha-1-7")
    # Under an id of its own it may publish.
    workspace.ok("publish", "--name", "alpha-1", "--id", "own", "--count", "1")
    # The other way round: a batch alpha-2-1 is there, and alpha's next would have it as message.
    workspace.ok("publish", "--name", "alpha-2", "--count", "2")
    skipped = workspace.document("publish", "--name", "alpha", "--count", "1")
    assert [b["id"] for p in skipped["publishers"] for b in p["batches"]] == ["alpha-3"]
    refused(look(workspace, "publish", "--id", "alpha-2", "--count", "1"), "alpha-2")
    refused(look(workspace, "crash-after", "1", "--id", "alpha-2", "--count", "1"), "alpha-2")
    assert seen(workspace, "state", "--check")["totals"]["delivered"] == 6
    assert workspace.rows("SELECT count(*) FROM deliveries") == [(6,)]
