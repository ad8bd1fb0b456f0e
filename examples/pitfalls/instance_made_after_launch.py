"""A configured instance that is made when it is first needed, after `DBOS.launch()`.

Problem: at the next launch DBOS recovers the workflow at once, and its instance does not exist yet.
The workflow stays PENDING although the instance comes later.
Fix: make every instance before `DBOS.launch()`, for example at import.
"""

from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID

from resumectl import Scenario

FINDING = "stuck"


@DBOS.dbos_class()
class Shop(DBOSConfiguredInstance):
    @DBOS.step()
    def pack(self, order: str) -> str:
        return f"{order} packed by {self.config_name}"

    @DBOS.workflow()
    def sell(self, order: str) -> str:
        return self.pack(order)


in_time = Shop("in time")


def ask(shop: Shop) -> object:
    with SetWorkflowID("sell-1"):
        return DBOS.start_workflow(shop.sell, "order-1").get_result()


def ask_late() -> object:
    if DBOS.get_workflow_status("sell-1") is not None:  # accepted before: wait for it
        return DBOS.retrieve_workflow("sell-1").get_result()
    return ask(Shop("late"))


mistake = Scenario(ask_late)
corrected = Scenario(lambda: ask(in_time))
