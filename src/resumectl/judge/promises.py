"""Find the promise of a counted thing, and refuse promises for things that never happen."""

import re
from collections.abc import Mapping
from difflib import get_close_matches

from resumectl.errors import Refusal
from resumectl.judge.baseline import Baseline
from resumectl.judge.fields import Count
from resumectl.model.crash_plan import subject_of
from resumectl.model.events import EffectHappened
from resumectl.model.evidence import Occurrence
from resumectl.model.promise import Promise

_STEP = re.compile(r"(step|transaction)-\d+")


def promised_name(key: Count) -> str:
    """Return the name of an effect, a step or a table that promises use."""
    return subject_of(key.name) if key.occurrence is Occurrence.WRITE else key.name


def default_promise(key: Count, event: EffectHappened | None) -> Promise:
    """Return the default promise.

    A step may repeat something if the process is killed before the checkpoint. Outside of steps nothing
    explains a repetition, so it is not allowed.

    Args:
        key: Counted thing.
        event: Recorded event of an effect; None if there is none.
    """
    is_in_step = event is not None and event.site.is_in_step
    is_at_least_once = key.occurrence is Occurrence.EXECUTION or is_in_step
    return Promise.AT_LEAST_ONCE if is_at_least_once else Promise.EXACTLY_ONCE


def refuse_unknown_promises(promises: Mapping[str, Promise], baseline: Baseline) -> None:
    """Refuse a promise for something that never happens, which no crash could break.

    Args:
        promises: Effect, step or table to promise, from the command line. Promises that a Scenario
            declares may belong to another request than this one.
        baseline: Baseline of uninterrupted runs.

    Raises:
        Refusal: There is such a promise; the error lists the nearest names.
    """
    counted = {*baseline.counts, *baseline.not_compared.varying}
    known = {promised_name(key) for key in counted if isinstance(key, Count)}
    written = {subject_of(each.name) for each in baseline.transitions if not each.detail}
    # A transaction that the crash interrupts is rolled back, so its executions are not counted.
    recorded = {each.detail for each in baseline.transitions if _STEP.match(each.fact)}
    for name in promises:
        if name in known:
            continue
        if name in written:
            raise Refusal(
                f"a promise of {name!r} cannot be checked: its rows are compared only if the "
                "observe function of a Scenario returns them",
                next_step="return them from observe, or give the promise to the step that "
                "writes them",
            )
        if name in recorded:
            raise Refusal(
                f"{name!r} needs no promise: it is a transaction, which DBOS records together with what "
                "it writes",
                next_step=f"leave out the promise of {name}",
            )
        near = get_close_matches(name, known, n=3) or sorted(known)[:3]
        raise Refusal(
            f"unknown promise target {name!r}: no step, effect or table has that name",
            next_step=f"--promise NAME=PROMISE, with {', '.join(near)}"
            if near
            else "leave out --promise",
        )
