"""An exception that a step swallows, since it takes it for another worker's lock.

Problem: the lock of the first attempt is still there after the crash. The second attempt meets its
own lock, takes it for another worker's, and reports success.
Fix: let the exception out, and let the lock belong to the order, not to the attempt: an attempt
that finds the lock of its order continues.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID
from sqlalchemy.exc import IntegrityError

from resumectl import Scenario, effect

FINDING = "lost"
engine = sa.create_engine("sqlite:///shop.sqlite")
locks = sa.Table(
    "locks",
    sa.MetaData(),
    sa.Column("order_id", sa.Text, primary_key=True),
    sa.Column("owner", sa.Text),
)


def take_lock(order: str, owner: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(locks).values(order_id=order, owner=owner))


def release_lock(order: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.delete(locks).where(locks.c.order_id == order))


@DBOS.step()
def ship(order: str) -> str:
    try:
        take_lock(order, "an attempt")
    except IntegrityError:
        return "shipped"  # somebody else is at it already
    effect("ship", order)
    release_lock(order)
    return "shipped"


@DBOS.step()
def ship_with_own_lock(order: str) -> str:
    try:
        take_lock(order, str(DBOS.workflow_id))
    except IntegrityError:
        with engine.connect() as connection:
            owner = connection.scalar(sa.select(locks.c.owner).where(locks.c.order_id == order))
        if owner != DBOS.workflow_id:
            raise
    effect("ship", order)
    release_lock(order)
    return "shipped"


@DBOS.workflow()
def deliver(order: str) -> str:
    return ship(order)


@DBOS.workflow()
def deliver_with_own_lock(order: str) -> str:
    return ship_with_own_lock(order)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("deliver-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


def prepare() -> None:
    locks.create(engine)


mistake = Scenario(lambda: ask(deliver), prepare=prepare)
corrected = Scenario(lambda: ask(deliver_with_own_lock), prepare=prepare)
