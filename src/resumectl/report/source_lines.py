"""Find the source line of the step that a finding is about."""

import re
from collections.abc import Iterable, Mapping

from resumectl.judge.trial_view import TrialView
from resumectl.model.events import ProgramDescribed, StepDefinition, StepStarted
from resumectl.model.observation import Observation
from resumectl.model.verdict import Finding

# `charge, checkout-1/step-2`, and `checkout-1/step-2` alone.
_NAMED_STEP = re.compile(r"(?P<step>.+), .+/step-\d+", re.DOTALL)
_STEP = re.compile(r"(?P<workflow>.+)/step-(?P<number>\d+)", re.DOTALL)


def step_definitions(runs: Iterable[Observation]) -> Mapping[str, StepDefinition]:
    """Return where each step of a program is defined, by its name.

    Args:
        runs: Uninterrupted runs.
    """
    described = (event for run in runs for event in run.all(ProgramDescribed))
    return {each.step: each for event in described for each in event.steps}


def sources_of(runs: Iterable[Observation]) -> dict[str, str]:
    """Return the imported files of a program, with the digests of their texts.

    Args:
        runs: Uninterrupted runs.
    """
    described = (run.final.last(ProgramDescribed) for run in runs)
    return {file: digest for each in described if each for file, digest in each.sources.items()}


def where_defined(step: StepDefinition | None, directory: str) -> str:
    """Return the file and line of a step; empty if they are not known.

    Args:
        step: Where the step is defined.
        directory: Directory to which the path is relative.
    """
    return f"{step.file.removeprefix(f'{directory}/')}:{step.line}" if step is not None else ""


def definition_of(
    finding: Finding, trial: Observation, definitions: Mapping[str, StepDefinition]
) -> StepDefinition | None:
    """Return where the step of a finding is defined; None if it is about no step of the program.

    Args:
        finding: The finding.
        trial: Observation of the trial, with names.
        definitions: Step to its definition.
    """
    named = _NAMED_STEP.fullmatch(finding.subject)
    if named is not None:
        return definitions.get(named["step"])
    numbered = _STEP.fullmatch(finding.subject)
    if numbered is not None:
        rows = (row for process in trial.processes for row in process.snapshot.steps)
        wanted = (numbered["workflow"], int(numbered["number"]))
        names = (row.name for row in rows if (row.workflow, row.number) == wanted)
        return definitions.get(next(names, ""))
    sites = (
        e.site for k, e in TrialView(trial).effect_sites.items() if k.subject == finding.subject
    )
    site = next(sites, None)
    if site is None or not site.is_in_step:
        return None
    started = {str(event.site): event.step for event in trial.all(StepStarted)}
    return definitions.get(started.get(str(site), ""))
