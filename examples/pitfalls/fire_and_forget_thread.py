"""A thread that the workflow starts and does not wait for.

Problem: the workflow succeeds before the thread has sent the e-mail. The process is killed, nothing
is left to recover, and the e-mail is never sent.
Fix: send it in a step, or in a workflow of its own.
"""

import threading
import time
from collections.abc import Callable
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario, effect

FINDING = "lost"


def send_slowly(order: str) -> None:
    time.sleep(0.05)
    effect("e-mail", order)


@DBOS.step()
def send(order: str) -> None:
    send_slowly(order)


@DBOS.workflow()
def confirm(order: str) -> None:
    threading.Thread(target=send_slowly, args=(order,)).start()


@DBOS.workflow()
def confirm_in_a_step(order: str) -> None:
    send(order)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("confirm-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


# That a thread may send it twice is another mistake; here it is the loss that counts.
PROMISES = {"e-mail": "at-least-once"}
mistake = Scenario(lambda: ask(confirm), promises=PROMISES)
corrected = Scenario(lambda: ask(confirm_in_a_step), promises=PROMISES)
