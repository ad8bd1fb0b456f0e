"""Reports for CI services hold every trial and finding, and show hostile texts as they are."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import xmlschema

from resumectl.judge.stability import settled, topic_of
from resumectl.model.codec import to_plain
from resumectl.model.events import EVENT_SCHEMA, StepDefinition
from resumectl.model.evidence import NeverStarted, OtherValue
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Client, Target
from resumectl.model.verdict import Exposure, Finding, Judgement, Kind, Verdict
from resumectl.report.ci.github import annotations
from resumectl.report.ci.junit import junit_xml
from resumectl.report.ci.sarif import sarif_json
from resumectl.report.ci.summary import summary_markdown
from resumectl.report.sweep_result import SweepResult
from resumectl.runner.stored_sweep import StoredSweep

TARGET = Target(("/home/shop/shop.py", "sell"))
SPEC = {"schema": EVENT_SCHEMA, "resumectl": "0.1.0", **to_plain(SweepSpec(TARGET, TARGET, {}))}
JUNIT = xmlschema.XMLSchema(Path(__file__).parents[2] / "junit.xsd")
HOSTILE = "a|b <script> [red] `x` \x1b[31m \x00 \u202e ::error:: \n%0A"
STEP = StepDefinition("charge", "/home/shop/shop.py", 12, "")


def finding(value: str = "2", subject: str = "charge, sell-1/step-1") -> Finding:
    return Finding(Kind.DIVERGED, subject, OtherValue("output", value, "1"))


def result(judged: Sequence[Judgement], *, planned: int | None = None, **more: Any) -> SweepResult:
    stored = StoredSweep(
        1, "shop.py:sell", SPEC, 0, planned or len(judged), 1.0, {}, planned or len(judged),
        len(judged),
    )  # fmt: skip
    found = SweepResult(
        stored, settled(judged, []), (), (None, None), False, {}, Client.RETRIES, None,
        seconds={each.plan: [0.25] for each in judged}, locations={}, left_out=(),
    )  # fmt: skip
    return replace(found, **more)


def judgement(n: int, *findings: Finding, **more: Any) -> Judgement:
    verdict = Verdict.BROKEN if findings else Verdict.KEPT
    return replace(
        Judgement(f"before:sell-1/step-{n}", verdict, findings, crashes_reached=1), **more
    )


BROKEN = result(
    [
        judgement(10),
        judgement(2, finding()),
        judgement(3, verdict=Verdict.VOID, why_void="no kill"),
    ],
    locations={topic_of(finding()): STEP},
)
WILD = result([judgement(1, finding(HOSTILE, HOSTILE), exposures=(Exposure(HOSTILE, 2),))])


@pytest.mark.parametrize("found", [BROKEN, WILD, result([])])
def test_junit_report_is_valid(found: SweepResult) -> None:
    JUNIT.validate(junit_xml([found, found], "/home/shop").decode())


def test_junit_report_has_every_trial_in_natural_order() -> None:
    document: Any = JUNIT.to_dict(junit_xml([BROKEN], "/home/shop").decode())
    (suite,) = document["testsuite"]
    assert (suite["@tests"], suite["@failures"], suite["@errors"]) == (3, 1, 1)
    names = [case["@name"] for case in suite["testcase"]]
    assert names == [f"before:sell-1/step-{n}" for n in (2, 3, 10)]
    assert suite["testcase"][0]["@time"] == pytest.approx(0.25)
    failure = suite["testcase"][0]["failure"]
    assert failure["@message"].startswith("diverged charge, sell-1/step-1: output is 2")
    assert "resumectl replay before:sell-1/step-2 shop.py:sell" in failure["$"]
    assert suite["testcase"][1]["error"]["@message"] == "no kill"


def test_summary_says_the_verdict_the_findings_and_how_to_see_them() -> None:
    text = summary_markdown([BROKEN], "/home/shop")
    assert text.startswith("## ❌ shop.py:sell\n\nBROKEN: 1 of 3 trials broke a promise.\n")
    assert "| diverged | charge, sell-1/step-1 | output is 2; baseline: 1 | shop.py:12 |" in text
    assert "\nresumectl replay before:sell-1/step-2 shop.py:sell\n" in text
    assert "- VOID at `before:sell-1/step-3`: no kill" in text


def test_summary_says_what_was_left_out() -> None:
    kept = result([judgement(1)], planned=3, left_out=["before:sell-1/step-2", "after:x/y"])
    text = summary_markdown([kept], "/")
    assert "## ✅ shop.py:sell\n\nKEPT: every promise held at 1 of 3 crash points." in text
    assert "2 crash points left out: `before:sell-1/step-2`, `after:x/y`" in text


def test_summary_shows_hostile_text_as_text() -> None:
    text = summary_markdown([WILD], "/")
    assert "\x1b" not in text
    assert "\x00" not in text
    assert "<script>" not in text.replace("\\<script\\>", "")
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    # No cell is broken by a bar or a line break of the program's.
    assert {
        len(re.findall(r"(?<!\\)\|", row)) for row in rows if "finding" in row or "div" in row
    } == {6}


def test_exposure_with_a_note_is_in_the_summary() -> None:
    noted = Exposure("checkout(2)", 0, note=NeverStarted())
    text = summary_markdown([result([judgement(1, exposures=(noted,))])], "/")
    assert "| checkout(2) | 0 times | `before:sell-1/step-1` | the client gave up before" in text


def test_sarif_names_the_line_of_the_step() -> None:
    document = json.loads(sarif_json([BROKEN, WILD], "/home/shop"))
    assert document["version"] == "2.1.0"
    (run,) = document["runs"]
    rules = {rule["id"] for rule in run["tool"]["driver"]["rules"]}
    known, wild = run["results"]
    assert {known["ruleId"], wild["ruleId"]} <= rules == set(map(str, Kind))
    place = known["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "shop.py"}, "region": {"startLine": 12}}
    # A finding about no step of the program is at the file of the target.
    place = wild["locations"][0]["physicalLocation"]
    assert place == {"artifactLocation": {"uri": "shop.py"}}
    assert known["level"] == "error"


def test_annotation_is_one_line_at_the_step() -> None:
    (line,) = annotations([BROKEN], "/home/shop")
    assert line == (
        "::error file=shop.py,line=12,title=diverged after a crash::charge, sell-1/step-1: "
        "output is 2; baseline: 1 (crash at before:sell-1/step-2)"
    )
    (wild,) = annotations([WILD], "/home/shop")
    assert "\n" not in wild
    assert "%250A" in wild  # a percent sign of the program's stays one
