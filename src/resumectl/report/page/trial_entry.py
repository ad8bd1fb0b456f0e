"""Describe one trial for the page: what happened, what is wrong with it, and its drawing. Pure."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from resumectl.judge.stability import Judged, Shown, Topic, topic_of
from resumectl.model.events import StepDefinition
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.verdict import Finding, Judgement, Kind
from resumectl.report.finding_text import MEANINGS, evidence_text
from resumectl.report.page.crash_map import SIGNS
from resumectl.report.page.drawing import Drawing, drawing_of
from resumectl.report.page.table import Table, table_of
from resumectl.report.page.timeline import timeline_of
from resumectl.report.repeated_steps import why_repeated
from resumectl.report.replay_command import Command, command_line
from resumectl.report.replay_view import (
    exposure_text,
    left_sheet,
    plan_text,
    process_sheet,
    recovery_text,
    reservations,
    verdict_text,
)
from resumectl.report.source_lines import definition_of, where_defined
from resumectl.report.sweep_result import repeated

ROWS_MAX = 40  # rows of a drawing
_CELL_BYTES = 30  # of a cell of a table, without its text


@dataclass(frozen=True, slots=True)
class FindingEntry:
    """A finding of a trial or a sweep.

    Attributes:
        finding: The finding.
        repeated: How often repeated trials showed it.
        where: Source line of the step; empty if it is not known.
        trial: Number of the trial that shows it; None if that trial is not on the page.
        plan: Crash plan of that trial.
        trials: Number of trials that show it.
        story: What happened in that trial, in words; empty where the trial itself is shown.
    """

    finding: Finding
    repeated: str
    where: str
    trial: int | None
    plan: str
    trials: int = 1
    story: str = ""

    @property
    def evidence(self) -> str:
        """Observed and expected values, in words."""
        return evidence_text(self.finding.evidence)

    @property
    def meaning(self) -> str:
        """What it means, what it costs and how to correct it."""
        return MEANINGS[self.finding.kind]


@dataclass(frozen=True, slots=True)
class TrialEntry:
    """One trial of the page.

    Attributes:
        number: Its number in the sweep.
        plan: Its crash plan.
        verdict: Its verdict.
        words: The verdict in words.
        story: The crash plan in words.
        kinds: Kinds of its findings.
        seconds: Its duration in seconds.
        findings: Its findings.
        notes: Exposures, and what was not compared, in words.
        drawing: Its timeline; None if it is left out.
        recoveries: What each later process recovered, in words.
        tables: The events of its processes, and what each crash left in the database.
        replay_line: Command line that runs it again.
    """

    number: int
    plan: str
    verdict: str
    words: str
    story: str
    kinds: Sequence[Kind]
    seconds: float
    findings: Sequence[FindingEntry]
    notes: Sequence[str]
    drawing: Drawing | None
    recoveries: Sequence[str]
    tables: Sequence[Table]
    replay_line: str

    @property
    def sign(self) -> str:
        """Sign of the verdict."""
        return SIGNS[self.verdict]

    @property
    def size(self) -> int:
        """Size of the drawing and the tables in HTML, in bytes; about."""
        cells = [text for table in self.tables for row in table.rows for text in row]
        drawn = self.drawing.size if self.drawing is not None else 0
        return drawn + _CELL_BYTES * len(cells) + sum(map(len, cells))


@dataclass(frozen=True, slots=True)
class TrialWriter:
    """Describes the trials of one sweep.

    Attributes:
        spec: Spec of the sweep.
        baseline: An uninterrupted run, with names.
        judged: Judgements of the trials, and of their repetitions.
        definitions: Step to its definition.
        directory: Directory in which command lines will be typed, and to which paths are relative.
    """

    spec: SweepSpec
    baseline: Observation
    judged: Judged
    definitions: Mapping[str, StepDefinition]
    directory: str

    def entry(
        self, number: int, judgement: Judgement, trial: Observation, *, is_drawn: bool
    ) -> TrialEntry:
        """Return the description of a trial.

        Args:
            number: Its number.
            judgement: Its judgement.
            trial: Its observation, with names.
            is_drawn: Whether it has a drawing and tables.
        """
        drawing = None
        tables: list[Table] = []
        if is_drawn:
            timeline = timeline_of(trial, self.baseline, judgement.findings, ROWS_MAX)
            drawing = drawing_of(timeline)
            tables = list(_tables(trial))
        return TrialEntry(
            number=number,
            plan=judgement.plan,
            verdict=str(judgement.verdict),
            words=verdict_text(judgement),
            story=" ".join([plan_text(trial), *why_repeated(trial)]),
            kinds=list(dict.fromkeys(each.kind for each in judgement.findings)),
            seconds=trial.seconds,
            findings=[self.finding(each, trial, number) for each in judgement.findings],
            notes=list(_notes(judgement)),
            drawing=drawing,
            recoveries=[
                f"Process {number}. {recovery_text(process)}"
                for number, process in enumerate(trial.processes[1:], start=2)
            ],
            tables=tables,
            replay_line=command_line(
                Command.REPLAY, self.spec, self.directory, plan=judgement.plan
            ),
        )

    def finding(self, finding: Finding, trial: Observation, number: int) -> FindingEntry:
        """Return a finding of a trial in words."""
        shown: Mapping[Topic, Shown] = self.judged.shown
        return FindingEntry(
            finding=finding,
            repeated=repeated(shown.get(topic_of(finding))),
            where=where_defined(definition_of(finding, trial, self.definitions), self.directory),
            trial=number,
            plan=trial.plan,
        )


def _notes(judgement: Judgement) -> Iterator[str]:
    if judgement.attempts > 1:
        yield f"The crash point was reached in attempt {judgement.attempts}."
    yield from map(exposure_text, judgement.exposures)
    yield from reservations(judgement)


def _tables(trial: Observation) -> Iterator[Table]:
    for number, process in enumerate(trial.processes, start=1):
        yield table_of(process_sheet(number, process))
        if process.reached is not None:
            yield table_of(left_sheet(process))
