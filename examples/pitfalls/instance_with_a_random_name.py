"""A configured instance with a name that is random in each process.

Problem: the workflow belongs to an instance that no later process has. DBOS cannot run it, and it
stays PENDING.
Fix: give the instance the same name in each process.
"""

import uuid

from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID

from resumectl import Scenario

FINDING = "stuck"


@DBOS.dbos_class()
class Shop(DBOSConfiguredInstance):
    @DBOS.step()
    def pack(self, order: str) -> str:
        return f"{order} packed"

    @DBOS.workflow()
    def sell(self, order: str) -> str:
        return self.pack(order)


random_shop = Shop(f"shop-{uuid.uuid4().hex}")
shop = Shop("shop")


def ask(shop: Shop) -> object:
    with SetWorkflowID("sell-1"):
        return DBOS.start_workflow(shop.sell, "order-1").get_result()


mistake = Scenario(lambda: ask(random_shop))
corrected = Scenario(lambda: ask(shop))
