"""A batch is unfinished as long as one of its messages can still be delivered, whatever it says.

Each kind of end that leaves messages behind is written into a database, row by row, and looked at.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import sqlalchemy as sa
from conftest import MOSTLY_SQLITE, Workspace
from in_process import batch, look, seen
from scene import DELIVERED, LEFT, Scene, a_scene, delivered, workflow

from resumectl.database import open_engine, snapshot
from resumectl.errors import ExitCode
from resumectl.publishing.store import unfinished
from resumectl.publishing.store.dbos_tables import has_not_ended, has_status, workflow_status


@pytest.fixture
def scene(workspace: Workspace) -> Iterator[Scene]:
    """The process was killed; two of five messages were delivered, three are PENDING."""
    with a_scene(workspace) as found:
        found.set()
        found.locks.release("local")
        yield found


def ended(status: str) -> str:
    return f"UPDATE workflow_status SET status = '{status}' WHERE workflow_uuid = 'alpha-1'"


def messages(status: str, numbers: Sequence[int] = LEFT) -> str:
    ids = ", ".join(f"'alpha-1-{number}'" for number in numbers)
    return f"UPDATE workflow_status SET status = '{status}' WHERE workflow_uuid IN ({ids})"


def forked(workflow_id: str, name: str, original: str, status: str) -> list[str]:
    """A fork has no parent, whatever it was made of."""
    return [
        *workflow(workflow_id, name, None, status),
        f"UPDATE workflow_status SET forked_from = '{original}' WHERE workflow_uuid = '{workflow_id}'",
    ]


OTHERS_ENDED = [ended("ERROR"), messages("ERROR")]
DEAD_LETTERED = "MAX_RECOVERY_ATTEMPTS_EXCEEDED"
DELETE = "DELETE FROM workflow_status WHERE workflow_uuid = 'alpha-1'"

# What happened; what is pending, missing, and of that cancelled; and whether a promise is broken.
KINDS: dict[str, tuple[list[str], tuple[int, int, int], bool]] = {
    "the process was killed": ([], (3, 0, 0), False),
    "cancelled alone": ([ended("CANCELLED"), messages("ENQUEUED")], (3, 0, 0), False),
    "cancelled while one is at work": (
        [ended("CANCELLED"), messages("CANCELLED", LEFT[1:])], (1, 2, 2), False,
    ),
    "cancelled with its messages": ([ended("CANCELLED"), messages("CANCELLED")], (0, 3, 3), False),
    "failed": ([ended("ERROR")], (3, 0, 0), False),
    "failed, and nothing is left": (OTHERS_ENDED, (0, 3, 0), True),
    "dead-lettered": ([ended(DEAD_LETTERED), messages("DELAYED")], (3, 0, 0), False),
    "dead-lettered with its messages": (
        [ended(DEAD_LETTERED), messages(DEAD_LETTERED)], (0, 3, 0), True,
    ),
    "deleted": ([DELETE], (3, 0, 0), False),
    "deleted, and nothing is left": ([DELETE, messages("ERROR")], (0, 3, 0), True),
    "one cancelled while it runs": ([messages("CANCELLED", LEFT[:1])], (2, 1, 1), False),
    "one cancelled, and it ended": (
        [ended("SUCCESS"), messages("CANCELLED", LEFT[:1]), messages("PENDING", LEFT[1:])],
        (2, 1, 1), False,
    ),
    "one failed while it runs": ([messages("ERROR", LEFT[:1])], (2, 1, 0), True),
    "a fork of it waits": (
        [*OTHERS_ENDED, *forked("alpha-1.fork1", "publish_batch", "alpha-1", "ENQUEUED")],
        (3, 0, 0), False,
    ),
    "a message of a fork of it waits": (
        [*OTHERS_ENDED, *forked("0f1e", "publish_batch", "alpha-1", "ERROR"),
         *workflow("0f1e-3", "deliver_message", "0f1e", "PENDING")],
        (3, 0, 0), False,
    ),
    "a fork of a message waits": (
        [*OTHERS_ENDED, *forked("0f1e", "deliver_message", "alpha-1-4", "ENQUEUED")],
        (1, 2, 0), True,
    ),
    "a fork of a fork of a message waits": (
        [ended("CANCELLED"), messages("CANCELLED"),
         *forked("0f1e", "deliver_message", "alpha-1-4", "CANCELLED"),
         *forked("2d3c", "deliver_message", "0f1e", "PENDING")],
        (1, 2, 2), False,
    ),
}  # fmt: skip


@MOSTLY_SQLITE
def test_what_can_still_be_delivered_is_pending_and_only_the_rest_is_missing(scene: Scene) -> None:
    for kind, (statements, (pending, missing, cancelled), is_broken) in KINDS.items():
        scene.set()
        scene.locks.release("local")
        scene.write(*statements)
        ran = look(scene.workspace, "state", "--check", "--json")
        found = batch(ran.document, "alpha-1")
        counts = [found[name] for name in ("delivered", "pending", "missing", "cancelled")]
        assert counts == [DELIVERED, pending, missing, cancelled], kind
        assert ran.code == (ExitCode.PROMISE_BROKEN if is_broken else ExitCode.DONE), kind
        verdict = ran.document["verdict"].partition(":")[0]
        assert verdict == ("BROKEN" if is_broken else "unfinished" if pending else "kept"), kind
        steps = ran.document["next_steps"]
        assert [each.split(" --")[0] for each in steps[:1]] == ["resumectl resume"] * bool(pending)


def test_a_cancelled_batch_with_messages_left_says_what_is_coming_and_what_to_type(
    sqlite_workspace: Workspace,
) -> None:
    with a_scene(sqlite_workspace) as scene:
        scene.set()
        scene.locks.release("local")
        scene.write(ended("CANCELLED"), messages("ENQUEUED"))
        shown = look(sqlite_workspace, "state")
        assert "unfinished: 2 of 5 delivered, 3 pending" in shown.out
        assert "alpha-1 has ended, CANCELLED, and 3 workflows of it can still deliver" in shown.out
        assert "next:  resumectl resume" in shown.err
        assert "next:  resumectl cancel " in shown.err
        assert " alpha-1  cancels what it has left" in shown.err
        listed = look(sqlite_workspace, "list-workflows", "--status", "CANCELLED")
        assert "alpha-1 has ended, CANCELLED; of what it started has not: 3" in listed.err
        (it,) = seen(sqlite_workspace, "list-workflows", "--status", "CANCELLED")["workflows"]
        assert it["unfinished_children"] == 3
        assert look(sqlite_workspace, "cancel", "alpha-1").code == ExitCode.DONE
        assert "kept: 2 of 5 delivered, 3 missing, as a cancellation allows" in (
            look(sqlite_workspace, "state").out
        )


def test_a_batch_that_delivered_everything_is_unfinished_until_its_workflows_have_ended(
    sqlite_workspace: Workspace,
) -> None:
    """They would deliver once more, where the promise allows it, or be ignored."""
    with a_scene(sqlite_workspace, "at-least-once") as scene:
        scene.set()
        scene.locks.release("local")
        scene.write(*(delivered(number) for number in LEFT))
        state = seen(sqlite_workspace, "state", "--check")
        assert state["verdict"] == "unfinished: 5 of 5 delivered, 4 workflows have not ended"
        assert [each.split(" --")[0] for each in state["next_steps"]] == ["resumectl resume"]


def test_what_a_running_process_runs_is_waited_for_and_not_resumed(
    sqlite_workspace: Workspace,
) -> None:
    with a_scene(sqlite_workspace) as scene:
        scene.set()
        (step,) = seen(sqlite_workspace, "state")["next_steps"]
        assert step.startswith("wait for it")


def test_a_batch_whose_workflow_was_deleted_is_not_delivered_once_more(
    sqlite_workspace: Workspace,
) -> None:
    """As DBOS's retention does it, and `dbos workflow delete`; its deliveries are there."""
    workspace = sqlite_workspace
    workspace.ok("publish", "--count", "3")
    before = seen(workspace, "state", "--check")
    workspace.execute("DELETE FROM workflow_status")
    assert batch(seen(workspace, "state", "--check"), "alpha-1")["status"] == "DELETED"
    assert seen(workspace, "state")["totals"] == before["totals"]
    assert workspace.document("resume")["workflows"] == []
    workspace.ok("publish", "--count", "3", "--id", "alpha-1")
    workspace.ok("publish", "--count", "3", "--id", "alpha-1", "--detach")
    workspace.ok("publish", "--count", "1", "--name", "beta")
    assert workspace.rows("SELECT count(*) FROM deliveries WHERE batch_id = 'alpha-1'") == [(3,)]


