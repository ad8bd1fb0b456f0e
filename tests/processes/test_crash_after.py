"""`crash-after`: a real kill at the N-th delivery, exactly, and what is left."""

import random
import signal

import pytest
from conftest import MOSTLY_POSTGRES, MOSTLY_SQLITE, Workspace

from resumectl.database import open_engine
from resumectl.model.crash_plan import EXIT_STATUS, Edge, KillMethod, delivery_plan
from resumectl.model.orders import CrashAfterOrder
from resumectl.publishing.store import batches
from resumectl.publishing.store.migration import ensure_migrated
from resumectl.publishing.store.state import Guarantee
from resumectl.runner.crash_process import CrashedProcess, run_crash_process

WHEN = ("before-delivery", "after-delivery", "after-checkpoint")
MESSAGES = 12


def crash(
    workspace: Workspace, n: int, *, edge: Edge, guarantee: str = "exactly-once", count: int = 20
) -> CrashedProcess:
    """Publish a new batch in a process that is killed at its n-th delivery."""
    engine = open_engine(workspace.settings)
    ensure_migrated(workspace.settings, engine)
    with engine.begin() as connection:
        batch = batches.create(
            connection, publisher="alpha", guarantee=guarantee, bodies=batches.generated(count)
        )
    engine.dispose()
    plan = delivery_plan(batch.id, n, edge=edge, method=KillMethod.KILL)
    crashed = run_crash_process(
        workspace.settings,
        lambda descriptor: CrashAfterOrder(
            batch_id=batch.id,
            plan=str(plan),
            note_descriptor=descriptor,
            app_name=workspace.settings.app_name,
            app_version=workspace.settings.app_version,
            executor_id=None,
            dbos_schema=workspace.settings.dbos_schema,
            concurrency=None,
            verbose=False,
            log_format="text",
        ),
    )
    assert crashed.is_as_planned(plan), f"{crashed} under {plan}"
    return crashed


# On each database, in an ordinary run; the others are long ones.
_ORDINARY = {
    ("exactly-once", "after-delivery"), ("exactly-once", "after-checkpoint"),
    ("idempotent", "after-delivery"), ("at-most-once", "before-delivery"),
}  # fmt: skip
_MATRIX = [
    pytest.param(g, w, marks=() if (g, w) in _ORDINARY else pytest.mark.long, id=f"{g}-{w}")
    for g in map(str, Guarantee)
    for w in WHEN
]


@MOSTLY_SQLITE
@pytest.mark.parametrize(("guarantee", "when"), _MATRIX)
def test_exactly_n_deliveries_are_there_and_the_promise_holds_after_the_resume(
    workspace: Workspace, guarantee: str, when: str
) -> None:
    n = 5
    crashed = workspace.document(
        "crash-after", str(n), "--count", str(MESSAGES), "--guarantee", guarantee, "--when", when
    )
    expected = n - 1 if when == "before-delivery" else n
    assert crashed["delivered"] == expected
    assert crashed["signal"] == signal.SIGKILL
    assert workspace.rows("SELECT count(*) FROM deliveries") == [(expected,)]

    workspace.ok("resume")
    (batch,) = workspace.document("state", "--check")["publishers"][0]["batches"]
    assert batch["status"] == "SUCCESS"
    by_hand = workspace.rows("SELECT count(*), count(DISTINCT message_number) FROM deliveries")
    assert by_hand == [(batch["delivered"] + batch["repeated"], batch["delivered"])]
    if guarantee in ("exactly-once", "idempotent"):
        assert by_hand == [(MESSAGES, MESSAGES)]
    if guarantee == "at-least-once":
        assert batch["missing"] == 0
        # The one whose checkpoint was cut off is certain to come again.
        assert batch["repeated"] >= (1 if when == "after-delivery" else 0)
    if guarantee == "at-most-once":
        assert batch["repeated"] == 0
        assert batch["missing"] >= (1 if when == "before-delivery" else 0)


