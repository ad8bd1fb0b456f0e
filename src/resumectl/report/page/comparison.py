"""Compare two sweeps of one target: crash points and findings that came, went or changed. Pure."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from resumectl.judge.stability import topic_of
from resumectl.model.verdict import Verdict
from resumectl.report.page.crash_map import WORST_FIRST
from resumectl.report.replay_command import Command, command_line
from resumectl.report.sweep_result import SeenFinding, SweepResult


@dataclass(frozen=True, slots=True)
class VerdictChange:
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
        broken: Crash points that were KEPT, and are not KEPT now.
        other: Crash points that have another verdict, and are KEPT in neither sweep.
        new: Crash points that only the later program has.
        gone: Crash points that only the earlier program has.
        not_tried: Number of crash points of both programs that only one sweep has tried.
        came: Findings that only the later sweep has.
        went: Findings that only the earlier sweep has.
        commands: Command lines of the earlier and of the later sweep; empty if they are the same.
    """

    earlier: int
    fixed: Sequence[VerdictChange]
    broken: Sequence[VerdictChange]
    other: Sequence[VerdictChange]
    new: Sequence[VerdictChange]
    gone: Sequence[VerdictChange]
    not_tried: int
    came: Sequence[SeenFinding]
    went: Sequence[SeenFinding]
    commands: Sequence[str]


def compare(
    earlier: SweepResult,
    later: SweepResult,
    points: tuple[Collection[str], Collection[str]],
    directory: str,
) -> Comparison:
    """Return what changed between two sweeps.

    Args:
        earlier: Result of the earlier sweep.
        later: Result of the later sweep.
        points: All crash points of the earlier and of the later program.
        directory: Directory in which command lines will be typed.
    """
    sweeps = (earlier, later)
    commands = [command_line(Command.SWEEP, each.stored.spec, directory) for each in sweeps]
    before, after = _verdicts(earlier), _verdicts(later)
    every = [
        VerdictChange(plan, before.get(plan, ""), after.get(plan, ""))
        for plan in dict.fromkeys([*after, *before])
    ]
    both = [change for change in every if change.before and change.after]
    once = [change for change in every if not (change.before and change.after)]
    new = [change for change in once if change.after and _first(change) not in points[0]]
    gone = [change for change in once if change.before and _first(change) not in points[1]]
    return Comparison(
        earlier=earlier.stored.id,
        fixed=[c for c in both if c.before != Verdict.KEPT == c.after],
        broken=[c for c in both if c.before == Verdict.KEPT != c.after],
        other=[c for c in both if c.before != c.after and Verdict.KEPT not in (c.before, c.after)],
        new=new,
        gone=gone,
        not_tried=len(once) - len(new) - len(gone),
        came=_only(later, earlier),
        went=_only(earlier, later),
        commands=commands if commands[0] != commands[1] else (),
    )


def _first(change: VerdictChange) -> str:
    """Return the first crash point of a plan."""
    return change.plan.partition(",")[0]


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
