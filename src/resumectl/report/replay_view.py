"""Show one trial in its order, as tables and as JSON, and count the outcomes of repeated trials."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from rich.console import RenderableType
from rich.text import Text

from resumectl.judge.stability import Judged, Shown, Topic, topic_of
from resumectl.model.codec import Plain
from resumectl.model.crash_plan import CrashPlan, Edge, subject_of
from resumectl.model.events import (
    BecameQuiet,
    ClientGaveUp,
    Committed,
    EffectHappened,
    ErrorLogged,
    Event,
    LaunchStarted,
    RequestEnded,
    RequestStarted,
    StepEnded,
    StepReplayed,
    StepStarted,
    TargetFailed,
)
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.serialized_values import readable
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.verdict import Exposure, Judgement, Verdict
from resumectl.report.console import VERDICT_STYLES
from resumectl.report.finding_text import EXPLAINED_BY_TIME, MEANINGS, evidence_text, note_text
from resumectl.report.repeated_steps import why_repeated
from resumectl.report.replay_command import Command, command_line
from resumectl.report.sheet import Cell, Sheet, ids, right, sentences, words
from resumectl.report.sweep_result import repeated
from resumectl.text import counted, literal

_LISTED_MAX = 8


def trial_view(
    trial: Observation,
    judged: Judged,
    spec: SweepSpec,
    retyped: Callable[[str], str] = str,
    directory: str | None = None,
) -> Iterator[RenderableType]:
    """Yield the events of one trial in their order, its judgement and the next step.

    Args:
        trial: Observation of the trial.
        judged: Judgements of the trial and its repetitions.
        spec: The sweep spec.
        retyped: Function that adds the common options of this command to a command line.
        directory: Directory in which the next step will be typed; None for the working directory.
    """
    judgement = judged.trials[0]
    yield Text(literal(f"One trial of {spec.target}: {trial.plan}"), style="bold")
    yield Text(literal(plan_text(trial)))
    if trial.attempts > 1:
        yield Text(f"The crash point was reached in attempt {trial.attempts}.")
    for number, process in enumerate(trial.processes, start=1):
        yield process_sheet(number, process)
        if number > 1:
            yield Text(literal(recovery_text(process)))
        if process.reached is not None:
            said = f"Killed at {process.reached} (confirmed by the kernel: {process.exit})."
            yield Text(literal(said), style="bold red")
            yield left_sheet(process)
    for sentence in why_repeated(trial):
        yield Text(literal(sentence))
    yield from _meaning(judgement, judged.shown)
    again = command_line(Command.REPLAY, spec, directory or str(Path.cwd()), plan=trial.plan)
    if judgement.verdict in (Verdict.BROKEN, Verdict.UNSTABLE):
        yield Text("correct the program, then sweep again; to see how often this happens:")
        yield Text(literal(f"next:  {retyped(again)} --times 20"), no_wrap=True)


def plan_text(trial: Observation) -> str:
    """Return the crash plan in words."""
    words = []
    for crash in CrashPlan.parse(trial.plan).crashes:
        turn = f"match {crash.at.n} of " if crash.at.n > 1 else ""
        side = "just before" if crash.edge is Edge.BEFORE else "right after"
        words.append(f"is killed {side} the commit of {turn}{crash.at.pattern}")
    has_given_up = any(process.last(ClientGaveUp) for process in trial.processes)
    client = "does not ask again" if has_given_up else "repeats its request"
    return (
        f"A process {'; the next one '.join(words)}; the next one recovers what is left, and "
        f"the client {client}."
    )


def process_sheet(number: int, process: ProcessRecord) -> Sheet:
    """Return the table of the events of a process.

    Args:
        number: Number of the process, from 1.
        process: Its record.
    """
    began_us = process.events[0].at_us if process.events else 0
    rows: list[list[Cell]] = []
    for event in process.events:
        at = f"{(event.at_us - began_us) / 1000:.1f} ms"
        rows.extend([at, *cells] for cells in _event_rows(event))
    rows.extend(
        ["", Text("interrupted", style="yellow"), step, "a step body"]
        for step in _interrupted(process)
    )
    columns = [right("at"), words("what"), words("of"), sentences("detail")]
    return Sheet(f"Process {number}", columns, rows)


def _interrupted(process: ProcessRecord) -> Iterator[str]:
    """Return the step bodies that had started and not ended when the process ended."""
    under_way: Counter[str] = Counter()
    for event in process.events:
        if isinstance(event, StepStarted | StepEnded):
            step = f"{event.step}, {event.site}"
            under_way[step] += 1 if isinstance(event, StepStarted) else -1
    return under_way.elements()


def recovery_text(process: ProcessRecord) -> str:
    """Return what a process recovered, replayed and ran after a crash."""
    names = [fact.name for event in process.all(Committed) for fact in event.facts]
    requeued = [subject_of(name) for name in names if name.endswith("/requeued")]
    replayed = [f"{e.step}, {e.site}" for e in process.all(StepReplayed) if not e.is_refused]
    ran = [f"{e.step}, {e.site}" for e in process.all(StepStarted)]
    return (
        f"Recovered by DBOS: {_listed(requeued)}. Replayed from their records: "
        f"{_listed(replayed)}. Ran: {_listed(ran)}."
    )


def _listed(names: Sequence[str]) -> str:
    every = list(dict.fromkeys(names))
    more = f" and {len(every) - _LISTED_MAX} more" if len(every) > _LISTED_MAX else ""
    return "; ".join(every[:_LISTED_MAX]) + more if every else "nothing"


# --- one or several rows for each event; none for events that only the judge needs


def _event_rows(event: Event) -> Iterator[list[Cell]]:
    rows = _ROWS.get(type(event))
    if rows is not None:
        yield from rows(event)


def _committed(event: Committed) -> Iterator[list[Cell]]:
    for index, fact in enumerate(event.facts):
        is_recovery = fact.name.endswith("/requeued")
        detail = "DBOS recovers it" if is_recovery else fact.detail
        yield ["committed" if index == 0 else "  with it", fact.name, detail]


def _replayed(event: StepReplayed) -> Iterator[list[Cell]]:
    step = f"{event.step}, {event.site}"
    if event.is_refused:
        yield [Text("is refused", style="red"), step, f"recorded: {event.recorded}"]
    else:
        yield ["replays", step, "from its record"]


def _started(event: StepStarted) -> Iterator[list[Cell]]:
    what = "transaction" if event.is_transaction else "step body"
    arguments = ", ".join(argument.text for argument in event.arguments)
    yield [f"runs {what}", f"{event.step}, {event.site}", arguments]


def _effect(event: EffectHappened) -> Iterator[list[Cell]]:
    name = f"{event.name}({', '.join(event.about)})"
    yield [Text("effect", style="bold"), name, str(event.site)]


def _answered(event: RequestEnded) -> Iterator[list[Cell]]:
    answer = str(event.value) if event.error is None else event.error.summary
    yield ["answered", "the request", answer]


def _logged(event: ErrorLogged) -> Iterator[list[Cell]]:
    yield [Text("DBOS logs", style="yellow"), "an error", event.text]


def _failed(event: TargetFailed) -> Iterator[list[Cell]]:
    yield [Text("failed", style="red"), "", event.error.summary]


_ROWS: Mapping[type, Callable[..., Iterator[list[Cell]]]] = {
    Committed: _committed,
    StepReplayed: _replayed,
    StepStarted: _started,
    EffectHappened: _effect,
    RequestEnded: _answered,
    ErrorLogged: _logged,
    TargetFailed: _failed,
    LaunchStarted: lambda _: iter([["DBOS launches", "", ""]]),
    ClientGaveUp: lambda _: iter([["no request", "", "a workflow of it was accepted before"]]),
    RequestStarted: lambda _: iter([["request", "", ""]]),
    BecameQuiet: lambda _: iter([["all is quiet", "", ""]]),
}


def left_sheet(process: ProcessRecord) -> Sheet:
    """Return the table of the workflows in the database when a process had ended."""
    steps: defaultdict[str, int] = defaultdict(int)
    for step in process.snapshot.steps:
        steps[step.workflow] += 1
    return Sheet(
        "What the crash left in the database",
        [ids("workflow"), words("status"), ids("queue"), right("attempts"), right("steps"),
         sentences("result")],
        [
            [row.id, row.status, row.queue, row.attempts, steps[row.id],
             readable(row.output or row.error)]
            for row in process.snapshot.workflows
        ],
    )  # fmt: skip


# --- the judgement


def _meaning(judgement: Judgement, shown: Mapping[Topic, Shown]) -> Iterator[RenderableType]:
    if judgement.findings:
        yield Sheet(
            "Findings: differences from the baseline, or from a promise",
            [ids("kind"), words("of"), sentences("evidence"), sentences("when repeated")],
            [
                [Text(f.kind, style="red"), f.subject, evidence_text(f.evidence),
                 repeated(shown.get(topic_of(f)))]
                for f in judgement.findings
            ],
        )  # fmt: skip
        for kind in dict.fromkeys(f.kind for f in judgement.findings):
            yield Text(literal(f"{kind}: {MEANINGS[kind]}"))
    for each in judgement.exposures:
        yield Text(literal(exposure_text(each)), style="yellow")
    for line in reservations(judgement):
        yield Text(literal(line), style="dim")
    style = VERDICT_STYLES[judgement.verdict]
    yield Text(literal(f"{judgement.verdict}: {verdict_text(judgement)}"), style=style)


def exposure_text(exposure: Exposure) -> str:
    """Return an exposure of one trial in words."""
    other = ", with different arguments" if exposure.payload_differs else ""
    other += f"; {note_text(exposure.note)}" if exposure.note else ""
    return f"allowed: {exposure.subject} happened {counted(exposure.times, 'time')}{other}"


def reservations(judgement: Judgement) -> Iterator[str]:
    """Yield a sentence for what was not compared, or is explained by time."""
    if judgement.explained_by_time:
        yield f"{EXPLAINED_BY_TIME}: {', '.join(judgement.explained_by_time)}"
    if judgement.diverged_before_crash:
        names = ", ".join(judgement.diverged_before_crash)
        yield f"not compared with the baseline, since it diverged before the crash: {names}"


def verdict_text(judgement: Judgement) -> str:
    """Return the verdict on a trial in words."""
    compared = "; apart from what is allowed, everything compared is as in the baseline"
    return {
        Verdict.KEPT: "every promise held" + ("" if judgement.diverged_before_crash else compared),
        Verdict.BROKEN: "a promise was broken",
        Verdict.UNSTABLE: "a promise was broken, but not in every run of this trial",
        Verdict.VOID: judgement.why_void,
    }[judgement.verdict]


def judgement_document(judgement: Judgement, shown: Mapping[Topic, Shown]) -> dict[str, Plain]:
    """Return the judgement of one trial for JSON.

    Args:
        judgement: The judgement.
        shown: Number of repeated trials that showed each finding.
    """
    return {
        "plan": judgement.plan,
        "verdict": str(judgement.verdict),
        "why_void": judgement.why_void,
        "findings": [
            {
                "kind": str(f.kind),
                "subject": f.subject,
                "evidence": evidence_text(f.evidence),
                "reason": f.evidence.KIND,
                "repeated": _repeated_document(shown.get(topic_of(f))),
            }
            for f in judgement.findings
        ],
        "exposures": [
            {
                "subject": each.subject,
                "times": each.times,
                "payload_differs": each.payload_differs,
                "note": note_text(each.note),
            }
            for each in judgement.exposures
        ],
        "diverged_before_crash": list(judgement.diverged_before_crash),
        "attempts": judgement.attempts,
        "explained_by_time": list(judgement.explained_by_time),
    }


def _repeated_document(shown: Shown | None) -> dict[str, int] | None:
    return {"shown": shown.times, "of": shown.of} if shown else None


def outcomes_sheet(judged: Sequence[Judgement]) -> Sheet:
    """Return the table of outcomes of a repeated trial, with their numbers."""
    counts: defaultdict[tuple[str, str], int] = defaultdict(int)
    for judgement in judged:
        what = "; ".join(sorted({f"{f.kind} {f.subject}" for f in judgement.findings}))
        counts[str(judgement.verdict), what or judgement.why_void] += 1
    return Sheet(
        f"{judged[0].plan}, {counted(len(judged), 'time')}",
        [ids("verdict"), sentences("what"), right("times")],
        [[verdict, what, times] for (verdict, what), times in sorted(counts.items())],
    )