@pytest.mark.slow
def test_crashes_at_a_concurrent_queue_leave_exactly_n_deliveries(
    sqlite_workspace: Workspace,
) -> None:
    _many_crashes(sqlite_workspace, crashes=6)


@pytest.mark.long
def test_fifty_crashes_at_a_concurrent_queue_leave_exactly_n_deliveries(
    workspace: Workspace,
) -> None:
    _many_crashes(workspace, crashes=50)


@pytest.mark.slow
def test_crashes_on_a_server_leave_exactly_n_deliveries(postgres_workspace: Workspace) -> None:
    _many_crashes(postgres_workspace, crashes=4)


def _many_crashes(workspace: Workspace, *, crashes: int) -> None:
    """Crash in a row: each process takes up what all before it left, and is killed as well."""
    chance = random.Random(7)
    for number in range(1, crashes + 1):
        n = chance.randint(1, 20)
        guarantee = chance.choice(list(Guarantee))
        edge = chance.choice(list(Edge))
        crashed = crash(workspace, n, edge=edge, guarantee=guarantee)
        expected = n if edge is Edge.AFTER else n - 1
        sql = f"SELECT count(*) FROM deliveries WHERE batch_id = 'alpha-{number}'"
        assert workspace.rows(sql) == [(expected,)], f"{guarantee}: {crashed}"
    workspace.ok("resume")
    state = workspace.document("state", "--check")
    assert {b["status"] for b in state["publishers"][0]["batches"]} == {"SUCCESS"}


@pytest.mark.parametrize(
    ("options", "kernel"),
    [
        (("--signal", "TERM"), {"signal": signal.SIGTERM, "exit_status": None}),
        (("--exit",), {"signal": None, "exit_status": EXIT_STATUS}),
    ],
)
def test_the_other_kill_methods_are_confirmed_by_the_kernel(
    sqlite_workspace: Workspace, options: tuple[str, ...], kernel: dict[str, int | None]
) -> None:
    crashed = sqlite_workspace.document("crash-after", "3", *options)
    assert {key: crashed[key] for key in kernel} == kernel
    assert crashed["reached"].startswith("after:alpha-1-")
    assert crashed["delivered"] == 3


@pytest.mark.slow
@MOSTLY_POSTGRES
def test_two_crashes_in_a_row_lose_nothing(workspace: Workspace) -> None:
    assert workspace.document("crash-after", "7")["delivered"] == 7
    assert workspace.document("crash-after", "3")["delivered"] == 3
    workspace.ok("resume")
    totals = workspace.document("state", "--check")["totals"]
    assert (totals["delivered"], totals["repeated"], totals["missing"]) == (40, 0, 0)


def test_what_is_left_behind_is_shown_with_the_next_command(sqlite_workspace: Workspace) -> None:
    crashed = sqlite_workspace.ok("crash-after", "7")
    for shown in ("killed by SIGKILL", "after:alpha-1-", "Left behind", "PENDING", "killed"):
        assert shown in crashed.out
    assert "next:  resumectl resume" in crashed.err


def test_an_n_beyond_the_batch_is_refused(sqlite_workspace: Workspace) -> None:
    refused = sqlite_workspace.run("crash-after", "21")
    assert refused.code == 2
    assert "there is no delivery 21" in refused.err
    assert "next:" in refused.err


def test_unreached_crash_point_proves_nothing(sqlite_workspace: Workspace) -> None:
    """Every message fails, so that the delivery never comes."""
    sqlite_workspace.ok("publish", "--count", "1")
    sqlite_workspace.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON deliveries BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    crashed = sqlite_workspace.run("crash-after", "3", "--json")
    assert crashed.code == 3
    assert "its crash point was not reached" in crashed.err


def test_another_process_on_the_same_queue_is_a_reason_to_refuse(
    sqlite_workspace: Workspace,
) -> None:
    with sqlite_workspace.start("worker") as worker:
        assert worker.stderr is not None
        assert "serving as" in worker.stderr.readline()
        refused = sqlite_workspace.run("crash-after", "3")
        worker.kill()
    assert refused.code == 2
    assert "another process uses the database: " in refused.err
