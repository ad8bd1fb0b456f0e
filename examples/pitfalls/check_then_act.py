"""A check, an act and a note of it in a table, in three separate commits.

Problem: the process is killed between the act and the note. The check of the second attempt finds
no note, and the step acts again.
Fix: commit the note and the act together, as a datasource's transaction does where the act is a
row; or send an idempotency key with the act.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource

from resumectl import Scenario, effect

FINDING = "duplicated"
engine = sa.create_engine("sqlite:///shop.sqlite")
charged = sa.Table("charged", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True))
datasource = SQLAlchemyDatasource.create("sqlite:///shop.sqlite", engine=engine)


@DBOS.step()
def charge(order: str) -> None:
    with engine.connect() as connection:
        if connection.scalar(sa.select(charged.c.id).where(charged.c.id == order)):
            return
    effect("charge", order)
    with engine.begin() as connection:
        connection.execute(sa.insert(charged).values(id=order))


@datasource.transaction()
def charge_in_transaction(order: str) -> None:
    datasource.sql_session().execute(sa.insert(charged).values(id=order))


@DBOS.workflow()
def checkout(order: str) -> None:
    charge(order)


@DBOS.workflow()
def checkout_in_transaction(order: str) -> None:
    charge_in_transaction(order)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


def rows() -> dict[str, dict[str, int]]:
    with engine.connect() as connection:
        return {"charge": {str(order): 1 for order in connection.scalars(sa.select(charged.c.id))}}


def prepare() -> None:
    charged.create(engine)


PROMISES = {"charge": "exactly-once"}
mistake = Scenario(lambda: ask(checkout), prepare=prepare, promises=PROMISES)
corrected = Scenario(
    lambda: ask(checkout_in_transaction), prepare=prepare, effects=rows, promises=PROMISES
)
