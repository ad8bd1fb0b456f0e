"""Write the findings of sweeps as SARIF 2.1.0, each at the source line of its step."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from resumectl import __version__
from resumectl.judge.stability import topic_of
from resumectl.model.events import StepDefinition
from resumectl.model.verdict import Kind
from resumectl.report.finding_text import MEANINGS, evidence_text
from resumectl.report.sweep_result import SeenFinding, SweepResult

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif_json(results: Sequence[SweepResult], directory: str) -> str:
    """Return the document.

    Args:
        results: Results of the sweeps.
        directory: Directory to which the paths of files are relative.
    """
    driver = {
        "name": "resumectl",
        "version": __version__,
        "rules": [
            {
                "id": str(kind),
                "shortDescription": {"text": f"{kind} after a crash"},
                "fullDescription": {"text": MEANINGS[kind]},
            }
            for kind in Kind
        ],
    }
    found = [_result(result, seen, directory) for result in results for seen in result.findings]
    run = {"tool": {"driver": driver}, "columnKind": "unicodeCodePoints", "results": found}
    document = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return json.dumps(document, indent=2) + "\n"


def _result(result: SweepResult, seen: SeenFinding, directory: str) -> dict[str, Any]:
    finding = seen.finding
    text = f"{finding.subject}: {evidence_text(finding.evidence)} (crash at {seen.plan})"
    return {
        "ruleId": str(finding.kind),
        "level": "warning" if seen.repeated.endswith("unstable") else "error",
        "message": {"text": text},
        "locations": [_location(result, seen, directory)],
        "partialFingerprints": {
            "finding/v1": f"{result.stored.target} {finding.kind} {finding.subject}"
        },
    }


def _location(result: SweepResult, seen: SeenFinding, directory: str) -> dict[str, Any]:
    step = location_of(result, seen)
    region = {} if step.line == 0 else {"region": {"startLine": step.line}}
    uri = Path(step.file.removeprefix(f"{directory}/")).as_posix()
    return {"physicalLocation": {"artifactLocation": {"uri": uri}, **region}}


def location_of(result: SweepResult, seen: SeenFinding) -> StepDefinition:
    """Return the source line of a finding's step; the target's file, line 0, for any other finding.

    Args:
        result: Result of the sweep.
        seen: The finding.
    """
    entry = result.stored.spec.target.entry
    usual = StepDefinition(step="", file=entry[0] if entry else "", line=0, digest="")
    return result.locations.get(topic_of(seen.finding), usual)
