"""What a sweep proved, as tables and as JSON."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from resumectl.lab.baseline import Transition
from resumectl.lab.command_line import Command, command_line
from resumectl.lab.trial import Finding, Judgement, Verdict
from resumectl.report.console import VERDICT_STYLES
from resumectl.report.sheet import Cell, Sheet, dates, ids, right, sentences, words
from resumectl.report.sweep_header import header, settings_document
from resumectl.text import clock, counted, duration, literal

if TYPE_CHECKING:
    from resumectl.lab.archive import SweepKept
    from resumectl.lab.target_settings import TargetSettings

# Of one kind, on a screen; the JSON document has all.
_SHOWN_MAX = 12


@dataclass(frozen=True, slots=True)
class SweepResult:
    """A sweep, and what was made of its trials."""

    kept: "SweepKept"
    judged: Sequence[Judgement]
    masked: Sequence[str]  # what is compared in no trial
    settings: tuple["TargetSettings | None", "TargetSettings | None"]  # before the crash, and after

    @property
    def not_compared(self) -> list[str]:
        """What is compared in no trial, and which trials are not compared."""
        return [
            *self.masked,
            *(
                f"all of {each.plan} (where {', '.join(each.by_chance)} was another before the crash)"
                for each in self.judged
                if each.by_chance
            ),
        ]

    @property
    def verdicts(self) -> dict[str, int]:
        """How many trials came out how."""
        counts = Counter(judgement.verdict for judgement in self.judged)
        return {str(verdict): counts[verdict] for verdict in Verdict}

    @property
    def struck(self) -> int:
        """How many plans have a trial whose blow fell."""
        return len({judgement.plan for judgement in self.judged if judgement.deaths})

    @property
    def deaths(self) -> int:
        """How many blows fell."""
        return sum(judgement.deaths for judgement in self.judged)

    @property
    def trials_per_second(self) -> float:
        """How fast it went."""
        return len(self.judged) / self.kept.seconds if self.kept.seconds else 0.0

    @property
    def findings(self) -> list[tuple[Finding, str]]:
        """Each finding once, with the first plan that shows it: by kind, in the plans' order."""
        found: dict[Finding, str] = {}
        for judgement in self.judged:
            for finding in judgement.findings:
                found.setdefault(finding, judgement.plan)
        return sorted(found.items(), key=lambda each: each[0].kind)

    @property
    def exposures(self) -> list[tuple[str, int, bool, str]]:
        """Each effect's worst: how often, whether with another payload, and at which plan."""
        worst: dict[str, tuple[int, bool, str]] = {}
        for judgement in self.judged:
            for each in judgement.exposures:
                times, differs, plan = worst.get(each.effect, (each.times, False, judgement.plan))
                if each.times > times:
                    times, plan = each.times, judgement.plan
                worst[each.effect] = times, differs or each.payload_differs, plan
        return [(effect, *rest) for effect, rest in sorted(worst.items())]


def transitions_sheet(scenario: str, transitions: Sequence[Transition]) -> Sheet:
    """Every transition of an uninterrupted run; those of one commit have one number."""
    return Sheet(
        f"Transitions of {scenario}",
        [right("commit"), ids("transition"), sentences("what"), right("times")],
        [[Text(str(t.commit)), t.name, t.what, t.times] for t in transitions],
    )


def sweep_view(
    result: SweepResult, retyped: Callable[[str], str] = str
) -> Iterator[RenderableType]:
    """Yield everything that `sweep` shows.

    Args:
        result: What was proved.
        retyped: Complete a command line with the options of every command that were given.
    """
    yield from header(result.kept.specification, *result.settings)
    findings = result.findings
    by_kind: defaultdict[str, list[tuple[Finding, str]]] = defaultdict(list)
    for finding, plan in findings:
        by_kind[finding.kind].append((finding, plan))
    if findings:
        yield Sheet(
            "Findings",
            [ids("kind"), words("of"), sentences("evidence"), ids("first seen at")],
            [
                [Text(finding.kind, style="red"), finding.subject, finding.evidence, plan]
                for found in by_kind.values()
                for finding, plan in found[:_SHOWN_MAX]
            ],
        )
    for kind, found in by_kind.items():
        if len(found) > _SHOWN_MAX:
            yield Text(f"… and {len(found) - _SHOWN_MAX} more {kind} (--json has them all)")
        line = command_line(
            Command.REPLAY, result.kept.specification, str(Path.cwd()), plan=found[0][1]
        )
        yield Text(literal(f"{kind}: see it again with  {retyped(line)}"), no_wrap=True)
    void = [j for j in result.judged if j.verdict is Verdict.VOID]
    for judgement in void[:_SHOWN_MAX]:
        yield Text(literal(f"void: {judgement.plan}: {judgement.why_void}"), style="yellow")
    if result.exposures:
        yield Sheet(
            "Exposures: what the promises allow to happen another number of times",
            [words("of"), right("worst"), ids("seen at"), words("payload")],
            [
                [effect, Text(counted(times, "time")), plan, "differs" if differs else ""]
                for effect, times, differs, plan in result.exposures[:_SHOWN_MAX]
            ],
        )
        if len(result.exposures) > _SHOWN_MAX:
            yield Text(f"… and {len(result.exposures) - _SHOWN_MAX} more (--json has them all)")
    yield Sheet(
        f"Sweep {result.kept.id}, of {result.kept.scenario}",
        [
            right("crash points"), right("struck"), right("trials"), right("deaths"),
            right("KEPT"), right("BROKEN"), right("VOID"), right("seconds"), right("a second"),
        ],
        [
            [
                result.kept.crash_points, result.struck, len(result.judged), result.deaths,
                *(_count(verdict, result.verdicts[verdict]) for verdict in Verdict),
                f"{result.kept.seconds or 0:.1f}", f"{result.trials_per_second:.1f}",
            ]
        ],
    )  # fmt: skip
    if result.not_compared:
        yield Text(
            literal(
                "not compared, since it varies by itself: "
                + ", ".join(result.not_compared[:_SHOWN_MAX])
                + (" …" if len(result.not_compared) > _SHOWN_MAX else "")
            ),
            style="dim",
        )
    yield _sentence(result)


