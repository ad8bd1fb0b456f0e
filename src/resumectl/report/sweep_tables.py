"""Show the result of a sweep, as tables and as JSON."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from resumectl.judge.stability import topic_of
from resumectl.judge.transitions import Transition
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Client
from resumectl.model.verdict import Kind, Verdict
from resumectl.report.console import VERDICT_STYLES
from resumectl.report.finding_text import EXPLAINED_BY_TIME, evidence_text, note_text
from resumectl.report.outside import outside_document, outside_lines
from resumectl.report.replay_command import Command, command_line
from resumectl.report.sheet import Cell, Sheet, dates, ids, right, sentences, words
from resumectl.report.sweep_header import header, interpreter_document, settings_document
from resumectl.report.sweep_result import SeenExposure, SeenFinding, SweepResult
from resumectl.text import clock, counted, duration, literal

if TYPE_CHECKING:
    from resumectl.runner.stored_sweep import StoredSweep

_CLIENTS = {
    Client.RETRIES: "asks again after a crash",
    Client.GIVES_UP: "does not ask again once a workflow is accepted",
}
# Number of rows of one kind that are shown; the JSON document has all.
_SHOWN_MAX = 12


def transitions_sheet(scenario: str, transitions: Sequence[Transition]) -> Sheet:
    """Return the table of transitions; those of one commit have the same number."""
    return Sheet(
        f"Transitions of {scenario}",
        [right("commit"), ids("transition"), sentences("what"), right("times")],
        [[Text(str(t.commit)), t.name, t.detail, t.times] for t in transitions],
    )


def sweep_view(
    result: SweepResult, retyped: Callable[[str], str] = str
) -> Iterator[RenderableType]:
    """Yield everything that `sweep` shows.

    Args:
        result: Result of the sweep.
        retyped: Function that adds the common options of this command to a command line.
    """
    access = result.stored.spec.target.access
    yield from header(result.stored.spec, *result.settings)
    if result.stored.spec.target.client or result.client is Client.GIVES_UP:
        yield Text(f"client: {_CLIENTS[result.client]}", style="dim")
    yield from findings_view(result.findings, result.stored.spec, str(Path.cwd()), retyped)
    void = [j for j in result.trials if j.verdict is Verdict.VOID]
    for judgement in void[:_SHOWN_MAX]:
        yield Text(literal(f"void: {judgement.plan}: {judgement.why_void}"), style="yellow")
    yield from _exposures_view(result.exposures)
    yield from (Text(literal(line)) for line in outside_lines(access, result.contacts))
    # Another command that shows the result has no time of its own.
    seconds = [] if result.wall_seconds is None else [f"{result.wall_seconds:.1f}"]
    yield Sheet(
        f"Sweep {result.stored.id}, of {result.stored.target}",
        [
            right("crash points"), right("reached"), right("trials"), right("crashes"),
            *(right(verdict) for verdict in Verdict), *([right("total seconds")] * bool(seconds)),
            right("trials per second"),
        ],
        [
            [
                result.stored.crash_points, result.reached, len(result.trials), result.crashes,
                *(_count(verdict, result.verdicts[verdict]) for verdict in Verdict),
                *seconds, f"{result.trials_per_second:.1f}",
            ]
        ],
    )  # fmt: skip
    yield from _attempts(result)
    if result.has_one_order:
        yield Text(
            "several threads or workflows ran at the same time, and each crash point was tried in "
            "one order of them: --repeat 5 tries more orders",
            style="dim",
        )
    if result.explained_by_time:
        yield _list(f"{EXPLAINED_BY_TIME}: ", result.explained_by_time)
    if result.not_compared:
        yield _list("not compared, since it varies in the baseline: ", result.not_compared)
    if result.left_out:
        yield _list("left out, since the budget was used up: ", result.left_out)
    yield _sentence(result)


def _attempts(result: SweepResult) -> Iterator[Text]:
    for title, is_reached in (
        ("reached only after several attempts: ", True),
        ("not reached in several attempts: ", False),
    ):
        tried = [
            f"{plan} ({attempts})"
            for plan, attempts in result.tried_again
            if (plan not in result.not_reached) == is_reached
        ]
        if tried:
            yield _list(title, tried)


def _list(what: str, names: Sequence[str]) -> Text:
    more = " …" if len(names) > _SHOWN_MAX else ""
    return Text(literal(f"{what}{', '.join(names[:_SHOWN_MAX])}{more}"), style="dim")


def _exposures_view(exposures: Sequence[SeenExposure]) -> Iterator[RenderableType]:
    shown = exposures[:_SHOWN_MAX]
    details = list(map(exposure_detail, shown))
    has_details = any(details)
    if shown:
        yield Sheet(
            "Exposures: repetitions and omissions that the promises allow",
            [words("of"), right("worst"), ids("seen at"), *[sentences("detail")] * has_details],
            [
                [
                    each.subject,
                    Text(counted(each.times, "time")),
                    each.plan,
                    *[detail] * has_details,
                ]
                for each, detail in zip(shown, details, strict=True)
            ],
        )
    if len(exposures) > _SHOWN_MAX:
        yield Text(f"… and {len(exposures) - _SHOWN_MAX} more (--json has them all)")


def findings_view(
    findings: Sequence[SeenFinding],
    spec: SweepSpec,
    directory: str,
    retyped: Callable[[str], str] = str,
) -> Iterator[RenderableType]:
    """Yield the table of findings, and a command line that shows each kind again.

    Args:
        findings: The findings, each once.
        spec: The sweep spec.
        directory: Directory in which the command lines will be typed.
        retyped: Function that adds the common options of this command to a command line.
    """
    if not findings:
        return
    by_kind = Counter(each.finding.kind for each in findings)
    listed: Counter[Kind] = Counter()
    rows: list[list[Cell]] = []
    for each in findings:
        kind = each.finding.kind
        listed[kind] += 1
        if listed[kind] <= _SHOWN_MAX:
            indent = "  " if each.cause is not None else ""
            style = "red" if not each.repeated.endswith("unstable") else "yellow"
            rows.append(
                [
                    Text(f"{indent}{kind}", style=style), each.finding.subject,
                    evidence_text(each.finding.evidence), each.trials, each.repeated, each.plan,
                ]
            )  # fmt: skip
    yield Sheet(
        "Findings",
        [
            ids("kind"),
            words("of"),
            sentences("evidence"),
            right("trials"),
            sentences("when repeated"),
            ids("first seen at"),
        ],
        rows,
    )
    for kind, number in by_kind.items():
        if number > _SHOWN_MAX:
            yield Text(f"… and {number - _SHOWN_MAX} more {kind} (--json has them all)")
        first = next(each for each in findings if each.finding.kind is kind)
        line = command_line(Command.REPLAY, spec, directory, plan=first.plan)
        yield Text(literal(f"{kind}: see it again with  {retyped(line)}"), no_wrap=True)


def exposure_detail(exposure: SeenExposure) -> str:
    """Return further information about an exposure, in words; may be empty."""
    payload = "with different arguments" if exposure.payload_differs else ""
    return "; ".join(filter(None, (payload, note_text(exposure.note))))


def _count(verdict: str, number: int) -> Cell:
    return Text(str(number), style=VERDICT_STYLES[verdict]) if number else 0


def _sentence(result: SweepResult) -> Text:
    sentence = verdict_sentence(result)
    return Text(
        sentence, style=VERDICT_STYLES.get(sentence.partition(":")[0], VERDICT_STYLES["VOID"])
    )


def verdict_sentence(result: SweepResult) -> str:
    """Return the verdict on a sweep as a sentence."""
    n = result.verdicts
    of = counted(len(result.trials), "trial")
    if not result.trials:
        return "VOID: no trial was run"
    if n[Verdict.BROKEN]:
        return f"BROKEN: {n[Verdict.BROKEN]} of {of} broke a promise{_part(result)}"
    if n[Verdict.UNSTABLE]:
        unstable = f"{n[Verdict.UNSTABLE]} of {of} broke a promise, but not in every run"
        return f"UNSTABLE: {unstable}{_part(result)}"
    if n[Verdict.VOID]:
        return f"VOID: {n[Verdict.VOID]} of {of} proved nothing"
    if len(result.trials) + len(result.left_out) < result.stored.planned:
        planned = counted(result.stored.planned, "trial")
        return f"unfinished: {len(result.trials)} of {planned} have been run"
    points = counted(result.stored.crash_points, "crash point")
    if result.reached < result.stored.crash_points:
        points = f"{result.reached:,} of {points}"
    return f"KEPT: every promise held at {points}"


def _part(result: SweepResult) -> str:
    """Return how many of all crash points were tried; empty for all of them."""
    every = result.stored.crash_points
    if result.reached >= every:
        return ""
    return f"; {result.reached:,} of {counted(every, 'crash point')} were tried"


def sweep_document(result: SweepResult) -> dict[str, Any]:
    """Return the document of `sweep --json`."""
    access = result.stored.spec.target.access
    return {
        "sweep": result.stored.id,
        "target": result.stored.target,
        **interpreter_document(result.stored.spec.interpreters),
        "settings": settings_document(result.stored.spec, *result.settings),
        "client": result.client,
        "crash_points": result.stored.crash_points,
        "reached": result.reached,
        "crashes": result.crashes,
        "trials": len(result.trials),
        "verdicts": {str(k): v for k, v in result.verdicts.items()},
        "findings": [_finding_document(each, result) for each in result.findings],
        "exposures": [
            {
                "subject": each.subject,
                "worst": each.times,
                "payload_differs": each.payload_differs,
                "note": note_text(each.note),
                "plan": each.plan,
            }
            for each in result.exposures
        ],
        "attempts": dict(result.tried_again),
        "is_concurrent": result.is_concurrent,
        "orders_tried": result.stored.spec.repeat,
        "explained_by_time": result.explained_by_time,
        "not_compared": result.not_compared,
        "left_out": list(result.left_out),
        "outside": outside_document(access, result.contacts),
        "void": [
            {"plan": j.plan, "why": j.why_void} for j in result.trials if j.verdict is Verdict.VOID
        ],
        "seconds": round(result.stored.seconds or 0.0, 3),
        "wall_seconds": None if result.wall_seconds is None else round(result.wall_seconds, 2),
        "trials_per_second": round(result.trials_per_second, 2),
    }


def _finding_document(seen: SeenFinding, result: SweepResult) -> dict[str, Any]:
    shown = seen.shown
    step = result.locations.get(topic_of(seen.finding))
    return {
        "kind": seen.finding.kind,
        "plan": seen.plan,
        "subject": seen.finding.subject,
        "evidence": evidence_text(seen.finding.evidence),
        "reason": seen.finding.evidence.KIND,
        "trials": seen.trials,
        "repeated": {"shown": shown.times, "of": shown.of} if shown else None,
        "follows_from": seen.cause,
        "file": step.file if step else None,
        "line": step.line if step else None,
    }


def stored_sheet(stored: Sequence["StoredSweep"]) -> Sheet:
    """Return the table of sweeps, newest first."""
    return Sheet(
        "Sweeps",
        [
            right("sweep"), words("target"), words("promises", dispensable=2),
            dates("started", dispensable=1),
            right("crash points"), right("trials"), *(right(verdict) for verdict in Verdict),
            right("took", dispensable=3),
        ],
        [
            [
                Text(str(each.id)), each.target,
                _promises(each),
                clock(each.started_at_ms), each.crash_points, each.trials,
                *(_count(v, (each.verdicts or {}).get(v, 0)) for v in Verdict),
                "unfinished" if each.seconds is None else duration(round(each.seconds * 1000)),
            ]
            for each in stored
        ],
    )  # fmt: skip


def _promises(stored: "StoredSweep") -> str:
    if not stored.is_readable:
        return "stored by another version of resumectl"
    return ", ".join(f"{name}={promise}" for name, promise in stored.spec.promises.items())


def stored_document(stored: "StoredSweep") -> dict[str, Any]:
    """Return one sweep of `sweeps --json`; the time is in milliseconds of Unix time."""
    return {
        "sweep": stored.id,
        "target": stored.target,
        "promises": dict(stored.spec.promises) if stored.is_readable else None,
        "started": stored.started_at_ms,
        "crash_points": stored.crash_points,
        "planned": stored.planned,
        "trials": stored.trials,
        "seconds": stored.seconds,
        "verdicts": stored.verdicts,
    }
