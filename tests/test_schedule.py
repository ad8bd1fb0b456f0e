"""In how many orders the threads of a program are tried, and what is said where it is one."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from conftest import Place, swept
from observations import run

from resumectl.lab.concurrency import is_concurrent
from resumectl.lab.schedule import schedule_of

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

@DBOS.step()
async def in_turn():
    for name in "ab":
        await asyncio.to_thread(sell, name)

@DBOS.workflow()
async def work(step):
    await (at_once() if step == "at once" else in_turn())

def request(step):
    async def start():
        with SetWorkflowID("work-1"):
            handle = await DBOS.start_workflow_async(work, step)
        await handle.get_result()
    return start()

scenario = Scenario(request=lambda: request("at once"), prepare=prepare)
"""


def test_each_repetition_of_a_trial_is_scheduled_otherwise(sqlite_place: Place) -> None:
    log = sqlite_place.directory / "log"
    (sqlite_place.directory / "shop.py").write_text(PROGRAM)
    arguments = (
        "shop.py:scenario", "--env", "SHOP_DB=sqlite:///{place}/shop.db", "--env", f"LOG={log}",
        "--only", "work-1/step-1", "--edge", "after",
    )  # fmt: skip
    found = swept(sqlite_place, *arguments)
    assert (found["is_concurrent"], found["orders_tried"]) == (True, 1)
    assert schedules(log) == {(schedule_of(0).switch_interval_s, 1)}
    found = swept(sqlite_place, *arguments, "--repeat", "3")
    assert found["orders_tried"] == 3
    cores = len(os.sched_getaffinity(0))
    assert schedules(log) == {
        (schedule_of(n).switch_interval_s, 1 if schedule_of(n).is_on_one_core else cores)
        for n in range(3)
    }


def schedules(log: Path) -> set[tuple[float, int]]:
    """Switch interval and number of cores of each process, as it saw them itself."""
    lines = [line.split() for line in log.read_text().splitlines()]
    return {(float(interval), int(cores)) for interval, cores in lines}


def test_schedules_differ_in_cores_intervals_and_pauses() -> None:
    schedules = [schedule_of(n) for n in range(6)]
    assert len(set(schedules)) == 6
    assert {each.is_on_one_core for each in schedules} == {True, False}
    assert schedules[0].seed is None


def commit(thread: int, number: int) -> Mapping[str, Any]:
    return {"kind": "commit", "at_us": 1, "facts": [["sold/inserted", ""]],
            "writer": [thread, "w-1", number]}  # fmt: skip


def test_two_threads_that_write_in_one_step_are_concurrent() -> None:
    steps = [("sell", "ok"), ("mail", "ok")]
    assert is_concurrent(run(steps, events=[commit(1, 1), commit(2, 1)]))
    assert not is_concurrent(run(steps, events=[commit(1, 1), commit(1, 1), commit(2, 2)]))


def test_step_bodies_that_overlap_are_concurrent() -> None:
    in_turn = run([("sell", "ok"), ("mail", "ok")])
    assert not is_concurrent(in_turn)
    (first, first_end, second, second_end) = [
        event for event in in_turn.final.events if event["kind"] in ("ran", "ended")
    ]
    overlapping = run([], events=[first, second, first_end, second_end])
    assert is_concurrent(overlapping)
