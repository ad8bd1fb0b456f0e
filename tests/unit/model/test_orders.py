"""Orders to other processes are read back exactly, and a control pauses where a trial kills."""

import json

import pytest

from resumectl.errors import Refusal
from resumectl.model.codec import SchemaError, any_of, from_json, to_json, to_plain
from resumectl.model.events import ClientStarted
from resumectl.model.orders import (
    CHILD_REQUESTS,
    REPLIES,
    REQUESTS,
    ContainmentOrder,
    Control,
    CrashAfterOrder,
    Exited,
    KillProcess,
    MakeTemplate,
    ProcessOrder,
    StartProcess,
)
from resumectl.model.schedule import schedule_of
from resumectl.model.target import Access, Target
from resumectl.model.workflow_names import WorkflowNames

ORDER = ProcessOrder(
    sandbox="/sandbox", database_url="sqlite:////sandbox/app.sqlite", event_file="/sandbox/events",
    target=Target(("/shop.py", "checkout"), args=(1, {"a": [None]})), deployed_as=None,
    crash="after:w-1/step-1", cores=(0, 1), schedule=schedule_of(1), is_first=True,
    names=WorkflowNames({"checkout": ("(1,)",)}),
    starts=(ClientStarted(1, "0b", "checkout", True, "(1,)", None),), has_request=True,
    delays_client=False, reports_libraries=True, patience_s=2.5, clock_ahead_s=0.0, migrates=False,
    control=Control("after:w-1/step-1", 0.0, 3_600.0), time_limit_s=None,
)  # fmt: skip


def test_request_to_start_a_process_is_read_back_exactly() -> None:
    request = StartProcess(7, ORDER)
    assert any_of(REQUESTS, json.loads(to_json(request))) == request


def test_order_without_a_field_is_refused() -> None:
    plain = json.loads(to_json(StartProcess(7, ORDER)))
    del plain["order"]["is_first"]
    with pytest.raises(SchemaError, match="ProcessOrder has no is_first"):
        any_of(REQUESTS, plain)


def test_reply_is_no_request() -> None:
    assert any_of(REPLIES, to_plain(Exited(1, 2, 9))) == Exited(1, 2, 9)
    with pytest.raises(SchemaError, match="unknown kind 'exited'"):
        any_of(REQUESTS, to_plain(Exited(1, 2, 9)))


def test_children_carry_out_exactly_the_requests_that_start_a_process() -> None:
    assert set(CHILD_REQUESTS) == {StartProcess, MakeTemplate}
    assert KillProcess in REQUESTS


@pytest.mark.parametrize(
    "order",
    [
        ContainmentOrder(Access(hosts=("localhost:80",)), "/template", "sqlite:///x", "/events"),
        CrashAfterOrder("alpha-1", "after:alpha-1-*/delivered#7", 3, "resumectl", "1", None,
                        "dbos", None, verbose=False, log_format="text"),
    ],
)  # fmt: skip
def test_order_to_a_process_of_its_own_is_read_back_exactly(
    order: ContainmentOrder | CrashAfterOrder,
) -> None:
    assert from_json(type(order), to_json(order)) == order


def test_control_pauses_at_the_first_crash_and_holds_nothing() -> None:
    plan = "after:a-1/step-1+hold:a-1/delivered#3,before:a-1/succeeded"
    assert Control.at_first_crash(plan, 1.5) == Control("after:a-1/step-1", 1.5, jump_s=0.0)
    with pytest.raises(Refusal):
        Control.at_first_crash("step-1", 1.5)
