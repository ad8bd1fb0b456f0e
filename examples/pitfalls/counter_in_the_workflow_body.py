"""A counter in memory that the body of a workflow increments.

Problem: it starts at zero in each process, and it counts executions of the body, not orders. Two
invoices get the same number.
Fix: take the number in a step that reads what is durable.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario

FINDING = "diverged"
numbers = itertools.count(1)


@DBOS.step()
def write_invoice(order: str, number: int) -> str:
    return f"invoice {number} for {order}"


@DBOS.step()
def number_of(order: str) -> int:
    taken = Path("numbers.txt")
    orders = taken.read_text().split() if taken.exists() else []
    if order not in orders:
        taken.write_text("\n".join([*orders, order]))
        orders.append(order)
    return orders.index(order) + 1


@DBOS.workflow()
def invoice(order: str) -> str:
    return write_invoice(order, next(numbers))


@DBOS.workflow()
def invoice_by_record(order: str) -> str:
    return write_invoice(order, number_of(order))


def ask(workflow: Callable[..., Any]) -> list[Any]:
    answers: list[Any] = []
    for order in ("order-1", "order-2"):
        with SetWorkflowID(f"invoice-{order}"):
            handle = DBOS.start_workflow(workflow, order)
        answers.append(handle.get_result())
    return answers


mistake = Scenario(lambda: ask(invoice))
corrected = Scenario(lambda: ask(invoice_by_record))
