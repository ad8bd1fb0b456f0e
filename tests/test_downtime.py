"""What the passing of time does to a program that is down, and what it is not blamed for."""

from typing import Any

import pytest
from conftest import Place, swept

from resumectl.errors import ExitCode

CLOCK = """
import time
from dbos import DBOS

@DBOS.step()
def begin():
    return time.time() + 600

@DBOS.step()
def early():
    return "early"

@DBOS.step()
def late():
    return "late"

@DBOS.workflow()
def dispatch():
    until = begin()
    return early() if time.time() < until else late()
"""


def test_a_body_that_asks_the_clock_leaves_its_path_whatever_the_speed_of_the_machine(
    sqlite_place: Place,
) -> None:
    (sqlite_place.directory / "shop.py").write_text(CLOCK)
    found = swept(sqlite_place, "shop.py:dispatch", code=ExitCode.PROMISE_BROKEN)
    # Where it had recorded no path yet, it may take the other one, as if an hour passes there.
    assert {each["plan"] for each in found["findings"]} == {"after:dispatch-1/step-2"}
    assert {each["kind"] for each in found["findings"]} == {"failed"}
    assert found["verdicts"]["BROKEN"] == 2


@pytest.mark.long
def test_an_outage_that_is_shorter_than_the_deadline_shows_nothing(sqlite_place: Place) -> None:
    (sqlite_place.directory / "shop.py").write_text(CLOCK)
    found = swept(sqlite_place, "shop.py:dispatch", "--downtime", "0")
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 8


TIMED = """
from dbos import DBOS, SetWorkflowID, SetWorkflowTimeout
from resumectl import Scenario

@DBOS.step()
def charge():
    return "charged"

@DBOS.workflow()
def checkout():
    charge()
    return DBOS.recv("go", timeout_seconds=600) or "timed out"

def request(timeout_s=None):
    with SetWorkflowID("checkout-1"), SetWorkflowTimeout(timeout_s):
        handle = DBOS.start_workflow(checkout)
    DBOS.send("checkout-1", "went", "go", idempotency_key="once")
    return handle.get_result()

waiting = Scenario(request=request)
timed = Scenario(request=lambda: request(900))
"""


def timed(place: Place, scenario: str) -> Any:
    (place.directory / "shop.py").write_text(TIMED)
    return swept(place, f"shop.py:{scenario}")


@pytest.mark.long
def test_a_wait_that_times_out_during_an_outage_is_what_dbos_promises(sqlite_place: Place) -> None:
    found = timed(sqlite_place, "waiting")
    assert found["findings"] == []
    assert found["verdicts"]["KEPT"] == found["crash_points"]


def test_a_workflow_whose_timeout_passes_during_an_outage_is_an_exposure(
    sqlite_place: Place,
) -> None:
    found = timed(sqlite_place, "timed")
    assert found["findings"] == []
    (note,) = {each["note"] for each in found["exposures"] if each["effect"] == "checkout-1"}
    assert "its timeout passed" in note


ASKED = (
    CLOCK.replace("def dispatch():", "def never():")
    + """
@DBOS.step()
def is_early(until):
    return time.time() < until

@DBOS.workflow()
def dispatch():
    until = begin()
    return early() if is_early(until) else late()
"""
)


def test_a_step_that_asks_the_clock_may_answer_otherwise_after_an_outage(
    sqlite_place: Place,
) -> None:
    """The corrected program: the time is looked at in a step, and the answer is recorded."""
    (sqlite_place.directory / "shop.py").write_text(ASKED)
    found = swept(sqlite_place, "shop.py:dispatch")
    assert found["findings"] == []
    assert found["verdicts"]["KEPT"] == found["crash_points"]
