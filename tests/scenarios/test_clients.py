"""Clients that fix no workflow ids: their workflows have names, and they give up or ask again."""

from pathlib import Path

import pytest
from conftest import Workspace, swept
from shared_trials import Proved, prove

from resumectl.errors import ExitCode

PROGRAM = """
import asyncio
from concurrent.futures import ThreadPoolExecutor
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario, effect

@DBOS.step()
def charge(order):
    effect("charge", order)

@DBOS.step()
def ship(order):
    pass

@DBOS.workflow()
def notify(order):
    return f"told {order}"

@DBOS.workflow()
def checkout(order):
    charge(order)
    told = DBOS.start_workflow(notify, order)
    ship(order)
    return told.get_result()

@DBOS.workflow()
async def digest(order):
    return await asyncio.to_thread(str.upper, order)

def set_up():
    DBOS.register_queue("orders")

def handler(order: str):
    return {"id": DBOS.start_workflow(checkout, order).get_workflow_id()}

async def all_at_once():
    started = [DBOS.start_workflow_async(digest, order) for order in "cab"]
    handles = await asyncio.gather(*started)
    return [await handle.get_result() for handle in handles]

def in_a_loop():
    handles = [DBOS.start_workflow(checkout, order) for order in ("b", "a")]
    return [handle.get_result() for handle in handles]

def in_a_pool():
    with ThreadPoolExecutor(3) as pool:
        handles = list(pool.map(lambda order: DBOS.start_workflow(notify, order), "cab"))
    return [handle.get_result() for handle in handles]

def from_pool_threads():
    with ThreadPoolExecutor(1) as outer:
        return outer.submit(in_a_pool).result()

def enqueued():
    handles = [DBOS.enqueue_workflow("orders", notify, order) for order in "ba"]
    return [handle.get_result() for handle in handles]

def called():
    return checkout("order-1")

def fixed():
    with SetWorkflowID("order-1"):
        return checkout("order-1")

loop, pool, threads, queue, call, fixed_id, gathered = map(
    Scenario,
    (in_a_loop, in_a_pool, from_pool_threads, enqueued, called, fixed, all_at_once),
)
"""


@pytest.fixture
def program(sqlite_workspace: Workspace) -> Path:
    """Return the path of the program, in the directory of the workspace."""
    path = sqlite_workspace.directory / "shop.py"
    path.write_text(PROGRAM)
    return path


def is_kept(found: Proved) -> bool:
    assert found.findings == []
    return found.is_kept


def test_workflow_without_an_id_is_named_by_its_function_and_turn(program: Path) -> None:
    found = prove(program, "call")
    assert is_kept(found)
    assert {each for each in found.crash_points if each.startswith("after:")} >= {
        "after:checkout(1)/accepted",
        "after:checkout(1)/step-1",
        "after:checkout(1)-2/accepted",
        "after:checkout(1)/step-3",
        "after:checkout(1)-2/succeeded",
        "after:checkout(1)/step-4",
        "after:checkout(1)/succeeded",
    }


@pytest.mark.slow
def test_several_starts_are_numbered_in_the_order_of_the_client(program: Path) -> None:
    found = prove(program, "loop")
    assert is_kept(found)
    assert {"before:checkout(1)/step-1", "after:checkout(2)-2/succeeded"} <= set(found.crash_points)
    repeated = {each.subject for each in found.exposures if each.note is None}
    # Each crash point repeats what its own workflow did: the first start is that of order b.
    assert {"charge('b')", "charge, checkout(1)/step-1"} <= repeated
    given_up = never_started(found)
    assert given_up["checkout(1)"] == set()  # it was accepted first
    assert "checkout(1)" in given_up["checkout(2)"]


def never_started(found: Proved) -> dict[str, set[str]]:
    """Return the workflows whose start a client gave up, with those at whose start it was killed."""
    seen: dict[str, set[str]] = {"checkout(1)": set(), "checkout(2)": set()}
    for judgement in found.judgements:
        for each in judgement.exposures:
            if each.times == 0:
                seen[each.subject].add(judgement.plan.partition(":")[2].partition("/")[0])
    return seen


@pytest.mark.parametrize("name", ["gathered", "pool", "threads"])
def test_starts_that_race_have_the_same_names_in_each_run(program: Path, name: str) -> None:
    assert is_kept(prove(program, name))


def test_starts_on_a_queue_are_named(tmp_path: Path) -> None:
    path = tmp_path / "shop.py"
    path.write_text(f"{PROGRAM}\nDBOS(config={{'name': 'shop'}})\nDBOS.launch()\nset_up()\n")
    found = prove(path, "queue")
    assert is_kept(found)
    assert {"after:notify(1)/enqueued", "before:notify(2)/claimed"} <= set(found.crash_points)


@pytest.mark.usefixtures("program")
def test_plain_function_is_the_client(sqlite_workspace: Workspace) -> None:
    """As in a web application, whose handlers start workflows and return at once."""
    target = ("shop.py:handler", "--args", '["order-1"]')
    found = swept(sqlite_workspace, *target)
    assert (found["client"], found["findings"]) == ("gives-up", [])
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 14
    (exposure,) = [each for each in found["exposures"] if each["note"]]
    assert (exposure["subject"], exposure["worst"]) == ("checkout(1)", 2)
    assert (
        "starts checkout(2), which runs charge, ship again; then charge('order-1')"
        in (exposure["note"])
    )


def test_plain_function_that_starts_nothing_proves_nothing(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "shop.py").write_text("def handler():\n    return 1\n")
    ran = sqlite_workspace.run("sweep", "shop.py:handler")
    assert ran.code == ExitCode.NOTHING_PROVED
    assert "a run without a crash makes nothing durable, so there is no crash point" in ran.err


@pytest.mark.usefixtures("program")
@pytest.mark.slow
def test_client_that_retries_starts_a_second_workflow(sqlite_workspace: Workspace) -> None:
    found = swept(
        sqlite_workspace, "shop.py:call", "--client", "retries", "--only", "*/step-1",
        code=ExitCode.PROMISE_BROKEN,
    )  # fmt: skip
    assert found["client"] == "retries"
    subjects = {each["subject"] for each in found["findings"] if each["kind"] == "unexpected"}
    assert subjects == {"checkout(2)"}


@pytest.mark.usefixtures("program")
def test_client_that_fixes_the_ids_retries_unless_told_otherwise(
    sqlite_workspace: Workspace,
) -> None:
    usual = swept(sqlite_workspace, "shop.py:fixed_id", "--only", "*/step-1")
    assert (usual["client"], usual["verdicts"]["KEPT"]) == ("retries", 2)
    assert not any(each["note"] for each in usual["exposures"])
    told = swept(sqlite_workspace, "shop.py:fixed_id", "--only", "*/step-1", "--client", "gives-up")
    assert (told["client"], told["verdicts"]["KEPT"]) == ("gives-up", 2)


@pytest.mark.usefixtures("program")
def test_replay_shows_the_names(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.run("replay", "after:checkout(1)/step-1", "shop.py:call")
    assert ran.code == ExitCode.DONE, ran
    assert (
        "Killed at after:checkout(1)/step-1 (confirmed by the kernel: killed by SIGKILL)" in ran.out
    )
    assert "the client does not ask again" in ran.out
    assert "checkout(1)-2" in ran.out
