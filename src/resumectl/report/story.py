"""One trial, told in its order: as a story, as JSON, and how it came out when repeated."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.console import RenderableType
from rich.text import Text

from resumectl.judge.serialized_values import readable
from resumectl.judge.stability import Judged, Shown, Topic, topic_of
from resumectl.judge.trial_view import site
from resumectl.model.crash_plan import CrashPlan, Edge, subject_of
from resumectl.model.observation import Judgement, Kind, LifeSeen, Observation, Verdict
from resumectl.model.sweep_spec import Specification
from resumectl.report.console import VERDICT_STYLES
from resumectl.report.replay_command import Command, command_line
from resumectl.report.sheet import Cell, Sheet, ids, right, sentences, words
from resumectl.report.sweep_result import repeated
from resumectl.text import counted, literal

_LISTED_MAX = 8


# Why each kind of finding matters, and what usually mends it.
_WHY = {
    Kind.LOST: "what was accepted, or had to happen, did not, and nothing makes up for it. What "
    "is to happen after a crash belongs in a step, and is marked as done when it is done.",
    Kind.DUPLICATED: "whoever is on the other side sees it more than once, as a second charge or "
    "e-mail. Give it a key by which the other side knows it again, or a step of its own, or "
    "write it in a datasource's transaction.",
    Kind.DIVERGED: "after a crash, the outcome is another one. Let the workflow's body depend on "
    "its arguments and on what its steps return, and on nothing else: chance, the time, and what "
    "is in memory or in a table belong in a step.",
    Kind.STUCK: "it waits for ever, and so does everybody who waits for it. Whatever the workflow "
    "needs, as its class, instance, queue and application version, has to be there at launch.",
    Kind.FAILED: "a crash made a failure of what succeeds otherwise, and DBOS does not try a "
    "workflow again that has failed.",
    Kind.UNEXPECTED: "something is there that no uninterrupted run makes, as when it was begun "
    "again under another id.",
    Kind.RERUN: "what ran had been recorded, or never was: whatever it does outside is done again.",
}


def told(
    trial: Observation,
    judged: Judged,
    specification: Specification,
    retyped: Callable[[str], str] = str,
) -> Iterator[RenderableType]:
    """One trial in the order in which it happened, what it means, and what to type next.

    Args:
        trial: What was seen.
        judged: What is made of it, and of its repetitions.
        specification: What was asked for.
        retyped: Complete a command line with the options of every command that were given.
    """
    judgement = judged.trials[0]
    yield Text(literal(f"One trial of {specification.subject}: {trial.plan}"), style="bold")
    yield Text(literal(_course(trial)))
    if trial.attempts > 1:
        yield Text(f"The process was killed at attempt {trial.attempts}.")
    for number, life in enumerate(trial.lives, start=1):
        yield _life_sheet(number, life)
        if number > 1:
            yield Text(literal(_recovery(life)))
        if life.struck is not None:
            yield Text(
                literal(f"The blow: {life.struck}. The kernel says: {life.ending}."),
                style="bold red",
            )
            yield _left_sheet(life)
    yield from _meaning(judgement, judged.shown)
    again = command_line(Command.REPLAY, specification, str(Path.cwd()), plan=trial.plan)
    if judgement.verdict in (Verdict.BROKEN, Verdict.UNSTABLE):
        yield Text(literal(f"next:  {retyped(again)} --times 20"), no_wrap=True)
        yield Text("tells how often it comes out so; then mend it, and sweep again")


def _course(trial: Observation) -> str:
    """The plan in words."""
    words = []
    for death in CrashPlan.parse(trial.plan).deaths:
        turn = f"match no. {death.at.n} of " if death.at.n > 1 else ""
        side = "just before" if death.edge is Edge.BEFORE else "right after"
        words.append(f"is killed {side} the commit of {turn}{death.at.pattern}")
    return (
        f"A process {'; the next one '.join(words)}; the next one recovers what is left, and "
        "the client asks again."
    )


def _life_sheet(number: int, life: LifeSeen) -> Sheet:
    began_us = life.events[0]["at_us"] if life.events else 0
    rows: list[list[Cell]] = []
    for event in life.events:
        at = f"{(event['at_us'] - began_us) / 1000:.1f} ms"
        rows.extend([at, *told_of] for told_of in _event_told(event))
    rows.extend(
        ["", Text("cut off", style="yellow"), step, "a step body"] for step in _cut_off(life)
    )
    columns = [right("at"), words("what"), words("of"), sentences("detail")]
    return Sheet(f"Life {number}", columns, rows)


def _cut_off(life: LifeSeen) -> Iterator[str]:
    """The step bodies that had begun, and not ended, when the life was at its end."""
    under_way: Counter[str] = Counter()
    for event in life.events:
        if event["kind"] in ("ran", "ended"):
            under_way[f"{event['step']}, {site(event)}"] += 1 if event["kind"] == "ran" else -1
    return under_way.elements()


def _recovery(life: LifeSeen) -> str:
    """What a life that followed a crash did with what it found."""
    names = [name for e in life.events if e["kind"] == "commit" for name, _ in e["facts"]]
    requeued = [subject_of(name) for name in names if name.endswith("/requeued")]
    replayed, ran = (
        [f"{e['step']}, {site(e)}" for e in life.events if e["kind"] == kind and _is_granted(e)]
        for kind in ("replayed", "ran")
    )
    return (
        f"Recovered by DBOS: {_listed(requeued)}. Replayed from their records: "
        f"{_listed(replayed)}. Ran: {_listed(ran)}."
    )


def _is_granted(event: Mapping[str, Any]) -> bool:
    """Whether DBOS did not refuse it, as it does where the record is of another step."""
    return bool(event.get("recorded", event["step"]) == event["step"])


def _listed(names: Sequence[str]) -> str:
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - _LISTED_MAX} more" if len(every) > _LISTED_MAX else ""
    return "; ".join(every[:_LISTED_MAX]) + more if every else "nothing"


def _event_told(event: Mapping[str, Any]) -> Iterator[list[Cell]]:
    kind = event["kind"]
    if kind == "commit":
        for index, (name, what) in enumerate(event["facts"]):
            is_recovery = name.endswith("/requeued")
            detail = "DBOS recovers it" if is_recovery else what
            yield ["committed" if index == 0 else "  with it", name, detail]
    elif kind == "replayed":
        if _is_granted(event):
            yield ["replays", f"{event['step']}, {site(event)}", "from its record"]
        else:
            asked = Text("is refused", style="red")
            yield [asked, f"{event['step']}, {site(event)}", f"recorded is {event['recorded']}"]
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
    elif kind == "logged":
        yield [Text("DBOS logs", style="yellow"), "an error", event["text"]]
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
        [ids("workflow"), words("status"), ids("queue"), right("attempts"), right("steps"),
         sentences("result")],
        [
            [w["id"], w["status"], w["queue"], w["attempts"], steps[w["id"]],
             readable(w["output"] or w["error"])]
            for w in life.left["workflows"]
        ],
    )  # fmt: skip


def _meaning(judgement: Judgement, shown: Mapping[Topic, Shown]) -> Iterator[RenderableType]:
    if judgement.findings:
        yield Sheet(
            "What differs from uninterrupted runs, or from what is promised",
            [ids("kind"), words("of"), sentences("evidence"), sentences("when repeated")],
            [
                [Text(f.kind, style="red"), f.subject, f.evidence, repeated(shown.get(topic_of(f)))]
                for f in judgement.findings
            ],
        )
        for kind in dict.fromkeys(f.kind for f in judgement.findings):
            yield Text(literal(f"{kind}: {_WHY[kind]}"))
    for each in judgement.exposures:
        other = ", with another payload" if each.payload_differs else ""
        other += f"; {each.note}" if each.note else ""
        yield Text(
            literal(f"allowed: {each.effect} happened {counted(each.times, 'time')}{other}"),
            style="yellow",
        )
    if judgement.by_time:
        yield Text(
            literal(
                f"as in an uninterrupted run in which as much time passes here: "
                f"{', '.join(judgement.by_time)}"
            ),
            style="dim",
        )
    if judgement.by_chance:
        yield Text(
            literal(
                f"not compared with uninterrupted runs, since {', '.join(judgement.by_chance)} was "
                "another before the crash"
            ),
            style="dim",
        )
    said = {
        Verdict.KEPT: "every promise"
        + ("" if judgement.by_chance else "; all that is compared ended as in uninterrupted runs"),
        Verdict.BROKEN: "a promise was not kept",
        Verdict.UNSTABLE: "a promise was broken, and is not in each repetition of this trial",
        Verdict.VOID: judgement.why_void,
    }[judgement.verdict]
    style = VERDICT_STYLES[judgement.verdict]
    yield Text(literal(f"{judgement.verdict}: {said}"), style=style)


def judgement_document(judgement: Judgement, shown: Mapping[Topic, Shown]) -> dict[str, Any]:
    """One trial's judgement."""
    return {
        "plan": judgement.plan,
        "verdict": str(judgement.verdict),
        "why_void": judgement.why_void,
        "findings": [
            {
                "kind": f.kind,
                "subject": f.subject,
                "evidence": f.evidence,
                "repeated": _repeated_document(shown.get(topic_of(f))),
            }
            for f in judgement.findings
        ],
        "exposures": [
            {
                "effect": e.effect,
                "times": e.times,
                "payload_differs": e.payload_differs,
                "note": e.note,
            }
            for e in judgement.exposures
        ],
        "by_chance": list(judgement.by_chance),
        "attempts": judgement.attempts,
        "by_time": list(judgement.by_time),
    }


def _repeated_document(shown: Shown | None) -> dict[str, int] | None:
    return {"shown": shown.times, "of": shown.of} if shown else None


def outcomes_sheet(judged: Sequence[Judgement]) -> Sheet:
    """How often a repeated trial came out how."""
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for judgement in judged:
        what = "; ".join(sorted({f"{f.kind} {f.subject}" for f in judgement.findings}))
        counts[str(judgement.verdict), what or judgement.why_void] += 1
    return Sheet(
        f"{judged[0].plan}, {counted(len(judged), 'time')}",
        [ids("verdict"), sentences("what"), right("times")],
        [[verdict, what, times] for (verdict, what), times in sorted(counts.items())],
    )
