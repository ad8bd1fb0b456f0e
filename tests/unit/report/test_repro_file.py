"""A file that shows a finding is valid Python, kills at the right commit, and names no machine."""

from typing import Any

import pytest

from resumectl.model import evidence as e
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.target import Client, Target
from resumectl.model.verdict import Finding, Kind
from resumectl.report.repro.issue_file import issue_text
from resumectl.report.repro.publishable import (
    other_libraries,
    parts_of_resumectl,
    publishable,
)
from resumectl.report.repro.repro_file import Reproduction, look_at, repro_text

ENVIRON = {"KEY": "hunter2", "APP": "sqlite:///{sandbox}/app.sqlite"}


def reproduction(title: str = "duplicated pay", pattern: str = "w-1/step-1") -> Reproduction:
    return Reproduction(
        target=Target(("/srv/shop.py", "checkout"), environ=ENVIRON),
        client=Client.RETRIES,
        plan=CrashPlan.parse(f"before:{pattern}"),
        finding=Finding(Kind.DUPLICATED, "pay, w-1/step-1", e.RanAgain(2)),
        title=title,
        sources={"shop.py": "import dbos\n"},
        starts=frozenset(),
        dbos="3.4.0",
        python="3.11.7",
        interpreter="/usr/bin/python3",
        libraries=["fastapi"],
    )


def namespace(found: Reproduction) -> dict[str, Any]:
    names: dict[str, Any] = {"__name__": "repro"}
    exec(compile(repro_text(found, "/srv"), "repro.py", "exec"), names)
    return names


@pytest.mark.parametrize("title", ['a """ b', 'ends with "', "C:\\new \\N{x} \\", "é 'q' [red]"])
def test_any_title_is_valid_python(title: str) -> None:
    assert title.rstrip(".") in namespace(reproduction(title))["__doc__"]


def test_variables_are_named_and_only_those_of_the_sandbox_have_values() -> None:
    names = namespace(reproduction())
    assert (names["NEEDS"], names["ENVIRON"]) == (["KEY"], {"APP": ENVIRON["APP"]})
    assert "hunter2" not in repro_text(reproduction(), "/srv")
    found = reproduction("duplicated pay: ran 2 times")
    issue = issue_text(found, story="process 1", fails=1, runs=2)
    assert "These variables were set: KEY." in issue
    assert issue.startswith("# duplicated pay\n")
    assert "\n\nduplicated pay: ran 2 times.\n" in issue
    assert "It also imports fastapi." in issue


def test_record_of_a_parent_is_no_step_of_its_child() -> None:
    is_the_statement = namespace(reproduction())["is_the_statement"]
    insert = "INSERT INTO operation_outputs (workflow_uuid, function_id, child_workflow_id) VALUES"
    own = {"workflow_uuid": "w-1-1", "function_id": 1, "child_workflow_id": None}
    parent = {"workflow_uuid": "w-1", "function_id": 1, "child_workflow_id": "w-1-1"}
    assert is_the_statement(insert, own, ["w-1-1"], "w-1-1", "step-1")
    assert not is_the_statement(insert, parent, ["w-1"], "w-1-1", "step-1")
    assert not is_the_statement(insert, own, ["w-1-1"], "w-1-1", "step-2")
    raw = dict(enumerate(["w-1-1", 1]))  # a statement of a driver has no names
    assert is_the_statement(insert, raw, ["w-1-1", "1"], "w-1-1", "step-1")


def test_text_has_names_in_place_of_values_and_relative_paths() -> None:
    text = "no file /srv/shop/rates.txt for hunter2"
    assert publishable(text, "/srv/shop", ENVIRON) == "no file rates.txt for $KEY"


def test_libraries_are_those_beside_dbos_and_the_program() -> None:
    sources = {
        "app/main.py": "import os, fastapi.testclient\nfrom app import flows\nfrom . import x\n",
        "app/flows.py": "from dbos import DBOS\nfrom resumectl import Scenario, effect\n",
    }
    assert other_libraries(sources) == ["fastapi"]
    assert parts_of_resumectl(sources) == []
    tests = {"a.py": "from resumectl.testing import crash_points\n"}
    assert parts_of_resumectl(tests) == ["resumectl.testing.crash_points"]


@pytest.mark.parametrize(
    ("subject", "evidence", "expected"),
    [
        ("pay, w-1/step-1", e.RanAgain(2), ["runs", "pay"]),
        ("pay, w-1/step-1", e.OtherArgumentsAfterCrash(2, 1), ["arguments in all", "w-1/step-1"]),
        ("pay, f(1)/step-1", e.OtherArgumentsAfterCrash(2, 1), ["arguments in all", "*/step-1"]),
        ("pay, w-1/step-1", e.OtherArguments(False, "2", "1"), ["arguments", "w-1/step-1"]),
        ("w-1/step-2", e.OtherPath("ship", "pack"), ["steps", "w-1"]),
        ("f(1)/step-2", e.OtherPath("ship", "pack"), ["steps", "f"]),
        ("answer", e.OtherValue("", "2", "1"), ["answer"]),
        ("observed", e.OtherValue("", "2", "1"), ["observed"]),
        ("w-1", e.Missing(), ["workflows"]),
    ],
)
def test_part_of_the_outcome_is_that_of_the_evidence(
    subject: str, evidence: e.Evidence, expected: list[str]
) -> None:
    assert look_at(Finding(Kind.DIVERGED, subject, evidence)) == expected
