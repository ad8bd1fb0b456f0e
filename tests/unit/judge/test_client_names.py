"""Names of workflows that the client starts without an id stand wherever their ids stood."""

from builders import client_started, committed, effect, observed, process, snapshot, workflow_row

from resumectl.judge.client_names import named, named_workflows, names_of
from resumectl.model.observation import Observation
from resumectl.model.workflow_names import WorkflowNames

ONE = "0b0f2c1e-6d1e-4e0c-9b33-dd1b5c2a4cc4"
TWO = "7c9e6679-7425-40de-944b-e07fc1f90ae7"


def run(workflow: str, arguments: str = "('a',)") -> Observation:
    rows = [workflow_row(workflow), workflow_row(f"{workflow}-1", parent=workflow)]
    return observed(
        process(
            [
                client_started(workflow, arguments=arguments),
                committed(f"{workflow}/accepted", f"{workflow}-1/accepted"),
                effect("mail", f"receipt of {workflow}"),
            ],
            snapshot(rows),
        )
    )


def test_runs_with_other_ids_are_the_same_under_names() -> None:
    names = names_of([run(ONE)])
    one, other = named(run(ONE), names), named(run(TWO), names)
    assert one == other
    assert [row.id for row in one.final.snapshot.workflows] == ["checkout(1)", "checkout(1)-1"]
    assert one.final.events[1:] == (
        committed("checkout(1)/accepted", "checkout(1)-1/accepted"),
        effect("mail", "receipt of checkout(1)"),
    )
    assert named_workflows(one) == {"checkout(1)", "checkout(1)-1"}


def test_names_of_the_first_program_count() -> None:
    assert names_of([run(ONE, "(1,)"), run(TWO, "(2,)")]).starts == {"checkout": ("(1,)",)}


def test_run_whose_client_fixes_the_ids_stays_as_it_is() -> None:
    fixed = run("order-1")
    assert named(fixed, WorkflowNames()) is fixed
    assert named_workflows(fixed) == set()
