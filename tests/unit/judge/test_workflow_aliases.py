"""Workflows whose ids differ from run to run have names that do not."""

import json

import pytest
from builders import (
    committed,
    effect,
    observed,
    process,
    replayed,
    snapshot,
    started,
    step_row,
    workflow_row,
)

from resumectl.judge.workflow_aliases import (
    aliased,
    has_parent,
    is_alias,
    is_scheduled,
    stable_ids,
    started_at_import,
)
from resumectl.model.events import Event, StartedWorkflow, TargetImported
from resumectl.model.observation import Observation
from resumectl.model.snapshot import WorkflowRow

CHILD = "0b0f2c1e-6d1e-4e0c-9b33-dd1b5c2a4cc4"
OTHER = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def run(child: str, *events: Event, rows: tuple[WorkflowRow, ...] = ()) -> Observation:
    """A parent that starts a child under a random id by its first step."""
    workflows = rows or (
        workflow_row("parent-1"),
        workflow_row(child, name="child", parent="parent-1"),
    )
    steps = [
        step_row(1, "child", workflow="parent-1", child=child),
        step_row(2, "DBOS.getResult", json.dumps("ok"), workflow="parent-1", child=child),
        step_row(1, "charge", json.dumps(f"receipt_{child}"), workflow=child),
    ]
    return observed(process(events, snapshot(workflows, steps)))


def test_child_with_a_random_id_is_named_by_its_parent_and_step() -> None:
    runs = [run(CHILD), run(OTHER)]
    stable = stable_ids(runs)
    assert stable == {"parent-1"}
    one, other = (aliased(each, stable).final.snapshot for each in runs)
    assert one == other
    assert one.workflows[1].id == "~child of parent-1 by step 1"
    assert one.steps[2].output == "'receipt_~child of parent-1 by step 1'"


def test_alias_stands_in_each_event_but_not_in_the_words_of_the_program() -> None:
    events: list[Event] = [
        committed(f"{CHILD}/step-1"),
        started(CHILD, workflow=CHILD),
        replayed("charge", workflow=CHILD),
        effect("paid", CHILD),
    ]
    alias = "~child of parent-1 by step 1"
    commit, step, replay, paid = aliased(run(CHILD, *events), {"parent-1"}).final.events
    assert commit == committed(f"{alias}/step-1")
    assert step == started(CHILD, workflow=alias)  # the name of a step is no id
    assert replay == replayed("charge", workflow=alias)
    assert paid == effect("paid", alias)


def test_short_id_is_found_only_where_it_stands_by_itself() -> None:
    seen = aliased(run("ab", effect("paid", "ab", "cabin", "x-ab")), {"parent-1"})
    (paid,) = seen.final.events
    assert paid == effect("paid", "~child of parent-1 by step 1", "cabin", "x-ab")


def test_run_without_varying_ids_is_returned_as_it_is() -> None:
    seen = run(CHILD)
    assert aliased(seen, {"parent-1", CHILD}) is seen


@pytest.mark.parametrize(
    ("workflow_id", "alias"),
    [("x1", "~work of the client no. 1"), ("sched-tick-1", "~work of the schedule no. 1")],
)
def test_workflow_without_a_parent_is_named_by_who_starts_it(workflow_id: str, alias: str) -> None:
    seen = aliased(run("y", rows=(workflow_row(workflow_id),)), set())
    assert seen.final.snapshot.workflows[0].id == alias
    assert is_alias(alias)
    assert not has_parent(alias)
    assert is_scheduled(alias) is ("schedule" in alias)


def test_workflows_that_an_import_starts_are_told() -> None:
    imported = TargetImported(1, (StartedWorkflow("a", "work"), StartedWorkflow("b", "work")))
    assert started_at_import(run(CHILD, imported)) == {"a", "b"}
