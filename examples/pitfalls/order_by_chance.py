"""A path through the workflow that is chosen by chance, in its body.

What goes wrong: after a crash the dice fall otherwise. DBOS replays recorded steps by their
number, so parcel 1 of the old order answers for parcel 1 of the new: one is shipped twice,
and another never.
How to mend it: throw the dice in a step, whose result is recorded.
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
