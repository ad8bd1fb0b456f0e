"""Tell whether a program does several things at once, so that their order matters. Pure."""

from collections import defaultdict

from resumectl.lab.outcome import site
from resumectl.lab.trial import LifeSeen, Observation


def is_concurrent(run: Observation) -> bool:
    """Return whether two step bodies overlap, or two threads write within one step.

    Args:
        run: An uninterrupted one.
    """
    return any(_steps_overlap(life) or _threads_write(life) for life in run.lives)


def _steps_overlap(life: LifeSeen) -> bool:
    running: set[str] = set()
    for event in life.events:
        if event["kind"] in ("ran", "ended"):
            where = {f"{event['step']}, {site(event)}"}
            running = running | where if event["kind"] == "ran" else running - where
            if len(running) > 1:
                return True
    return False


def _threads_write(life: LifeSeen) -> bool:
    threads: defaultdict[tuple[str, int], set[int]] = defaultdict(set)
    for event in life.events:
        if event["kind"] == "commit" and "writer" in event:
            thread, workflow, step = event["writer"]
            if workflow is not None and step is not None:
                threads[workflow, step].add(thread)
    return any(len(each) > 1 for each in threads.values())
