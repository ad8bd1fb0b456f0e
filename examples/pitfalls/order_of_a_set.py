"""A loop over a set in the body of a workflow.

Problem: the order of a set of texts differs from process to process (PYTHONHASHSEED). After a crash
the loop begins with another parcel, but DBOS replays steps by their number: one parcel is shipped
twice, and another never. Within one process it always works.
Fix: sort the set.
"""

from collections.abc import Callable
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario, effect

FINDING = "lost"
PARCELS = {"apples", "bread", "cheese", "dates", "eggs", "figs"}


@DBOS.step()
def ship(parcel: str) -> None:
    effect("ship", parcel)


@DBOS.workflow()
def ship_all() -> None:
    for parcel in PARCELS:
        ship(parcel)


@DBOS.workflow()
def ship_all_sorted() -> None:
    for parcel in sorted(PARCELS):
        ship(parcel)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("ship-1"):
        return DBOS.start_workflow(workflow).get_result()


mistake = Scenario(lambda: ask(ship_all))
corrected = Scenario(lambda: ask(ship_all_sorted))
