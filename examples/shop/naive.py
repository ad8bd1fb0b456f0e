"""The shop as it is written first: each step calls a service, and nothing says which call it is."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import services
from dbos import DBOS
from fastapi import FastAPI

DBOS(config={"name": "shop", "system_database_url": "sqlite:///shop.sqlite"})


@asynccontextmanager
async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
    DBOS.launch()
    yield
    DBOS.destroy()


app = FastAPI(lifespan=lifespan)


@DBOS.step()
def charge(customer: str, amount: int) -> None:
    services.charge(customer, amount)


@DBOS.step()
def mail(customer: str, amount: int) -> None:
    services.send_mail(customer, f"thank you for {amount}")


@DBOS.workflow()
def checkout(customer: str, amount: int) -> None:
    charge(customer, amount)
    mail(customer, amount)


@app.post("/orders/{customer}")
def create_order(customer: str, amount: int) -> dict[str, Any]:
    handle = DBOS.start_workflow(checkout, customer, amount)
    return {"workflow": handle.get_workflow_id()}


def post_order() -> Any:
    """What a client does, for crash tests."""
    from fastapi.testclient import TestClient

    return TestClient(app).post("/orders/ada?amount=30").json()
