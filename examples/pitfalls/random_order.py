"""A random order of steps in the body of a workflow.

Problem: after a crash the order is different. DBOS replays recorded steps by their number, so
parcel 1 of the old order stands for parcel 1 of the new one: one parcel is shipped twice, and
another never.
Fix: draw the order in a step, whose result is recorded.
"""

import random
from collections.abc import Callable
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario, effect

FINDING = "lost"
PARCELS = ["a", "b", "c", "d", "e", "f"]


@DBOS.step()
def ship(parcel: str) -> None:
    effect("ship", parcel)


@DBOS.step()
def shuffled() -> list[str]:
    return random.sample(PARCELS, len(PARCELS))


@DBOS.workflow()
def ship_all() -> None:
    for parcel in random.sample(PARCELS, len(PARCELS)):
        ship(parcel)


@DBOS.workflow()
def ship_all_as_recorded() -> None:
    for parcel in shuffled():
        ship(parcel)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("ship-1"):
        return DBOS.start_workflow(workflow).get_result()


mistake = Scenario(lambda: ask(ship_all))
corrected = Scenario(lambda: ask(ship_all_as_recorded))
