"""Tell whether a program does several things at once, so that their order matters. Pure."""

from resumectl.judge.trial_view import site
from resumectl.model.observation import LifeSeen, Observation


def is_concurrent(run: Observation) -> bool:
    """Return whether two step bodies overlap, or a step has two threads or tasks at once.

    Args:
        run: An uninterrupted one.
    """
    return any(_steps_overlap(life) or _has_several(life) for life in run.lives)


def _has_several(life: LifeSeen) -> bool:
    quiet = life.last("quiet")
    return quiet is not None and bool(quiet["at_once"])


def _steps_overlap(life: LifeSeen) -> bool:
    running: set[str] = set()
    for event in life.events:
        if event["kind"] in ("ran", "ended"):
            where = {f"{event['step']}, {site(event)}"}
            running = running | where if event["kind"] == "ran" else running - where
            if len(running) > 1:
                return True
    return False
