"""State that is kept in memory between two steps.

Problem: a step that is replayed does not run, so what it put into a variable is missing after a
crash. The bill is made from an empty basket.
Fix: pass on what steps return, since that is recorded.
"""

from collections.abc import Callable
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario

FINDING = "diverged"
basket: list[int] = []


@DBOS.step()
def put(price: int) -> int:
    basket.append(price)
    return price


@DBOS.step()
def bill(prices: list[int]) -> int:
    return sum(prices)


@DBOS.workflow()
def shop() -> int:
    put(3)
    put(4)
    return bill(basket)


@DBOS.workflow()
def shop_with_results() -> int:
    return bill([put(3), put(4)])


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("shop-1"):
        return DBOS.start_workflow(workflow).get_result()


mistake = Scenario(lambda: ask(shop))
corrected = Scenario(lambda: ask(shop_with_results))
