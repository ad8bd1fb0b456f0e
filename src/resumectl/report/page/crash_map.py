"""Compute the map of a sweep: every crash point with the verdict of its trials, by workflow. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from resumectl.judge.crash_points import crash_points
from resumectl.judge.transitions import Transition
from resumectl.model.crash_plan import Crash, CrashPlan, Edge, subject_of
from resumectl.model.verdict import Judgement, Verdict
from resumectl.text import counted

# A sign besides the colour, for each verdict; the last one for a crash point without a trial.
SIGNS: Mapping[str, str] = {"BROKEN": "✗", "UNSTABLE": "≈", "VOID": "?", "KEPT": "✓", "": "·"}
WORST_FIRST = (Verdict.BROKEN, Verdict.UNSTABLE, Verdict.VOID, Verdict.KEPT)
_DETAIL_MAX = 24  # characters; a longer name of a step is not shown in the map
_UNFOLDED_MAX = 600  # cells; the workflows of a larger map are folded


@dataclass(frozen=True, slots=True)
class Cell:
    """One crash point.

    Attributes:
        verdict: The worst verdict of its trials; empty if it has none.
        trial: Number of the first trial with this verdict; None if it has none.
        label: Crash point, verdict and findings, in words.
    """

    verdict: str
    trial: int | None
    label: str

    @property
    def sign(self) -> str:
        """Sign of the verdict."""
        return SIGNS[self.verdict]


@dataclass(frozen=True, slots=True)
class MapColumn:
    """One transition, with the name of its step, and the crash points before and after its commit."""

    name: str
    before: Cell
    after: Cell


@dataclass(frozen=True, slots=True)
class Group:
    """The transitions of one workflow or table, in the order of the baseline.

    Attributes:
        subject: Id of the workflow, or name of the table.
        columns: Its transitions.
        summary: Number of crash points with each verdict, in words.
        verdict: The worst verdict; empty if no trial was run.
        is_folded: Whether it is shown as one line at first.
    """

    subject: str
    columns: Sequence[MapColumn]
    summary: str
    verdict: str
    is_folded: bool

    @property
    def sign(self) -> str:
        """Sign of the worst verdict."""
        return SIGNS[self.verdict]


def crash_map(
    transitions: Sequence[Transition], trials: Iterable[tuple[int, Judgement]]
) -> list[Group]:
    """Return the groups of the map.

    A trial with several crashes belongs to its first crash point.

    Args:
        transitions: Transitions of the baseline.
        trials: Number and judgement of each trial.
    """
    by_point: defaultdict[tuple[str, Edge], list[tuple[int, Judgement]]] = defaultdict(list)
    for number, judgement in trials:
        first = CrashPlan.parse(judgement.plan).crashes[0]
        by_point[_key(first)].append((number, judgement))
    found = [plan.crashes[0] for plan in crash_points(transitions)]
    known = [_key(crash)[0] for crash in found]
    names = list(dict.fromkeys([*known, *(name for name, _ in by_point)]))
    details = {each.name: each.detail for each in transitions}
    groups: defaultdict[str, list[MapColumn]] = defaultdict(list)
    for name in names:
        pattern = name.partition("#")[0]
        before, after = (_cell(name, edge, details, by_point[name, edge]) for edge in Edge)
        fact = name.removeprefix(f"{pattern.rpartition('/')[0]}/")
        detail = details.get(name, "")
        shown = f"{fact} {detail}" if len(detail) <= _DETAIL_MAX else fact
        groups[subject_of(pattern)].append(MapColumn(shown.rstrip(), before, after))
    is_folded = is_large(len(names))
    return [_group(subject, columns, is_folded) for subject, columns in groups.items()]


def is_large(columns: int) -> bool:
    """Return whether a map with so many columns is folded."""
    return 2 * columns > _UNFOLDED_MAX


def _key(crash: Crash) -> tuple[str, Edge]:
    return str(crash.at), crash.edge


def _cell(
    name: str, edge: Edge, details: Mapping[str, str], trials: Sequence[tuple[int, Judgement]]
) -> Cell:
    detail = details.get(name, "")
    label = f"{edge}:{name}" + (f" ({detail})" if detail else "")
    if not trials:
        return Cell("", None, f"{label}: no trial")
    number, worst = min(trials, key=lambda each: WORST_FIRST.index(each[1].verdict))
    said = worst.why_void or "; ".join(
        dict.fromkeys(f"{each.kind} {each.subject}" for each in worst.findings)
    )
    several = f"; {counted(len(trials), 'trial')}" if len(trials) > 1 else ""
    return Cell(
        str(worst.verdict), number, f"{label}: {worst.verdict}{said and f', {said}'}{several}"
    )


def _group(subject: str, columns: Sequence[MapColumn], is_folded: bool) -> Group:
    cells = [cell for column in columns for cell in (column.before, column.after)]
    counts = Counter(cell.verdict for cell in cells)
    worst = next((str(v) for v in WORST_FIRST if counts[str(v)]), "")
    said = [f"{verdict} {counts[verdict]}" for verdict in map(str, WORST_FIRST) if counts[verdict]]
    said += [f"no trial {counts['']}"] if counts[""] else []
    return Group(
        subject, columns, ", ".join(said), worst, is_folded=is_folded and worst in ("KEPT", "")
    )
