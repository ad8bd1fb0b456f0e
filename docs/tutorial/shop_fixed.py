import sqlite3

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario


def payment_service() -> sqlite3.Connection:
    """Return what stands for the payment service: it accepts each idempotency key once."""
    service = sqlite3.connect("payments.sqlite")
    service.execute("CREATE TABLE IF NOT EXISTS payments (idempotency_key TEXT UNIQUE)")
    return service


@DBOS.step()
def charge(order: str) -> str:
    with payment_service() as service:  # the idempotency key is the order
        service.execute("INSERT OR IGNORE INTO payments VALUES (?)", [order])
    return f"{order} is paid"


@DBOS.step()
def ship(order: str) -> str:
    return f"{order} is under way"


@DBOS.workflow()
def checkout(order: str) -> str:
    charge(order)
    return ship(order)


def request() -> str:
    with SetWorkflowID("checkout-1"):
        return DBOS.start_workflow(checkout, "order-1").get_result()


def effects() -> dict[str, dict[str, int]]:
    query = "SELECT idempotency_key, count(*) FROM payments GROUP BY idempotency_key"
    with payment_service() as service:
        return {"payment": dict(service.execute(query).fetchall())}


paying = Scenario(request, effects=effects, promises={"payment": "exactly-once"})