def test_what_has_not_ended_is_found_without_reading_what_has(sqlite_workspace: Workspace) -> None:
    """Among a million that have ended, it is a matter of 0.4 s or of none."""
    assert look(sqlite_workspace, "migrate").code == 0
    engine = open_engine(sqlite_workspace.settings)
    for condition in (has_not_ended(), has_status("PENDING")):
        query = sa.select(workflow_status.c.name).where(condition)
        sql = str(query.compile(engine, compile_kwargs={"render_postcompile": True}))
        with engine.connect() as connection:
            plan = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql.replace('dbos.', '')}")
            steps = [str(row[-1]) for row in plan]
        assert not [each for each in steps if each == "SCAN workflow_status"], steps
    engine.dispose()


def test_whatever_a_fork_is_called_it_is_known_what_it_delivers_for(
    sqlite_workspace: Workspace,
) -> None:
    with a_scene(sqlite_workspace) as scene:
        scene.set()
        scene.write(
            *forked("0f1e", "deliver_message", "alpha-1-4", "ENQUEUED"),
            *forked("2d3c", "publish_batch", "alpha-1", "ENQUEUED"),
            *workflow("2d3c-2", "deliver_message", "2d3c", "PENDING"),
            *forked("4b5a", "deliver_message", "2d3c-2", "PENDING"),
            *forked("6f70", "deliver_message", "deleted-since", "PENDING"),
        )
        engine = open_engine(sqlite_workspace.settings)
        with snapshot(engine) as connection:
            found = unfinished.origins(
                connection, ["alpha-1", "alpha-1-2", "0f1e", "2d3c", "2d3c-2", "4b5a", "6f70", "x"]
            )
        engine.dispose()
    shown: dict[str, Any] = {each: (it.message, it.is_fork) for each, it in found.items()}
    assert {each.batch_id for each in found.values()} == {"alpha-1"}
    assert shown == {
        "alpha-1": (None, False),
        "alpha-1-2": (2, False),
        "0f1e": (4, True),
        "2d3c": (None, True),
        "2d3c-2": (2, True),
        "4b5a": (2, True),
    }
