"""A branch on the time of day in the body of a workflow.

Problem: after a crash it is later. The body takes the other branch and meets the record of a step
that it does not call, so DBOS fails the workflow for ever.
Fix: read the clock in a step, whose result is recorded.
"""

import time
from collections.abc import Callable
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl import Scenario

FINDING = "failed"


@DBOS.step()
def by_truck() -> str:
    return "truck"


@DBOS.step()
def by_train() -> str:
    return "train"


@DBOS.step()
def by_ship() -> str:
    return "ship"


CARRIERS = [by_truck, by_train, by_ship]


@DBOS.step()
def now_ns() -> int:
    return time.time_ns()


@DBOS.workflow()
def dispatch() -> int:
    return len([CARRIERS[time.time_ns() // 100 % 3]() for _ in range(5)])


@DBOS.workflow()
def dispatch_as_recorded() -> int:
    return len([CARRIERS[now_ns() // 100 % 3]() for _ in range(5)])


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("dispatch-1"):
        return DBOS.start_workflow(workflow).get_result()


mistake = Scenario(lambda: ask(dispatch))
corrected = Scenario(lambda: ask(dispatch_as_recorded))
