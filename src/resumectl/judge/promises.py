"""Find the promise that something is held to, and refuse promises of what never happens."""

from collections.abc import Mapping
from difflib import get_close_matches

from resumectl.errors import Refusal
from resumectl.judge.baseline import Baseline
from resumectl.judge.fields import Count
from resumectl.model.crash_plan import subject_of
from resumectl.model.events import EffectHappened
from resumectl.model.evidence import Happening
from resumectl.model.verdict import Promise


def promised_name(key: Count) -> str:
    """Return the name by which a promise names this: an effect, a step, a table."""
    return subject_of(key.name) if key.happening is Happening.WRITE else key.name


def default_promise(key: Count, event: EffectHappened | None) -> Promise:
    """Return the promise of what no promise names.

    In a step something is repeated if the process is killed before the checkpoint. Elsewhere nothing
    explains a repetition, so nothing excuses it.

    Args:
        key: What is counted.
        event: The effect, where it was recorded; None where it was not, or is none.
    """
    is_in_step = event is not None and event.site.is_in_step
    is_at_least_once = key.happening is Happening.EXECUTION or is_in_step
    return Promise.AT_LEAST_ONCE if is_at_least_once else Promise.EXACTLY_ONCE


def refuse_unknown_promises(promises: Mapping[str, Promise], baseline: Baseline) -> None:
    """Refuse a promise of what never happens: it would hold whatever is killed.

    Args:
        promises: Effect, step or table to promise, as the command line gives them. Promises that a
            Scenario declares may be of another request than this one.
        baseline: What uninterrupted runs do.

    Raises:
        Refusal: There is such a promise; the nearest names are told.
    """
    counted = {*baseline.counts, *baseline.not_compared.varying}
    known = {promised_name(key) for key in counted if isinstance(key, Count)}
    written = {subject_of(each.name) for each in baseline.transitions if not each.detail}
    for name in promises:
        if name in known:
            continue
        if name in written:
            raise Refusal(
                f"no promise can be held against {name!r}: its rows are compared only where a "
                "Scenario's observe returns them",
                next_step="return them from observe, or give the promise to the step that "
                "writes them",
            )
        near = get_close_matches(name, known, n=3) or sorted(known)[:3]
        raise Refusal(
            f"unknown promise target {name!r}: no step, effect or table has that name",
            next_step=f"--promise NAME=PROMISE, with {', '.join(near)}"
            if near
            else "leave out --promise",
        )
