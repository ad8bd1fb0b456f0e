"""What is wrong without any crash is said, with what to do; and a long sleep can be made short."""

import pytest
from conftest import Workspace, seconds, swept

from resumectl.errors import ExitCode

ILL = """
import threading
from dbos import DBOS, SetEnqueueOptions, SetWorkflowTimeout
from resumectl import Scenario

@DBOS.workflow()
def child():
    return 1

@DBOS.workflow()
def failing():
    raise ValueError("no stock")

@DBOS.workflow()
def unserved():
    return DBOS.enqueue_workflow("nowhere", child).get_result()

@DBOS.workflow()
def unserialisable():
    return threading.Lock()

@DBOS.workflow()
def parent():
    return DBOS.enqueue_workflow("one", child).get_result()

@DBOS.workflow()
def asleep():
    child()
    DBOS.sleep(3600)

def cancelled():
    with SetWorkflowTimeout(0.2):
        return DBOS.start_workflow(asleep).get_result()

too_late = Scenario(request=cancelled)

def on_queue():
    DBOS.register_queue("one")
    return DBOS.enqueue_workflow("one", asleep).get_result()

served = Scenario(request=on_queue)

@DBOS.workflow()
def delayed():
    with SetEnqueueOptions(delay_seconds=3600):
        return DBOS.enqueue_workflow("one", child).get_result()

@DBOS.workflow()
def unasked():
    return DBOS.recv(timeout_seconds=1800)

def request():
    DBOS.register_queue("one", concurrency=1)
    return DBOS.enqueue_workflow("one", parent).get_result()

own_queue = Scenario(request=request)
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "said", "next_step"),
    [
        ("failing", "ValueError: no stock", "catch it in a Scenario's request"),
        ("unserve", "ill.py has no unserve; the nearest are unserved", "as in  ill.py:unserved"),
        (
            "unserved",
            "unserved-1-1 waits on the queue nowhere, which no process registers",
            "--after-launch after_launch.py:setup",
        ),
        (
            "asleep",
            "none of its workflows can continue before the time limit; asleep-1 is still PENDING in a DBOS.sleep",
            "--max-sleep 0.5",
        ),
        pytest.param(
            "delayed",
            "delayed-1-1 is still DELAYED on queue one, since its delay",
            "shorter delay_seconds",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "unasked",
            "before the time limit; unasked-1 is still PENDING waiting for a message or an event",
            "in a Scenario's request; or give it more time:  --timeout 2400",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "too_late",
            "all of its workflows ended, but the request still waits",
            "--max-sleep 0.5",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "served",
            "is still PENDING in a DBOS.sleep",
            "--max-sleep 0.5",
            marks=pytest.mark.long,
        ),
        pytest.param(
            "unserialisable", "cannot pickle", "correct the program", marks=pytest.mark.long
        ),
        pytest.param(
            "own_queue",
            "is still ENQUEUED on queue one",
            "let the queue one run more at a time",
            marks=pytest.mark.long,
        ),
    ],
)
def test_a_scenario_that_is_ill_without_a_crash_is_said_to_be(
    sqlite_workspace: Workspace, name: str, said: str, next_step: str
) -> None:
    (sqlite_workspace.directory / "ill.py").write_text(ILL)
    # Some are noticed long before the time is up, and what is said tells that they were.
    timeout_s = seconds(60 if name in ("unserved", "asleep", "unasked") else 3)
    ran = sqlite_workspace.run("sweep", f"ill.py:{name}", "--timeout", timeout_s, "--json")
    # A name that is mistyped is no fault of the program.
    assert ran.code == (ExitCode.REFUSED if name == "unserve" else ExitCode.NOTHING_PROVED)
    assert said in ran.document["error"]
    assert next_step in ran.document["next"]
    # And no sweep is run.
    assert sqlite_workspace.document("sweeps")["sweeps"] == []


SLEEPER = """
import asyncio
from dbos import DBOS

@DBOS.step()
def remind(): pass

@DBOS.workflow()
def reminder():
    DBOS.sleep(3600)
    remind()
    DBOS.sleep(seconds=0.01)

@DBOS.workflow()
async def reminders():
    await asyncio.gather(DBOS.sleep_async(3600), DBOS.sleep_async(seconds=7200))
    remind()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "remind"),
    [("reminder", "step-2"), pytest.param("reminders", "step-3", marks=pytest.mark.long)],
)
def test_a_long_sleep_lasts_as_long_as_is_asked_for(
    sqlite_workspace: Workspace, name: str, remind: str
) -> None:
    (sqlite_workspace.directory / "sleeper.py").write_text(SLEEPER)
    found = swept(sqlite_workspace, f"sleeper.py:{name}", "--max-sleep", "0.2")
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 10
    # The line that shows a trial again sleeps no longer.
    line = (
        f"replay before:{name}-1/{remind} sleeper.py:{name} --max-sleep 0.2 "
        "--promise remind=exactly-once"
    )
    ran = sqlite_workspace.run(*line.split())
    assert ran.code == ExitCode.PROMISE_BROKEN
    assert f"resumectl {line} --times 20" in ran.out
