"""Show a failed crash test: one trial as `replay` does, or the findings of several as `sweep` does."""

import linecache
from collections.abc import Iterator, Mapping

from rich.console import RenderableType
from rich.text import Text

from resumectl.judge.stability import Judged
from resumectl.model.events import StepDefinition
from resumectl.model.observation import Observation
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.verdict import Judgement, Verdict
from resumectl.report import replay_view
from resumectl.report.source_lines import definition_of, where_defined
from resumectl.report.sweep_result import seen_findings
from resumectl.report.sweep_tables import findings_view
from resumectl.text import counted, literal


def trial_view(
    spec: SweepSpec,
    trial: Observation,
    judged: Judged,
    definitions: Mapping[str, StepDefinition],
    directory: str,
) -> Iterator[RenderableType]:
    """Yield one trial, and the source lines of the steps that its findings are about.

    Args:
        spec: Sweep spec of the target.
        trial: Observation of the trial, with names.
        judged: Judgement of the trial, and its repetitions.
        definitions: Step to its definition.
        directory: Directory to which shown paths are relative.
    """
    yield Text(literal(_headline(judged.trials[0])))
    yield from replay_view.trial_view(trial, judged, spec, directory=directory)
    found = [definition_of(each, trial, definitions) for each in judged.trials[0].findings]
    for step in dict.fromkeys(each for each in found if each is not None):
        where = where_defined(step, directory)
        yield Text(literal(f"the step:  {where}: {_source_line(step)}"), no_wrap=True)


def _headline(judgement: Judgement) -> str:
    """Return the line by which a list of failed tests names the trial."""
    found = [f"{each.kind} {each.subject}" for each in judgement.findings]
    return f"{judgement.verdict}: {'; '.join(found) or judgement.why_void}"


def _source_line(step: StepDefinition) -> str:
    return linecache.getline(step.file, step.line).strip()


def sweep_view(spec: SweepSpec, judged: Judged, directory: str) -> Iterator[RenderableType]:
    """Yield the findings of the trials of all crash points.

    Args:
        spec: Sweep spec of the target.
        judged: Judgements of the trials, and of their repetitions.
        directory: Directory in which the command lines will be typed.
    """
    yield from findings_view(seen_findings(judged), spec, directory)
    for each in judged.trials:
        if each.verdict is Verdict.VOID:
            yield Text(literal(f"void: {each.plan}: {each.why_void}"))
    broken = sum(each.verdict is not Verdict.KEPT for each in judged.trials)
    of = counted(len(judged.trials), "trial")
    yield Text(literal(f"{broken} of {of} of {spec.target} did not keep every promise"))
