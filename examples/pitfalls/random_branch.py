"""A random branch in the body of a workflow.

Problem: one customer in two gets a gift. The process is killed after the gift was wrapped, the
random number is different in the next process, and the workflow ends without shipping the gift.
Fix: draw the random number in a step, whose result is recorded.
"""

import random
from collections.abc import Callable
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario

FINDING = "diverged"


@DBOS.step()
def charge(order: str) -> str:
    return f"{order} is paid"


@DBOS.step()
def wrap_gift(order: str) -> str:
    return f"a gift for {order}"


@DBOS.step()
def is_lucky() -> bool:
    return random.random() < 0.5


@DBOS.workflow()
def checkout(order: str) -> str:
    paid = charge(order)
    if random.random() < 0.5:
        wrap_gift(order)
    return paid


@DBOS.workflow()
def checkout_as_recorded(order: str) -> str:
    paid = charge(order)
    if is_lucky():
        wrap_gift(order)
    return paid


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


mistake = Scenario(lambda: ask(checkout))
corrected = Scenario(lambda: ask(checkout_as_recorded))
