"""Say why a step ran again after a crash, from what its processes recorded. Pure."""

from collections.abc import Iterator

from resumectl.model.events import Committed, StepStarted
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.text import counted

_SHOWN_MAX = 3


def why_repeated(trial: Observation) -> Iterator[str]:
    """Yield a sentence for each step that ran again since a crash came before its record.

    Args:
        trial: Observation of the trial, with names.
    """
    sentences = []
    for number, process in enumerate(trial.processes[:-1], start=1):
        recorded = {fact.name for event in process.all(Committed) for fact in event.facts}
        for step, site in _ran(process):
            again = _ran_again(trial, (step, site), after=number)
            if site not in recorded and again is not None:
                ended = "was killed" if process.exit.signal is not None else "ended"
                sentences.append(
                    f"Process {number} ran {step}, {site} and {ended} before DBOS had recorded it, "
                    f"so process {again} ran it again."
                )
    yield from sentences[:_SHOWN_MAX]
    if len(sentences) > _SHOWN_MAX:
        more = counted(len(sentences) - _SHOWN_MAX, "more step")
        yield f"So it is with {more}."


def _ran(process: ProcessRecord) -> dict[tuple[str, str], None]:
    """Return name and site of each step that a process ran, in their order."""
    return {(event.step, str(event.site)): None for event in process.all(StepStarted)}


def _ran_again(trial: Observation, step: tuple[str, str], *, after: int) -> int | None:
    """Return the number of the next process that ran a step; None if there is none."""
    later = enumerate(trial.processes[after:], start=after + 1)
    return next((number for number, process in later if step in _ran(process)), None)
