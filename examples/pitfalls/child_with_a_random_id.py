"""A child workflow with an id that is made in the body: no mistake since DBOS 3.1.0.

The parent records which child it started, and its id, in one commit with the child. After a crash
it awaits the recorded child, and the new id is never used.
"""

import uuid

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario, effect

FINDING = None


@DBOS.step()
def pack(order: str) -> None:
    effect("pack", order)


@DBOS.workflow()
def child(order: str) -> str:
    pack(order)
    return f"{order} packed"


@DBOS.workflow()
def parent(order: str) -> str:
    with SetWorkflowID(uuid.uuid4().hex):
        handle = DBOS.start_workflow(child, order)
    return handle.get_result()


def ask() -> object:
    with SetWorkflowID("parent-1"):
        return DBOS.start_workflow(parent, "order-1").get_result()


corrected = Scenario(ask)
