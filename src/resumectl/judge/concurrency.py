"""Find out whether a program does several things at the same time, so that their order may vary."""

from resumectl.model.events import BecameQuiet, StepEnded, StepStarted
from resumectl.model.observation import Observation, ProcessRecord


def is_concurrent(run: Observation) -> bool:
    """Return whether two step bodies overlap, or a step has two threads or tasks at the same time.

    Args:
        run: An uninterrupted run.
    """
    return any(_steps_overlap(process) or _has_own(process) for process in run.processes)


def _has_own(process: ProcessRecord) -> bool:
    quiet = process.last(BecameQuiet)
    return quiet is not None and quiet.has_own_concurrency


def _steps_overlap(process: ProcessRecord) -> bool:
    running: set[str] = set()
    for event in process.events:
        if isinstance(event, StepStarted):
            running.add(f"{event.step}, {event.site}")
        elif isinstance(event, StepEnded):
            running.discard(f"{event.step}, {event.site}")
        if len(running) > 1:
            return True
    return False
