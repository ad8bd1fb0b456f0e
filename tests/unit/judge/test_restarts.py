"""What a restart starts once more, since the import of the program starts workflows."""

from dataclasses import replace

import pytest
from builders import trial, workflow_row

from resumectl.judge.restarts import started_once_more
from resumectl.model.events import StartedWorkflow, TargetImported
from resumectl.model.observation import Observation

SECOND = "~work of the client no. 2"


def restarted(workflow_id: str) -> Observation:
    """A trial whose second process starts this workflow as it is imported, and a child of it."""
    seen = trial([("charge", "ok")])
    first, last = seen.processes
    imported = TargetImported(1, (StartedWorkflow(workflow_id, "work"),))
    rows = (workflow_row(workflow_id), workflow_row("child", parent=workflow_id))
    left = replace(last.snapshot, workflows=(*last.snapshot.workflows, *rows))
    last = replace(last, events=(imported, *last.events), snapshot=left)
    return replace(seen, processes=(first, last))


@pytest.mark.parametrize(
    ("workflow_id", "known", "found"),
    [
        (SECOND, [], {SECOND, "child"}),
        (SECOND, [SECOND], set()),  # uninterrupted, it is there as well
        ("fixed-1", [], set()),  # the client fixes its id, and asks again
    ],
)
def test_only_what_is_started_under_another_id_is_started_once_more(
    workflow_id: str, known: list[str], found: set[str]
) -> None:
    assert started_once_more(restarted(workflow_id), known) == found


def test_first_process_starts_nothing_once_more() -> None:
    seen = restarted(SECOND)
    assert started_once_more(replace(seen, processes=seen.processes[::-1]), []) == set()
