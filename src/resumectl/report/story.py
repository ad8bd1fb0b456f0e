"""One trial, told in its order: as a story, as JSON, and how it came out when repeated."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from resumectl.lab.baseline import site
from resumectl.lab.evidence_text import readable
from resumectl.lab.trial import Judgement, LifeSeen, Observation
from resumectl.report.console import VERDICT_STYLES, Cell, Column, Sheet, right, whole
from resumectl.text import literal


def told(trial: Observation, judgement: Judgement) -> Iterator[RenderableType]:
    """One trial in the order in which it happened, and what it means."""
    for number, life in enumerate(trial.lives, start=1):
        before = trial.lives[number - 2] if number > 1 else None
        yield _life_sheet(number, life, before)
        if life.struck is not None:
            yield Text(
                literal(f"The blow: {life.struck}. The kernel says: {life.ending}."),
                style="bold red",
            )
            yield _left_sheet(life)
    yield from _meaning(judgement)


def _life_sheet(number: int, life: LifeSeen, before: LifeSeen | None) -> Sheet:
    recorded = {(s["workflow"], s["number"]) for s in before.left["steps"]} if before else set()
    began_us = life.events[0]["at_us"] if life.events else 0
    rows: list[list[Cell]] = []
    for event in life.events:
        at = f"{(event['at_us'] - began_us) / 1000:.1f} ms"
        rows.extend([at, *told_of] for told_of in _event_told(event))
    replayed = sorted(f"{wf}/step-{n}" for wf, n in recorded if not _ran(life, wf, n))
    title = f"Life {number}"
    if before is not None:
        title += f": {len(replayed)} steps were recorded before, and replayed"
    return Sheet(title, [right("at"), Column("what"), whole("of"), whole("detail")], rows)


def _ran(life: LifeSeen, workflow: str, number: int) -> bool:
    return any(
        e["kind"] == "ran" and (e["workflow"], e["number"]) == (workflow, number)
        for e in life.events
    )


def _event_told(event: Mapping[str, Any]) -> Iterator[list[Cell]]:
    kind = event["kind"]
    if kind == "commit":
        for index, (name, what) in enumerate(event["facts"]):
            yield ["committed" if index == 0 else "  with it", name, what]
    elif kind == "ran":
        what = "transaction" if event["transaction"] else "step body"
        yield [f"runs {what}", f"{event['step']}, {site(event)}", ", ".join(event["payload"])]
    elif kind == "effect":
        yield [
            Text("effect", style="bold"), f"{event['name']}({', '.join(event['about'])})",
            site(event),
        ]  # fmt: skip
    elif kind == "answered":
        yield ["answered", "the request", str(event.get("value", event.get("error")))]
    elif kind in ("launch", "requested", "quiet"):
        words = {"launch": "DBOS launches", "requested": "request", "quiet": "all is quiet"}
        yield [words[kind], "", ""]
    elif kind == "failed":
        yield [Text("failed", style="red"), "", event["error"]]


def _left_sheet(life: LifeSeen) -> Sheet:
    steps: defaultdict[str, int] = defaultdict(int)
    for step in life.left["steps"]:
        steps[step["workflow"]] += 1
    return Sheet(
        "What the crash left in the database",
        [whole("workflow"), Column("status"), Column("queue"), right("attempts"), right("steps"),
         whole("result")],
        [
            [w["id"], w["status"], w["queue"], w["attempts"], steps[w["id"]],
             readable(w["output"] or w["error"])]
            for w in life.left["workflows"]
        ],
    )  # fmt: skip


def _meaning(judgement: Judgement) -> Iterator[RenderableType]:
    if judgement.findings:
        yield Sheet(
            "Findings",
            [Column("kind"), whole("of"), whole("evidence")],
            [[Text(f.kind, style="red"), f.subject, f.evidence] for f in judgement.findings],
        )
    for each in judgement.exposures:
        other = ", with another payload" if each.payload_differs else ""
        yield Text(
            literal(f"allowed: {each.effect} happened {each.times} times{other}"), style="yellow"
        )
    why = f": {judgement.why_void}" if judgement.why_void else ""
    yield Text(literal(f"{judgement.verdict}{why}"), style=VERDICT_STYLES[judgement.verdict])


def judgement_document(judgement: Judgement) -> dict[str, Any]:
    """One trial's judgement."""
    return {
        "plan": judgement.plan,
        "verdict": str(judgement.verdict),
        "why_void": judgement.why_void,
        "findings": [
            {"kind": f.kind, "subject": f.subject, "evidence": f.evidence}
            for f in judgement.findings
        ],
        "exposures": [
            {"effect": e.effect, "times": e.times, "payload_differs": e.payload_differs}
            for e in judgement.exposures
        ],
    }


def outcomes_sheet(judged: Sequence[Judgement]) -> Sheet:
    """How often a repeated trial came out how."""
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for judgement in judged:
        what = "; ".join(sorted({f"{f.kind} {f.subject}" for f in judgement.findings}))
        counts[str(judgement.verdict), what or judgement.why_void] += 1
    return Sheet(
        f"{judged[0].plan}, {len(judged)} times",
        [Column("verdict"), Column("what"), right("times")],
        [[verdict, what, times] for (verdict, what), times in sorted(counts.items())],
    )
