"""Bill a customer: the workflow and its steps."""

from dbos import DBOS

from billing import ledger


@DBOS.step()
def compute(euros: int) -> int:
    return euros * 100


@DBOS.step()
def enter(customer: str, cents: int) -> None:
    ledger.enter(f"invoice of {DBOS.workflow_id}", customer, cents)


@DBOS.workflow()
def bill(customer: str, euros: int) -> str:
    cents = compute(euros)
    enter(customer, cents)
    return f"{customer} owes {cents} cents"
