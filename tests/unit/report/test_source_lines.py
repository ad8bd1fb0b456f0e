"""The step that a finding is about is found in the program, whatever its workflow's id holds."""

import pytest
from builders import crashed, process, started

from resumectl.model.events import StepDefinition
from resumectl.model.evidence import Missing
from resumectl.model.verdict import Finding, Kind
from resumectl.report.source_lines import definition_of, where_defined

CHARGE = StepDefinition("charge", "/srv/shop.py", 5, "digest")


@pytest.mark.parametrize("workflow", ["w-1", "<script>", "a\nnext:  b", "checkout(1)-2"])
def test_step_of_any_workflow_is_found(workflow: str) -> None:
    trial = crashed(process([started("charge", 1, workflow=workflow)]), process())
    finding = Finding(Kind.LOST, f"charge, {workflow}/step-1", Missing())
    found = definition_of(finding, trial, {"charge": CHARGE})
    assert where_defined(found, "/srv") == "shop.py:5"
