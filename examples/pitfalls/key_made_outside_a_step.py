"""An idempotency key that is made in the body of a workflow.

Problem: the key prevents a second charge only if both attempts send the same key. Made in the body,
it is different after a crash, and prevents nothing.
Fix: make it in a step of its own before it is used, or use the workflow's id.
"""

import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario

FINDING = "duplicated"


@DBOS.step()
def charge(order: str, key: str) -> None:
    Path(f"{order}.{key}.receipt").touch()  # the provider: the same key twice is one charge


@DBOS.step()
def new_key() -> str:
    return uuid.uuid4().hex


@DBOS.workflow()
def checkout(order: str) -> None:
    charge(order, uuid.uuid4().hex)


@DBOS.workflow()
def checkout_with_recorded_key(order: str) -> None:
    charge(order, new_key())


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


def charges() -> dict[str, dict[str, int]]:
    return {"charge": {"order-1": len(list(Path().glob("order-1.*.receipt")))}}


PROMISES = {"charge": "exactly-once"}
mistake = Scenario(lambda: ask(checkout), effects=charges, promises=PROMISES)
corrected = Scenario(lambda: ask(checkout_with_recorded_key), effects=charges, promises=PROMISES)
