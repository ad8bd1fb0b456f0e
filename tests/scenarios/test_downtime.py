"""What the passing of time does to a program that is down, and what it is not blamed for."""

from pathlib import Path

import pytest
from shared_trials import Proved, prove

from resumectl.model.evidence import TimedOut
from resumectl.model.verdict import Verdict
from resumectl.runner import trial_runner


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """The file of the program."""
    return tmp_path / "shop.py"


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


@pytest.mark.slow
def test_a_body_that_asks_the_clock_leaves_its_path_whatever_the_speed_of_the_machine(
    shop: Path,
) -> None:
    shop.write_text(CLOCK)
    proved = prove(shop, "dispatch")
    # Where it had recorded no path yet, it may take the other one, as if an hour passes there.
    assert proved.plans == {"after:dispatch-1/step-2", "before:dispatch-1/succeeded"}
    assert proved.kinds == {"failed"}
    assert proved.verdicts[Verdict.BROKEN] == 2


@pytest.mark.long
def test_an_outage_that_is_shorter_than_the_deadline_shows_nothing(shop: Path) -> None:
    shop.write_text(CLOCK)
    assert prove(shop, "dispatch", downtime_s=0).is_kept


WAITING = """
import time
from dbos import DBOS

@DBOS.step()
def work():
    time.sleep(0.5)

@DBOS.workflow()
def sender(to):
    work()
    DBOS.send(to, "hello")

@DBOS.workflow()
def checkout():
    DBOS.start_workflow(sender, DBOS.workflow_id)
    return DBOS.recv(timeout_seconds=10)
"""


@pytest.mark.slow
@pytest.mark.parametrize("expiry_s", [pytest.param(0.1, marks=pytest.mark.long), 1.0])
def test_message_that_comes_too_late_after_an_outage_is_no_finding(
    shop: Path, monkeypatch: pytest.MonkeyPatch, expiry_s: float
) -> None:
    """Time may pass while a step runs: the wait of another workflow then ends without a message.

    The step runs again after an outage, so it is late, even if it ends while time passes.
    """
    monkeypatch.setattr(trial_runner, "_EXPIRY_S", expiry_s)
    shop.write_text(WAITING)
    assert prove(shop, "checkout").is_kept


ASLEEP = """
import time
from dbos import DBOS

@DBOS.step()
def work():
    time.sleep(0.2)

@DBOS.workflow()
def reminder(to):
    DBOS.sleep(2)
    DBOS.send(to, "pay")

@DBOS.workflow()
def checkout():
    handle = DBOS.start_workflow(reminder, DBOS.workflow_id)
    work()
    reminded = DBOS.recv(timeout_seconds=0.5)
    handle.get_result()
    return reminded
"""


@pytest.mark.long
def test_sleep_that_is_over_after_an_outage_is_no_finding(shop: Path) -> None:
    """The reminder that comes too late in the baseline comes at once after an outage."""
    shop.write_text(ASLEEP)
    proved = prove(shop, "checkout")
    assert proved.is_kept
    assert any("answer" in each.explained_by_time for each in proved.judgements)


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


def timed(shop: Path, scenario: str) -> Proved:
    shop.write_text(TIMED)
    return prove(shop, scenario)


@pytest.mark.long
def test_a_wait_that_times_out_during_an_outage_is_what_dbos_promises(shop: Path) -> None:
    assert timed(shop, "waiting").is_kept


def test_a_workflow_whose_timeout_passes_during_an_outage_is_an_exposure(shop: Path) -> None:
    proved = timed(shop, "timed")
    assert proved.findings == []
    (note,) = {each.note for each in proved.exposures if each.subject == "checkout-1"}
    assert note == TimedOut()


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


@pytest.mark.slow
def test_a_step_that_asks_the_clock_may_answer_otherwise_after_an_outage(shop: Path) -> None:
    """The corrected program: the time is looked at in a step, and the answer is recorded."""
    shop.write_text(ASKED)
    assert prove(shop, "dispatch").is_kept


CANCELLED = """
from dbos import DBOS, SetWorkflowTimeout
from dbos._error import DBOSAwaitedWorkflowCancelledError

@DBOS.workflow()
def child():
    DBOS.sleep(0.1)
    return "done"

@DBOS.workflow()
def order():
    with SetWorkflowTimeout(600):
        handle = DBOS.start_workflow(child)
    try:
        return handle.get_result()
    except DBOSAwaitedWorkflowCancelledError:
        return "cancelled"
"""


@pytest.mark.slow
def test_what_dbos_does_once_a_second_is_done_in_the_run_that_explains_it(shop: Path) -> None:
    """DBOS cancels what has timed out once a second, and at once after a restart."""
    shop.write_text(CANCELLED)
    proved = prove(shop, "order")
    assert proved.is_kept, proved.findings