def _count(verdict: str, number: int) -> Cell:
    return Text(str(number), style=VERDICT_STYLES[verdict]) if number else 0


def _sentence(result: SweepResult) -> Text:
    n = result.verdicts
    if n[Verdict.BROKEN]:
        return Text(
            f"BROKEN: {n[Verdict.BROKEN]} of {counted(len(result.judged), 'death')} broke a promise",
            style=VERDICT_STYLES["BROKEN"],
        )
    if n[Verdict.VOID] or len(result.judged) < result.kept.planned:
        return Text(
            f"VOID: {n[Verdict.VOID]} of {counted(len(result.judged), 'trial')} proved nothing",
            style=VERDICT_STYLES["VOID"],
        )
    part = "" if result.kept.planned >= result.kept.crash_points else (
        f", a sample of {result.kept.crash_points:,}"
    )  # fmt: skip
    return Text(
        f"KEPT: every promise, at {counted(result.struck, 'crash point')}{part}",
        style=VERDICT_STYLES["KEPT"],
    )


def sweep_document(result: SweepResult) -> dict[str, Any]:
    """What `sweep --json` prints."""
    return {
        "sweep": result.kept.id,
        "scenario": result.kept.scenario,
        "settings": settings_document(result.kept.specification, *result.settings),
        "crash_points": result.kept.crash_points,
        "struck": result.struck,
        "deaths": result.deaths,
        "trials": len(result.judged),
        "verdicts": {str(k): v for k, v in result.verdicts.items()},
        "findings": [
            {"kind": f.kind, "plan": plan, "subject": f.subject, "evidence": f.evidence}
            for f, plan in result.findings
        ],
        "exposures": [
            {"effect": effect, "worst": times, "payload_differs": differs, "plan": plan}
            for effect, times, differs, plan in result.exposures
        ],
        "not_compared": result.not_compared,
        "void": [
            {"plan": j.plan, "why": j.why_void} for j in result.judged if j.verdict is Verdict.VOID
        ],
        "seconds": round(result.kept.seconds or 0.0, 3),
        "trials_per_second": round(result.trials_per_second, 2),
    }


def kept_sheet(kept: Sequence["SweepKept"]) -> Sheet:
    """What has been swept, newest first."""
    return Sheet(
        "Sweeps",
        [
            right("sweep"), words("scenario"), words("promises", dispensable=2),
            dates("started", dispensable=1),
            right("crash points"), right("trials"), *(right(verdict) for verdict in Verdict),
            right("took", dispensable=3),
        ],
        [
            [
                Text(str(each.id)), each.scenario,
                ", ".join(f"{name}={promise}" for name, promise in each.specification.promises.items()),
                clock(each.started_at_ms), each.crash_points, each.trials,
                *(_count(v, (each.verdicts or {}).get(v, 0)) for v in Verdict),
                "unfinished" if each.seconds is None else duration(round(each.seconds * 1000)),
            ]
            for each in kept
        ],
    )  # fmt: skip


def kept_document(kept: "SweepKept") -> dict[str, Any]:
    """One sweep of `sweeps --json`; the time is in Unix milliseconds."""
    return {
        "sweep": kept.id,
        "scenario": kept.scenario,
        "promises": dict(kept.specification.promises),
        "started": kept.started_at_ms,
        "crash_points": kept.crash_points,
        "planned": kept.planned,
        "trials": kept.trials,
        "seconds": kept.seconds,
        "verdicts": kept.verdicts,
    }
