"""When a process can do no more for its workflows; nothing is run."""

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from resumectl.model.snapshot import UnfinishedRow
from resumectl.probe.standstill import CLIENT, Standing, can_do_no_more, stranded
from resumectl.probe.user_code import is_begun_by_user

OURS = "1"
IDLE = Standing({}, (), (), ("shop",), OURS, (), has_answer=False, paused=(), has_own_thread=False)


def standing(**rows: UnfinishedRow) -> Standing:
    return replace(IDLE, unfinished=rows)


@pytest.mark.parametrize(
    ("row", "is_stranded"),
    [
        (UnfinishedRow("PENDING", None, OURS), True),
        (UnfinishedRow("ENQUEUED", "shop", OURS), False),
        (UnfinishedRow("ENQUEUED", "shop", None), False),
        (UnfinishedRow("ENQUEUED", "shop", "2"), True),
        (UnfinishedRow("ENQUEUED", "mail", OURS), True),
        (UnfinishedRow("DELAYED", "mail", OURS), False),
    ],
)
def test_a_workflow_is_stranded_where_nothing_takes_it_up(
    row: UnfinishedRow, is_stranded: bool
) -> None:
    assert stranded(standing(order=row)) == ({"order"} if is_stranded else set())


def test_a_workflow_that_is_executed_is_not_stranded() -> None:
    now = standing(order=UnfinishedRow("PENDING", None, "2"))
    assert stranded(replace(now, executing=("order",))) == set()


PENDING = UnfinishedRow("PENDING", None, OURS)


def test_a_process_can_go_on_while_its_client_or_a_workflow_can() -> None:
    now = standing(child=PENDING)
    assert not can_do_no_more(now)  # the client may do something yet
    assert can_do_no_more(replace(now, has_answer=True))
    assert can_do_no_more(replace(now, waits=((CLIENT, "child"),)))
    busy = replace(standing(child=PENDING, other=PENDING), has_answer=True)
    assert not can_do_no_more(replace(busy, executing=("other",)))


def test_a_wait_for_what_is_stranded_is_a_dead_end_itself() -> None:
    now = standing(child=PENDING, parent=PENDING, grandparent=PENDING)
    waits = ((CLIENT, "grandparent"), ("grandparent", "parent"), ("parent", "child"))
    now = replace(now, executing=("parent", "grandparent"), waits=waits)
    assert can_do_no_more(now)
    assert not can_do_no_more(replace(now, waits=waits[:2]))


def test_a_wait_for_a_workflow_that_does_not_exist_is_a_dead_end() -> None:
    assert can_do_no_more(replace(IDLE, missing=("order",), waits=((CLIENT, "order"),)))
    assert not can_do_no_more(IDLE)


def test_a_pause_until_after_the_time_is_up_is_a_dead_end() -> None:
    now = standing(child=PENDING, parent=PENDING)
    waits = ((CLIENT, "parent"), ("parent", "child"))
    now = replace(now, executing=("parent", "child"), waits=waits)
    assert not can_do_no_more(now)
    assert can_do_no_more(replace(now, paused=("child",)))
    # Another workflow may send what is waited for.
    busy = replace(now, unfinished={**now.unfinished, "other": PENDING})
    assert not can_do_no_more(
        replace(busy, executing=("parent", "child", "other"), paused=("child",))
    )
    # The client itself waits for an event.
    assert can_do_no_more(replace(standing(), paused=(CLIENT,)))


def test_a_process_can_go_on_while_a_thread_of_its_program_is_alive() -> None:
    now = replace(standing(order=PENDING), has_answer=True)
    assert can_do_no_more(now)
    assert not can_do_no_more(replace(now, has_own_thread=True))


def test_a_thread_is_the_users_where_it_runs_a_function_of_theirs() -> None:
    inside, leave = threading.Semaphore(0), threading.Event()

    def wait() -> None:
        inside.release()
        leave.wait()

    own, timer = threading.Thread(target=wait), threading.Timer(3600, wait)
    with ThreadPoolExecutor() as pool:
        pool.submit(wait)
        own.start()
        timer.start()
        try:
            for _ in range(2):
                inside.acquire()
            frames = sys._current_frames()
            threads = {each for each in threading.enumerate() if each.ident in frames}
            begun = {each for each in threads if is_begun_by_user(each, frames[each.ident or 0])}
        finally:
            leave.set()
            timer.cancel()
            own.join()
    assert {own, timer} <= begun
    assert not any("ThreadPool" in each.name for each in begun)
