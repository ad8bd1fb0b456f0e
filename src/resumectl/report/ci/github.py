"""Write findings as annotations of GitHub Actions: lines that its runner reads from the output."""

from collections.abc import Iterator, Sequence

from resumectl.report.ci.sarif import location_of
from resumectl.report.finding_text import evidence_text
from resumectl.report.sweep_result import SweepResult

_SHOWN_MAX = 10  # GitHub shows so many errors of one step


def annotations(results: Sequence[SweepResult], directory: str) -> Iterator[str]:
    """Yield one line for each finding.

    Args:
        results: Results of the sweeps.
        directory: Directory of the repository.
    """
    seen = ((result, each) for result in results for each in result.findings)
    for _, (result, each) in zip(range(_SHOWN_MAX), seen, strict=False):
        step = location_of(result, each)
        finding = each.finding
        properties = {
            "file": step.file.removeprefix(f"{directory}/"),
            "line": str(step.line) if step.line else "",
            "title": f"{finding.kind} after a crash",
        }
        text = f"{finding.subject}: {evidence_text(finding.evidence)} (crash at {each.plan})"
        given = ",".join(f"{k}={_property(v)}" for k, v in properties.items() if v)
        yield f"::error {given}::{_message(text)}"


def _message(text: str) -> str:
    """Return a text as the runner reads it; a line break would begin another command."""
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _message(text).replace(":", "%3A").replace(",", "%2C")
