"""The shop whose client may ask again: the id of the workflow is made from the order.

A row of the shop's own database says that an order is paid. It is written in a transaction of a
datasource, together with DBOS's record of the step, so it is written exactly once.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import services
import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource
from fastapi import FastAPI

DATABASE = "sqlite:///orders.sqlite"
engine = sa.create_engine(DATABASE)
metadata = sa.MetaData()
payments = sa.Table(
    "payments", metadata, sa.Column("customer", sa.Text), sa.Column("amount", sa.Integer)
)
datasource = SQLAlchemyDatasource.create(DATABASE, engine=engine)
DBOS(config={"name": "shop", "system_database_url": "sqlite:///shop.sqlite"})


def create_tables() -> None:
    metadata.create_all(engine)


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    DBOS.launch()
    create_tables()
    yield
    DBOS.destroy()


app = FastAPI(lifespan=lifespan)


@DBOS.step()
def charge(customer: str, amount: int) -> None:
    services.charge(customer, amount, key=f"charge-{DBOS.workflow_id}")


@datasource.transaction()
def book(customer: str, amount: int) -> None:
    row = sa.insert(payments).values(customer=customer, amount=amount)
    datasource.sql_session().execute(row)


@DBOS.step()
def mail(customer: str, amount: int) -> None:
    services.send_mail(customer, f"thank you for {amount}", key=f"mail-{DBOS.workflow_id}")


@DBOS.workflow()
def checkout(customer: str, amount: int) -> None:
    charge(customer, amount)
    book(customer, amount)
    mail(customer, amount)


@app.post("/orders/{order}/{customer}")
def create_order(order: str, customer: str, amount: int) -> dict[str, Any]:
    with SetWorkflowID(f"checkout-{order}"):
        handle = DBOS.start_workflow(checkout, customer, amount)
    return {"workflow": handle.get_workflow_id()}


def post_order() -> Any:
    """What a client does, for crash tests."""
    from fastapi.testclient import TestClient

    return TestClient(app).post("/orders/order-1/ada?amount=30").json()


def seen() -> dict[str, Any]:
    """Return what customers see, and the shop's own books."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(payments).order_by(payments.c.customer)).all()
    return {**services.seen(), "payments": [f"{row.customer} paid {row.amount}" for row in rows]}
