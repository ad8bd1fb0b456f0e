"""Show the results of `selftest`: whether the sweep of each pitfall found what it must."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from resumectl.report.sheet import Sheet, ids, right, words


@dataclass(frozen=True, slots=True)
class SelftestRow:
    """A mistake or its corrected version, and the findings of its sweep."""

    name: str
    scenario: str  # `mistake` or `corrected`
    expected: str | None  # kind of the expected finding; None if none is expected
    found: Sequence[str]
    trials: int
    is_right: bool
    plan: str  # crash plan of the first trial that shows it


def selftest_view(rows: Sequence[SelftestRow]) -> Iterator[RenderableType]:
    """Yield the table of pitfalls and the summary."""
    yield Sheet(
        "Selftest",
        [words("pitfall"), words("scenario"), words("expected"), words("found"),
         right("trials"), ids("seen at")],
        [
            [
                row.name, row.scenario, row.expected or "nothing",
                Text(", ".join(row.found) or "nothing", style="green" if row.is_right else "red"),
                row.trials, row.plan,
            ]
            for row in rows
        ],
    )  # fmt: skip
    found = selftest_document(rows)
    is_right = all(row.is_right for row in rows)
    yield Text(
        f"caught {found['caught']} of {found['mistakes']}, "
        f"false alarms {found['false_alarms']} of {found['twins']}",
        style="bold green" if is_right else "bold red",
    )


def selftest_document(rows: Sequence[SelftestRow]) -> dict[str, Any]:
    """Return the document of `selftest --json`."""
    mistakes = [row for row in rows if row.expected]
    twins = [row for row in rows if not row.expected]
    return {
        "caught": sum(row.is_right for row in mistakes),
        "mistakes": len(mistakes),
        "false_alarms": sum(not row.is_right for row in twins),
        "twins": len(twins),
        "pitfalls": [
            {
                "name": row.name,
                "scenario": row.scenario,
                "expected": row.expected,
                "found": list(row.found),
                "trials": row.trials,
                "as_expected": row.is_right,
                "plan": row.plan,
            }
            for row in rows
        ],
    }
