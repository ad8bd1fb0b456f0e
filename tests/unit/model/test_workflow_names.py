"""A workflow without an id is named by its function and turn, the same in each run."""

import pytest
from builders import client_started

from resumectl.model.events import ClientStarted
from resumectl.model.workflow_names import (
    WorkflowNamer,
    WorkflowNames,
    ancestors_of,
    identify_arguments,
    is_generated,
)

ONE = "0b0f2c1e-6d1e-4e0c-9b33-dd1b5c2a4cc4"
TWO = "7c9e6679-7425-40de-944b-e07fc1f90ae7"
THREE = "3f2504e0-4f89-41d3-9a0c-0305e82c3301"
OF_PYTHON_3_14 = "01932c07-209c-7d3a-9f3c-7b1d3c2a4cc4"


def start(workflow: str, arguments: str = "('a',)", turn: int | None = 1) -> ClientStarted:
    return client_started(workflow, arguments=arguments, turn=turn)


@pytest.mark.parametrize("workflow_id", [ONE, TWO, OF_PYTHON_3_14])
def test_id_that_dbos_makes_is_generated(workflow_id: str) -> None:
    assert is_generated(workflow_id)


@pytest.mark.parametrize("workflow_id", ["order-1", f"{ONE}-1", f"order-{ONE}", ONE.upper(), ""])
def test_other_id_is_not_generated(workflow_id: str) -> None:
    assert not is_generated(workflow_id)


def test_starts_of_the_main_thread_are_numbered_in_its_order() -> None:
    names = WorkflowNames.of([start(ONE, "('b',)", 7), start(TWO, "('a',)", 2)])
    assert names.starts == {"checkout": ("('a',)", "('b',)")}


def test_starts_of_several_threads_are_numbered_in_the_order_of_their_arguments() -> None:
    names = WorkflowNames.of([start(ONE, "(10,)", None), start(TWO, "(9,)", 1)])
    assert names.starts == {"checkout": ("(9,)", "(10,)")}


def test_workflow_with_an_id_of_its_own_gets_no_name() -> None:
    names = WorkflowNames.of([start("order-1")])
    assert names.starts == {}
    assert WorkflowNamer(names, [start("order-1")]).names == {}


def test_start_is_recognized_by_its_arguments_in_whatever_order_it_comes() -> None:
    names = WorkflowNames({"checkout": ("('a',)", "('b',)")})
    namer = WorkflowNamer(names, [start(ONE, "('b',)"), start(TWO, "('a',)")])
    assert namer.names == {ONE: "checkout(2)", TWO: "checkout(1)"}


def test_starts_with_the_same_arguments_are_numbered_as_they_come() -> None:
    namer = WorkflowNamer(WorkflowNames({"checkout": ("()", "()")}), [start(TWO, "()")])
    namer.see(start(ONE, "()"))
    assert namer.names == {TWO: "checkout(1)", ONE: "checkout(2)"}


def test_one_start_too_many_is_numbered_after_the_known_ones() -> None:
    names = WorkflowNames({"checkout": ("('a',)", "('b',)")})
    namer = WorkflowNamer(names, [start(ONE), start(TWO)])
    assert namer.names == {ONE: "checkout(1)", TWO: "checkout(3)"}


def test_start_with_unknown_arguments_gets_the_first_unused_number() -> None:
    names = WorkflowNames({"checkout": ("('at 12:00',)", "('at 12:01',)")})
    namer = WorkflowNamer(names, [start(ONE, "('at 13:00',)"), start(TWO, "('at 13:01',)")])
    assert namer.names == {ONE: "checkout(1)", TWO: "checkout(2)"}


def test_each_function_has_numbers_of_its_own() -> None:
    namer = WorkflowNamer(WorkflowNames(), [start(ONE), client_started(TWO, "Shop.refund")])
    assert namer.names == {ONE: "checkout(1)", TWO: "Shop.refund(1)"}


def test_workflow_keeps_its_name_when_it_is_started_again() -> None:
    namer = WorkflowNamer(WorkflowNames(), [start(ONE), start(ONE), start(TWO)])
    assert namer.names == {ONE: "checkout(1)", TWO: "checkout(2)"}


def test_descendants_are_named_after_the_workflow() -> None:
    namer = WorkflowNamer(WorkflowNames(), [start(ONE)])
    assert namer.workflow(f"{ONE}-2-1") == "checkout(1)-2-1"
    assert namer.workflow(THREE) == THREE
    assert namer.transition(f"{ONE}-2/step-1") == "checkout(1)-2/step-1"
    assert namer.transition("orders/inserted") == "orders/inserted"
    assert namer.transition("alpha-1-7/delivered") == "alpha-1-7/delivered"


def test_ancestors_are_those_from_whose_ids_dbos_derived_it() -> None:
    assert list(ancestors_of("w-2-1")) == ["w-2", "w"]
    assert list(ancestors_of("w")) == []


def test_long_arguments_are_told_apart_by_their_digests() -> None:
    long, other = (identify_arguments(f'"{"x" * 1_000}{n}"') for n in (1, 2))
    assert long != other
    assert len(long) < 300
    assert identify_arguments('["a"]') == "['a']"
    assert identify_arguments(None) == ""
