"""Count what happened: effects, executions of steps, writes of bodies, records, commits."""

from collections import Counter
from collections.abc import Iterator

from resumectl.judge.baseline import NEVER
from resumectl.judge.case import Case
from resumectl.judge.fields import Count, FieldKind
from resumectl.judge.interrupted_steps import CountByName, counts_by_name
from resumectl.judge.promises import default_promise, promised_name
from resumectl.model.events import EffectsCounted, StepStarted
from resumectl.model.evidence import (
    BehindOtherAnswer,
    NeverInBaseline,
    Occurrence,
    RowsNotCompared,
    TooFew,
    TooFewInWorkflow,
    TooMany,
    TooManyInProcess,
    TooManyInWorkflow,
    TooManyRecords,
)
from resumectl.model.promise import Promise
from resumectl.model.verdict import Exposure, Finding, Kind


def too_many_or_few(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding or exposure for each thing that happened more or less often than usual.

    It is a finding if the promise forbids it, and an exposure if the promise allows it.
    """
    keys = {*case.view.counts, *case.baseline.counts} - case.baseline.not_compared.varying
    for key in sorted(key for key in keys if isinstance(key, Count)):
        times = case.view.counts.get(key, 0)
        least, most = _usual_times(case, key)
        if times > most:
            yield from _too_many(case, key, times, most)
        elif times < least and case.is_complete:
            yield from _too_few(case, key, times, least)


def _usual_times(case: Case, key: Count) -> tuple[int, int]:
    least, most = case.baseline.counts.get(key, NEVER)
    rule = case.baseline.not_compared
    if rule.covers_site(_site_of(case, key)):
        return 0, max(most, 1)
    if rule.is_partial and key.occurrence is Occurrence.EFFECT:
        return 0, most
    return least, most


def _site_of(case: Case, key: Count) -> str:
    """Return the location of a counted thing; what the Scenario counts is outside of any workflow."""
    if key.occurrence is Occurrence.EXECUTION:
        return key.about
    event = case.view.effect_sites.get(key)
    return str(event.site) if event is not None else "outside of any workflow"


def _promise_given(case: Case, key: Count) -> Promise | None:
    """Return the explicit promise of a counted thing; None if it has none."""
    # A promise for a name that a step and an effect share is for the effect.
    is_shadowed = key.occurrence is Occurrence.EXECUTION and any(
        other.name == key.name
        for other in case.baseline.counts
        if other.occurrence is Occurrence.EFFECT
    )
    return None if is_shadowed else case.promises.get(promised_name(key))


def _too_many(case: Case, key: Count, times: int, most: int) -> Iterator[Finding | Exposure]:
    event = case.view.effect_sites.get(key)
    promise = _promise_given(case, key) or default_promise(key, event)
    differs = len(case.view.payloads.get(key, ())) > 1
    if most == 0 and key.occurrence is Occurrence.EFFECT:
        yield Finding(Kind.UNEXPECTED, key.subject, NeverInBaseline(times))
    elif promise is Promise.AT_LEAST_ONCE:
        # A step that ran once after the crash, and never in the baseline, is no repetition.
        if times > 1:
            yield Exposure(key.subject, times, differs)
    else:
        is_named = promised_name(key) in case.promises
        is_outside = key.occurrence is Occurrence.WRITE or event is not None
        evidence = TooMany(
            key.occurrence, times, most, str(promise), differs, is_outside and not is_named
        )
        yield Finding(Kind.DUPLICATED, key.subject, evidence)


def _too_few(case: Case, key: Count, times: int, least: int) -> Iterator[Finding | Exposure]:
    counted = case.view.final.last(EffectsCounted)
    cannot_count = counted is not None and counted.error is not None
    if key.occurrence is Occurrence.EFFECT and cannot_count:
        return
    given = _promise_given(case, key)
    promise = given or default_promise(key, case.view.effect_sites.get(key))
    if promise is Promise.AT_MOST_ONCE:
        yield Exposure(key.subject, times)
    elif key.occurrence is not Occurrence.WRITE:  # rows of a table are compared with `observe`
        # A thing that did not happen in this trial has no location in it.
        promise_text = str(promise) if given or key in case.view.counts else ""
        yield Finding(Kind.LOST, key.subject, TooFew(key.occurrence, times, least, promise_text))


def too_many_in_process(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each step that ran more often within one process.

    A crash excuses one more execution in the next process, and never two in one.
    """
    varying = case.baseline.not_compared.varying
    for number, process in enumerate(case.lasting.processes, start=1):
        begun = Counter(
            Count(Occurrence.EXECUTION, event.step, str(event.site))
            for event in process.all(StepStarted)
            # DBOS's retries are no second execution. Outside of any workflow nothing is
            # promised.
            if event.site.workflow and not (event.is_transaction or event.is_retry)
        )
        for key, times in begun.items():
            usual = case.baseline.counts.get(key, NEVER)[1]
            if times > max(usual, 1) and key not in varying:
                evidence = TooManyInProcess(times, usual, number)
                yield Finding(Kind.DUPLICATED, key.subject, evidence)


def inserted_again(case: Case) -> Iterator[Finding | Exposure]:
    """Yield an exposure for each table that steps insert into more often than in uninterrupted runs."""
    usual = {each.name: each.times for each in case.baseline.transitions}
    writes = (key for key in case.baseline.counts if key.occurrence is Occurrence.WRITE)
    by_bodies = {key.name for key in writes}
    for name, times in case.view.committed.items():
        is_insert = name.endswith("/inserted") and name not in by_bodies
        if is_insert and 0 < usual.get(name, 0) < times:
            yield Exposure(name, times, note=RowsNotCompared())


# --- behind a step that answered otherwise, steps are counted by name, not by number


def counted_by_name(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each step that a workflow ran more or less often by name than promised."""
    if not case.is_complete:
        return
    for count in _counts_by_name(case):
        promise = case.promises.get(count.step, Promise.AT_LEAST_ONCE)
        if count.times < count.least and promise is not Promise.AT_MOST_ONCE:
            few = TooFewInWorkflow(count.times, count.least)
            yield Finding(Kind.LOST, count.subject, few)
        if count.times > max(count.most, 1) and promise is not Promise.AT_LEAST_ONCE:
            many = TooManyInWorkflow(count.times, count.most, str(promise))
            yield Finding(Kind.DUPLICATED, count.subject, many)


def new_names(case: Case) -> Iterator[Finding | Exposure]:
    """Yield an exposure for each step behind another result that no uninterrupted run has."""
    for count in _counts_by_name(case):
        if count.times and not count.most:
            yield Exposure(count.subject, count.times, note=BehindOtherAnswer())


def _counts_by_name(case: Case) -> Iterator[CountByName]:
    """Yield the counts of the workflows in which a step returned another result."""
    for workflow in sorted({answer.workflow for answer in case.other_answers}):
        yield from counts_by_name(workflow, case.view, case.baseline)


def recorded_again(case: Case) -> Iterator[Finding | Exposure]:
    """Yield a finding for each step that such a workflow recorded more often.

    A crash excuses one more run of a step, but never one more record of it. The step that returned
    another result is left out: a workflow may ask for a lease until it is free.
    """
    if not case.is_complete:
        return
    again = {(answer.workflow, answer.step) for answer in case.other_answers}
    workflows = {answer.workflow for answer in case.other_answers}
    usual = Counter(
        (key.workflow, name)
        for key, values in case.baseline.fields.items()
        if key.kind is FieldKind.STEP and key.part == "name"
        for name in {each for each in values if isinstance(each, str)}
    )
    found = Counter((row.workflow, row.name) for row in case.view.final.snapshot.steps)
    for workflow, step in sorted(usual):
        times, most = found[workflow, step], usual[workflow, step]
        is_own = workflow in workflows and not step.startswith("DBOS.")
        if is_own and times > most and (workflow, step) not in again:
            yield Finding(Kind.DUPLICATED, f"{step}, {workflow}", TooManyRecords(times, most))
