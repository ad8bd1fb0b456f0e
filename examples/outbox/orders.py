"""An order is a row of the shop's database and a message to the warehouse: both, or none."""

import json
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource

DATABASE = "sqlite:///orders.sqlite"
SENT = Path("sent.jsonl")

engine = sa.create_engine(DATABASE)
metadata = sa.MetaData()
orders = sa.Table("orders", metadata, sa.Column("customer", sa.Text), sa.Column("item", sa.Text))
datasource = SQLAlchemyDatasource.create(DATABASE, engine=engine)


def create_tables() -> None:
    metadata.create_all(engine)


@DBOS.step()
def tell_warehouse(customer: str, item: str) -> None:
    key = DBOS.workflow_id  # the warehouse ignores a message whose key it knows
    if key not in [message["key"] for message in messages()]:
        with SENT.open("a") as file:
            file.write(json.dumps({"key": key, "text": f"{item} for {customer}"}) + "\n")


def messages() -> list[dict[str, str]]:
    return [json.loads(line) for line in SENT.read_text().splitlines()] if SENT.exists() else []


@DBOS.workflow()
def notify(customer: str, item: str) -> None:
    tell_warehouse(customer, item)


def place_in_two(customer: str, item: str) -> None:
    """Commit the order, then start the workflow. A crash between the two is not repaired."""
    with engine.begin() as connection:
        connection.execute(sa.insert(orders).values(customer=customer, item=item))
    with SetWorkflowID(f"notify-{customer}-{item}"):
        DBOS.start_workflow(notify, customer, item).get_result()


@datasource.transaction()
def insert_order(customer: str, item: str) -> None:
    datasource.sql_session().execute(sa.insert(orders).values(customer=customer, item=item))


@DBOS.workflow()
def order(customer: str, item: str) -> None:
    insert_order(customer, item)
    tell_warehouse(customer, item)


def place(customer: str, item: str) -> None:
    """Start one workflow that does both. DBOS is the outbox."""
    with SetWorkflowID(f"order-{customer}-{item}"):
        DBOS.start_workflow(order, customer, item).get_result()


def seen() -> dict[str, Any]:
    """Return the rows of the shop, and the messages that the warehouse got."""
    with engine.connect() as connection:
        rows = connection.execute(sa.select(orders).order_by(*orders.c)).all()
    return {
        "orders": [f"{row.item} for {row.customer}" for row in rows],
        "messages": [message["text"] for message in messages()],
    }
