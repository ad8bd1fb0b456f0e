"""An effect in a step that is not idempotent.

Problem: if the process is killed after the charge and before the checkpoint, the step runs again,
and the customer is charged twice. No durable system can prevent this: it cannot know of the charge.
Fix: send an idempotency key that is the same in both attempts, and let the other side ignore the
second charge.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario, effect

FINDING = "duplicated"


@DBOS.step()
def charge(order: str) -> None:
    effect("charge", order)


@DBOS.step()
def charge_once(order: str) -> None:
    receipt = Path(f"{order}.receipt")  # stands for the payment provider, which knows the key
    if not receipt.exists():
        receipt.touch()


@DBOS.workflow()
def checkout(order: str) -> None:
    charge(order)


@DBOS.workflow()
def checkout_once(order: str) -> None:
    charge_once(order)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


mistake = Scenario(lambda: ask(checkout), promises={"charge": "exactly-once"})
corrected = Scenario(
    lambda: ask(checkout_once),
    effects=lambda: {"charge": {r.stem: 1 for r in Path().glob("*.receipt")}},
    promises={"charge": "exactly-once"},
)
