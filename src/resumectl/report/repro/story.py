"""Tell a trial as plain text, without times."""

from collections.abc import Iterator

from resumectl.model.events import Committed, EffectHappened, StepReplayed, StepStarted
from resumectl.model.observation import Observation, ProcessRecord


def story_of(trial: Observation) -> str:
    """Return the events of a trial, one on each line.

    Args:
        trial: Observation of the trial, with names.
    """
    lines: list[str] = []
    for number, process in enumerate(trial.processes, start=1):
        lines.append(f"process {number}")
        lines.extend(f"  {line}" for line in _lines(process))
        if process.reached is not None:
            lines.append(f"  killed at {process.reached}")
    return "\n".join(lines)


def _lines(process: ProcessRecord) -> Iterator[str]:
    for event in process.events:
        if isinstance(event, Committed):
            yield f"commits {', '.join(fact.name for fact in event.facts)}"
        elif isinstance(event, StepStarted):
            yield f"runs {event.step}, {event.site}"
        elif isinstance(event, StepReplayed):
            yield f"replays {event.step}, {event.site} from its record"
        elif isinstance(event, EffectHappened):
            yield f"effect {event.name}({', '.join(event.about)})"
