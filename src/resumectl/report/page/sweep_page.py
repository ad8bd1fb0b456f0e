"""Gather what the page of a sweep shows. Pure: the templates turn it into HTML."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from resumectl import __version__
from resumectl.judge.judge import Judge
from resumectl.judge.stability import topic_of
from resumectl.model.observation import BASELINE, Observation
from resumectl.model.verdict import Judgement, Verdict
from resumectl.report.finding_text import EXPLAINED_BY_TIME
from resumectl.report.outside import outside_lines
from resumectl.report.page.comparison import Comparison
from resumectl.report.page.crash_map import SIGNS, Group, crash_map, is_large
from resumectl.report.page.recovery_times import (
    Distribution,
    RecoveryTime,
    baseline_ms,
    distributions,
    recovery_time,
)
from resumectl.report.page.trial_entry import FindingEntry, TrialEntry, TrialWriter
from resumectl.report.replay_command import Command, command_line
from resumectl.report.source_lines import step_definitions, where_defined
from resumectl.report.sweep_header import header_lines, program_after_crash
from resumectl.report.sweep_result import SeenFinding, SweepResult
from resumectl.report.sweep_tables import exposure_detail, verdict_sentence
from resumectl.text import clock, counted

# Bytes of the drawings and tables of all trials together. They keep the page of a sweep with 5,000 trials
# below ten megabytes. A part is for trials that are not KEPT.
_DRAWN_MAX = 4_000_000
_NOT_KEPT_MAX = 3_000_000
_USUAL_SIZE = 50_000  # of one trial
_LINKS_MAX = 8  # links to trials in one cell
_DEFAULT_PROMISES = "at-least-once in a step, exactly-once outside of steps"


@dataclass(frozen=True, slots=True)
class ExposureEntry:
    """An exposure of the sweep: a repetition or omission that the promises allow.

    Attributes:
        subject: What may be repeated.
        worst: How often it happened at worst.
        detail: Further information, in words; may be empty.
        trials: Number and crash plan of the first trials that show it.
        more: Number of further trials that show it.
        plan: Crash plan of the first run that shows it, which may be none of the trials.
    """

    subject: str
    worst: str
    detail: str
    trials: Sequence[tuple[int, str]]
    more: int
    plan: str


@dataclass(frozen=True, slots=True)
class SweepPage:
    """Everything that the page of a sweep shows.

    Attributes:
        sweep: Number of the sweep; 0 if it is not stored.
        title: Title of the page.
        verdict: First word of the verdict on the sweep.
        sentence: The verdict in words.
        key_facts: What was run, in words.
        facts: Name and text of each further fact.
        commands: Purpose and command line of each command that goes on from here.
        groups: The map of crash points.
        findings: The findings, each once.
        exposures: The exposures, each once.
        not_compared: What was not compared, and why, in words.
        recovery: Distributions of durations.
        trials: The trials; those that are not KEPT come first.
        undrawn: Number of trials whose drawing is left out.
        comparison: What changed since another sweep; None if there is nothing to compare.
    """

    sweep: int
    title: str
    verdict: str
    sentence: str
    key_facts: Sequence[str]
    facts: Sequence[tuple[str, str]]
    commands: Sequence[tuple[str, str]]
    groups: Sequence[Group]
    findings: Sequence[FindingEntry]
    exposures: Sequence[ExposureEntry]
    not_compared: Sequence[str]
    recovery: Sequence[Distribution]
    trials: Sequence[TrialEntry]
    undrawn: int
    comparison: Comparison | None = None

    @property
    def is_large(self) -> bool:
        """Whether the map has too many crash points to name each of them."""
        return is_large(sum(len(group.columns) for group in self.groups))

    @property
    def recovery_end_ms(self) -> float:
        """End of the axis of the histograms, in milliseconds."""
        return max((each.values_ms[-1] for each in self.recovery), default=0.0) or 1.0

    @property
    def sign(self) -> str:
        """Sign of the verdict."""
        return SIGNS.get(self.verdict, SIGNS["VOID"])

    @property
    def verdicts(self) -> list[tuple[str, str, int]]:
        """Sign, name and number of trials of each verdict that occurs."""
        counts = [(SIGNS[v], str(v), sum(t.verdict == v for t in self.trials)) for v in Verdict]
        return [each for each in counts if each[2]]

    @property
    def first_shown(self) -> int | None:
        """Number of the trial that is open at first; None if every trial is KEPT."""
        return next((each.number for each in self.trials if each.verdict != Verdict.KEPT), None)

    @property
    def kinds(self) -> list[str]:
        """Kinds of the findings that occur."""
        return sorted({str(kind) for trial in self.trials for kind in trial.kinds})


def sweep_page(
    result: SweepResult,
    judge: Judge,
    observed: Iterable[tuple[int, Observation]],
    directory: str,
    *,
    plan: str | None = None,
    comparison: Comparison | None = None,
) -> SweepPage:
    """Return everything that the page of a sweep shows.

    Args:
        result: Result of the sweep.
        judge: Judge of its trials.
        observed: Number and observation of each of its trials, in the order of the judgements.
        directory: Directory in which command lines will be typed, and to which paths are relative.
        plan: Crash plan of the trials to show, without the map and the findings of others; None for all.
        comparison: What changed since another sweep; None if there is nothing to compare.
    """
    definitions = step_definitions(judge.runs)
    baseline = judge.with_aliases(next(run for run in judge.runs if run.plan == BASELINE))
    writer = TrialWriter(result.stored.spec, baseline, result.judged, definitions, directory)
    if plan is not None:
        of_plan = replace(result.judged, trials=_of_plan(result, plan))
        result = replace(result, judged=of_plan, retry=None)
        observed = (each for each in observed if each[1].plan == plan)
    entries, recoveries = _entries(result, judge, observed, writer)
    first = {entry.plan: entry for entry in reversed(entries)}
    numbered = [(e.number, judgement) for e, judgement in zip(entries, result.trials, strict=True)]
    sentence = verdict_sentence(result)
    return SweepPage(
        sweep=result.stored.id,
        title=_title(result, plan),
        verdict=sentence.partition(":")[0],
        sentence=sentence.partition(": ")[2],
        key_facts=list(_key_facts(result)),
        facts=list(_facts(result, judge)),
        commands=list(_commands(result, directory)),
        groups=crash_map(judge.baseline.transitions, numbered) if plan is None else [],
        findings=[
            _finding(each, first.get(each.plan), result, directory) for each in result.findings
        ],
        exposures=list(_exposures(result, numbered)),
        not_compared=list(_not_compared(result)),
        recovery=distributions(recoveries, baseline_ms(judge.runs)),
        trials=sorted(entries, key=lambda entry: entry.verdict == Verdict.KEPT),
        undrawn=sum(entry.drawing is None for entry in entries),
        comparison=comparison,
    )


def _finding(
    seen: SeenFinding, trial: TrialEntry | None, result: SweepResult, directory: str
) -> FindingEntry:
    """Return a finding of the sweep, with what happened in the first trial that shows it."""
    return FindingEntry(
        finding=seen.finding,
        repeated=seen.repeated,
        where=where_defined(result.locations.get(topic_of(seen.finding)), directory),
        trial=trial.number if trial is not None else None,
        plan=seen.plan,
        trials=seen.trials,
        story=trial.story if trial is not None else "",
    )


def _title(result: SweepResult, plan: str | None) -> str:
    stored = result.stored
    if not stored.id:
        return f"Crash tests of {stored.target}"
    which = "Sweep" if plan is None else f"{plan} in sweep"
    return f"{which} {stored.id} of {stored.target}"


def _of_plan(result: SweepResult, plan: str) -> tuple[Judgement, ...]:
    return tuple(each for each in result.trials if each.plan == plan)


def _entries(
    result: SweepResult,
    judge: Judge,
    observed: Iterable[tuple[int, Observation]],
    writer: TrialWriter,
) -> tuple[list[TrialEntry], list[RecoveryTime]]:
    entries: list[TrialEntry] = []
    recoveries: list[RecoveryTime] = []
    broken = sum(each.verdict is not Verdict.KEPT for each in result.trials)
    reserved = min(_NOT_KEPT_MAX, broken * _USUAL_SIZE)
    left = {True: _DRAWN_MAX - reserved, False: reserved}  # whether it is KEPT
    for (number, observation), judgement in zip(observed, result.trials, strict=True):
        trial = judge.with_aliases(observation)
        recovery = recovery_time(trial)
        if recovery is not None:
            recoveries.append(recovery)
        is_kept = judgement.verdict is Verdict.KEPT
        entry = writer.entry(number, judgement, trial, is_drawn=left[is_kept] > 0)
        left[is_kept] -= entry.size
        entries.append(entry)
    return entries, recoveries


def _key_facts(result: SweepResult) -> Iterator[str]:
    spec = result.stored.spec
    if next_program := program_after_crash(spec):
        yield f"program after the crash: {next_program}"
    yield f"{counted(result.stored.crash_points, 'crash point')} found"
    yield f"{result.reached:,} reached"
    crashes = counted(result.crashes, "crash", "crashes")
    yield f"{counted(len(result.trials), 'trial')} with {crashes}"
    if result.stored.id:
        yield f"trials per second: {result.trials_per_second:.1f}"
    interpreters = spec.interpreters
    if interpreters is not None:
        yield f"Python {interpreters.first.python}, DBOS {interpreters.first.dbos}"


def _facts(result: SweepResult, judge: Judge) -> Iterator[tuple[str, str]]:
    stored = result.stored
    yield "target", stored.target
    if stored.id:
        yield "swept", clock(stored.started_at_ms)
    yield "resumectl", __version__
    yield from header_lines(stored.spec, *result.settings)
    promises = [f"{name} {promise}" for name, promise in judge.all_promises.items()]
    yield "promises", "; ".join([*promises, f"by default {_DEFAULT_PROMISES}"])
    for line in outside_lines(stored.spec.target.access, result.contacts):
        name, _, text = line.partition(": ")
        yield name, text


def _commands(result: SweepResult, directory: str) -> Iterator[tuple[str, str]]:
    spec = result.stored.spec
    yield (
        ("made by" if result.stored.id else "the same as a sweep"),
        command_line(Command.SWEEP, spec, directory),
    )
    if result.stored.id:
        yield "judge it again, without running anything", f"resumectl check {result.stored.id}"
    if result.findings:
        plan = result.findings[0].plan
        yield (
            "see the first finding again",
            command_line(Command.REPLAY, spec, directory, plan=plan),
        )


def _exposures(
    result: SweepResult, trials: Sequence[tuple[int, Judgement]]
) -> Iterator[ExposureEntry]:
    seen: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, judgement in trials:
        for subject in dict.fromkeys(each.subject for each in judgement.exposures):
            seen[subject].append((number, judgement.plan))
    for each in result.exposures:
        at = seen[each.subject]
        yield ExposureEntry(
            subject=each.subject,
            worst=counted(each.times, "time"),
            detail=exposure_detail(each),
            trials=at[:_LINKS_MAX],
            more=max(0, len(at) - _LINKS_MAX),
            plan=each.plan,
        )


def _not_compared(result: SweepResult) -> Iterator[str]:
    for name in result.not_compared:
        yield name if name.startswith("all of ") else f"{name}: it varies in the baseline"
    for name in result.explained_by_time:
        yield f"{name}: {EXPLAINED_BY_TIME}"
    if result.has_one_order:
        yield (
            "other orders of threads: several ran at the same time, and each crash point was tried in "
            "one order of them (--repeat 5 tries more orders)"
        )
    for plan in result.left_out:
        yield f"{plan}: left out, since the budget was used up"
