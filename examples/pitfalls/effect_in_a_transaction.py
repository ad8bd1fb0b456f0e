"""An effect outside the database in a transaction: a rollback does not undo it.

Problem: the process is killed before the commit. The row is undone, the e-mail is not, and the
second attempt sends it again.
Fix: write into the transaction that the e-mail is to be sent (an outbox), and send it from there
with the row's key.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource

from resumectl import Scenario, effect

FINDING = "duplicated"
engine = sa.create_engine("sqlite:///shop.sqlite")
outbox = sa.Table("outbox", sa.MetaData(), sa.Column("order_id", sa.Text))
datasource = SQLAlchemyDatasource.create("sqlite:///shop.sqlite", engine=engine)


@datasource.transaction()
def sell(order: str) -> None:
    datasource.sql_session().execute(sa.insert(outbox).values(order_id=order))
    effect("e-mail", order)


@datasource.transaction()
def sell_by_outbox(order: str) -> None:
    datasource.sql_session().execute(sa.insert(outbox).values(order_id=order))


@DBOS.workflow()
def checkout(order: str) -> None:
    sell(order)


@DBOS.workflow()
def checkout_by_outbox(order: str) -> None:
    sell_by_outbox(order)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


def rows() -> dict[str, dict[str, int]]:
    count = sa.select(sa.func.count()).select_from(outbox)
    with engine.connect() as connection:
        return {"e-mail": {"order-1": int(connection.scalar(count) or 0)}}


def prepare() -> None:
    outbox.create(engine)


PROMISES = {"e-mail": "exactly-once"}
mistake = Scenario(lambda: ask(checkout), prepare=prepare, promises=PROMISES)
corrected = Scenario(
    lambda: ask(checkout_by_outbox), prepare=prepare, effects=rows, promises=PROMISES
)
