"""Two effects in one step.

Problem: the process is killed between them, and the step repeats the first effect to get to the
second. The more a step does, the more of it happens twice.
Fix: use one step for each effect, and an idempotency key for what must not be repeated.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID

from resumectl import Scenario, effect

FINDING = "duplicated"
engine = sa.create_engine("sqlite:///shop.sqlite")
shipments = sa.Table("shipments", sa.MetaData(), sa.Column("order_id", sa.Text, primary_key=True))


def ship(order: str) -> None:
    with engine.begin() as connection:
        if not connection.scalar(sa.select(shipments.c.order_id)):
            connection.execute(sa.insert(shipments).values(order_id=order))


@DBOS.step()
def charge_and_ship(order: str) -> None:
    effect("charge", order)
    ship(order)


@DBOS.step()
def charge(order: str) -> None:
    Path(f"{order}.receipt").touch()  # the same key twice is one charge


@DBOS.step()
def ship_in_a_step(order: str) -> None:
    ship(order)


@DBOS.workflow()
def checkout(order: str) -> None:
    charge_and_ship(order)


@DBOS.workflow()
def checkout_in_two_steps(order: str) -> None:
    charge(order)
    ship_in_a_step(order)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


def prepare() -> None:
    shipments.create(engine)


PROMISES = {"charge": "exactly-once"}
mistake = Scenario(lambda: ask(checkout), prepare=prepare, promises=PROMISES)
corrected = Scenario(
    lambda: ask(checkout_in_two_steps),
    prepare=prepare,
    effects=lambda: {"charge": {r.stem: 1 for r in Path().glob("*.receipt")}},
    promises=PROMISES,
)
