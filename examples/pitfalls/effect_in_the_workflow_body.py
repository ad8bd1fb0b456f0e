"""An effect in the body of a workflow.

Problem: after a crash the body runs again from its first line; only steps are replayed. The e-mail
is sent again at every recovery, however far the workflow had come.
Fix: put it in a step, which does not run again once its result is recorded.
"""

from collections.abc import Callable
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario, effect

FINDING = "duplicated"


@DBOS.step()
def reserve(order: str) -> str:
    return f"reserved {order}"


@DBOS.step()
def send_mail(order: str) -> None:
    effect("e-mail", order)


@DBOS.workflow()
def checkout(order: str) -> str:
    effect("e-mail", order)
    return reserve(order)


@DBOS.workflow()
def checkout_in_steps(order: str) -> str:
    send_mail(order)
    return reserve(order)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


mistake = Scenario(lambda: ask(checkout))
corrected = Scenario(lambda: ask(checkout_in_steps))
