"""In how many orders the threads of a program are tried, and what is said where it is one."""

import os
from pathlib import Path

import pytest
from conftest import Workspace, swept
from shared_trials import observe

from resumectl.judge.concurrency import is_concurrent
from resumectl.model.schedule import schedule_of

PROGRAM = """
import asyncio
import os
import sys
import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario

engine = sa.create_engine(os.environ["SHOP_DB"])

def prepare():
    with engine.begin() as connection:
        connection.execute(sa.text("CREATE TABLE sold (name TEXT)"))

def sell(name):
    with engine.begin() as connection:
        connection.execute(sa.text("INSERT INTO sold VALUES (:name)"), {"name": name})

@DBOS.step()
async def at_once():
    with open(os.environ["LOG"], "a") as log:
        print(sys.getswitchinterval(), len(os.sched_getaffinity(0)), file=log)
    await asyncio.gather(*(asyncio.to_thread(sell, name) for name in "ab"))

@DBOS.workflow()
async def work():
    await at_once()

async def request():
    with SetWorkflowID("work-1"):
        handle = await DBOS.start_workflow_async(work)
    await handle.get_result()

scenario = Scenario(request=request, prepare=prepare)
"""


@pytest.mark.slow
def test_each_repetition_of_a_trial_is_scheduled_otherwise(sqlite_workspace: Workspace) -> None:
    log = sqlite_workspace.directory / "log"
    (sqlite_workspace.directory / "shop.py").write_text(PROGRAM)
    arguments = (
        "shop.py:scenario", "--env", "SHOP_DB=sqlite:///{sandbox}/shop.db", "--env", f"LOG={log}",
        "--only", "work-1/step-1", "--edge", "after",
    )  # fmt: skip
    found = swept(sqlite_workspace, *arguments)
    assert (found["is_concurrent"], found["orders_tried"]) == (True, 1)
    assert schedules(log) == {(schedule_of(0).switch_interval_s, 1)}
    found = swept(sqlite_workspace, *arguments, "--repeat", "3")
    assert found["orders_tried"] == 3
    cores = len(os.sched_getaffinity(0))
    assert schedules(log) == {
        (schedule_of(n).switch_interval_s, 1 if schedule_of(n).is_on_one_core else cores)
        for n in range(3)
    }


def schedules(log: Path) -> set[tuple[float, int]]:
    """Switch interval and number of cores of each process, as it saw them itself."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return {(round(float(interval), 6), int(cores)) for interval, cores in lines}


BODY = """
import threading
from concurrent.futures import ThreadPoolExecutor
from dbos import DBOS

both = threading.Barrier(2)

@DBOS.workflow()
def work():
    with ThreadPoolExecutor(2) as pool:
        return [each.result() for each in [pool.submit(both.wait) for _ in range(2)]] and "done"

@DBOS.workflow()
def child():
    return "done"

@DBOS.workflow()
def parent():
    return [each.get_result() for each in [DBOS.start_workflow(child) for _ in range(2)]]
"""


@pytest.mark.parametrize(("name", "is_seen"), [("work", True), ("parent", False)])
def test_a_body_that_begins_two_jobs_at_once_is_concurrent(
    tmp_path: Path, name: str, is_seen: bool
) -> None:
    (tmp_path / "shop.py").write_text(BODY)
    assert is_concurrent(observe(tmp_path / "shop.py", name)) == is_seen
