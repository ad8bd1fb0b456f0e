"""Compare two sweeps of one target: crash points and findings that came, went or changed. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from resumectl.judge.stability import topic_of
from resumectl.model.verdict import Verdict
from resumectl.report.page.crash_map import WORST_FIRST
from resumectl.report.sweep_result import SeenFinding, SweepResult


@dataclass(frozen=True, slots=True)
class Change:
    """A crash plan with another verdict. `before`, `after`: its verdicts; empty for no trial."""

    plan: str
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from an earlier sweep to a later one.

    Attributes:
        earlier: Number of the earlier sweep.
        fixed: Crash points that were not KEPT, and are.
        broken: Crash points that were KEPT, and are not.
        new: Crash points that only the later sweep has.
        gone: Crash points that only the earlier sweep has.
        came: Findings that only the later sweep has.
        went: Findings that only the earlier sweep has.
    """

    earlier: int
    fixed: Sequence[Change]
    broken: Sequence[Change]
    new: Sequence[Change]
    gone: Sequence[Change]
    came: Sequence[SeenFinding]
    went: Sequence[SeenFinding]


def compare(earlier: SweepResult, later: SweepResult) -> Comparison:
    """Return what changed between two sweeps.

    Args:
        earlier: Result of the earlier sweep.
        later: Result of the later sweep.
    """
    before, after = _verdicts(earlier), _verdicts(later)
    every = [
        Change(plan, before.get(plan, ""), after.get(plan, ""))
        for plan in dict.fromkeys([*after, *before])
    ]
    return Comparison(
        earlier=earlier.stored.id,
        fixed=[c for c in every if c.before not in ("", Verdict.KEPT) and c.after == Verdict.KEPT],
        broken=[c for c in every if c.before == Verdict.KEPT and c.after not in ("", Verdict.KEPT)],
        new=[change for change in every if not change.before],
        gone=[change for change in every if not change.after],
        came=_only(later, earlier),
        went=_only(earlier, later),
    )


def _verdicts(result: SweepResult) -> Mapping[str, str]:
    """Return the worst verdict of each crash plan."""
    found: dict[str, Verdict] = {}
    for each in result.trials:
        before = found.get(each.plan, each.verdict)
        found[each.plan] = min(before, each.verdict, key=WORST_FIRST.index)
    return {plan: str(verdict) for plan, verdict in found.items()}


def _only(result: SweepResult, other: SweepResult) -> list[SeenFinding]:
    known = {topic_of(each.finding) for each in other.findings}
    return [each for each in result.findings if topic_of(each.finding) not in known]
