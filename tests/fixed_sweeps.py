"""Sweeps of fixed data, whose pages are the same each time: one KEPT, one BROKEN, one with two crashes.

Nothing is run. The times are whole milliseconds.
"""

from collections.abc import Collection, Iterator, Sequence

from builders import KILLED, TIMED_OUT, observed, process, snapshot, step_row, workflow_row

from resumectl.judge.judge import Judge
from resumectl.judge.stability import settled
from resumectl.model.codec import to_plain
from resumectl.model.events import (
    EVENT_SCHEMA,
    BecameQuiet,
    Committed,
    CommittedFact,
    CrashPointReached,
    Event,
    LaunchStarted,
    RequestEnded,
    RequestStarted,
    Site,
    StepEnded,
    StepReplayed,
    StepStarted,
    Stranded,
)
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.promise import Promise
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Client, Target
from resumectl.report.page.html import page_html
from resumectl.report.page.sweep_page import SweepPage, sweep_page
from resumectl.report.sweep_result import SweepResult
from resumectl.runner.stored_sweep import StoredSweep

STEPS = ("charge", "ship")
_TARGET = Target(("/srv/shop.py", "checkout"))


def _commit(at_ms: int, name: str, detail: str = "") -> Committed:
    return Committed(at_ms * 1000, (CommittedFact(name, detail),), (), ())


def _workflow(workflow: str, at_ms: int, done: Collection[str] = ()) -> Iterator[Event]:
    """Yield the events of a workflow of two steps.

    Args:
        workflow: Its id.
        at_ms: Time at which it begins, in milliseconds.
        done: Transitions that were committed before the crash.
    """
    if f"{workflow}/succeeded" in done:
        return
    yield _commit(
        at_ms, f"{workflow}/{'requeued' if f'{workflow}/accepted' in done else 'accepted'}"
    )
    for number, step in enumerate(STEPS, start=1):
        site, start_ms = Site(workflow, number, None), at_ms + 10 * number
        if f"{workflow}/step-{number}" in done:
            yield StepReplayed(start_ms * 1000, step, site, step)
            continue
        yield StepStarted(start_ms * 1000, step, site, False, False, ())
        yield StepEnded((start_ms + 4) * 1000, step, site, False)
        yield _commit(start_ms + 6, f"{workflow}/step-{number}", step)
    yield _commit(at_ms + 30, f"{workflow}/succeeded")


def _whole(workflows: Sequence[str], done: Collection[str] = ()) -> ProcessRecord:
    """Return a process that executes all workflows to their end."""
    events = [
        event
        for n, workflow in enumerate(workflows)
        for event in _workflow(workflow, 5 + 3 * n, done)
    ]
    events.sort(key=lambda event: event.at_us)
    rows = [workflow_row(each) for each in workflows]
    steps = [step_row(n, s, workflow=w) for w in workflows for n, s in enumerate(STEPS, start=1)]
    last = max((event.at_us for event in events), default=2000)
    ends = (RequestEnded(last + 1000, "ok", None), BecameQuiet(last + 2000, 0, False))
    begins = (LaunchStarted(0, {}, "d"), RequestStarted(1000))
    return process((*begins, *events, *ends), snapshot(rows, steps))


def _killed(
    workflows: Sequence[str], plan: str, done: Collection[str] = ()
) -> tuple[ProcessRecord, set[str]]:
    """Return a process that is killed at a crash point, and the transitions that are committed then."""
    edge, _, name = plan.partition(":")
    events: list[Event] = []
    for event in _whole(workflows, done).events:
        is_there = isinstance(event, Committed) and event.facts[0].name == name
        if not (is_there and edge == "before"):
            events.append(event)
        if is_there:
            events.append(CrashPointReached(event.at_us + 1000, plan))
            break
    done = {*done, *(e.facts[0].name for e in events if isinstance(e, Committed))}
    rows = [
        workflow_row(each, status="SUCCESS" if f"{each}/succeeded" in done else "PENDING")
        for each in workflows
        if f"{each}/accepted" in done
    ]
    steps = [
        step_row(n, step, workflow=each)
        for each in workflows
        for n, step in enumerate(STEPS, start=1)
        if f"{each}/step-{n}" in done
    ]
    return process(events, snapshot(rows, steps), process_exit=KILLED), done


def _page(
    number: int,
    workflows: Sequence[str],
    trials: Sequence[Observation],
    promises: dict[str, Promise],
    name: str,
) -> SweepPage:
    spec = SweepSpec(_TARGET, _TARGET, promises)
    judge = Judge(promises, tuple(observed(_whole(workflows)) for _ in range(2)))
    plain = {"schema": EVENT_SCHEMA, "resumectl": "0", **to_plain(spec)}
    stored = StoredSweep(number, name, plain, 0, len(trials), 2.0, {}, len(trials), len(trials))
    result = SweepResult(
        stored, settled([judge.judge(each) for each in trials], ()), (), (None, None), False, {},
        Client.RETRIES, None, seconds={}, locations={}, left_out=(),
    )  # fmt: skip
    return sweep_page(result, judge, enumerate(trials, start=1), "/srv")


def _plans(workflows: Sequence[str]) -> list[str]:
    facts = ("accepted", "step-1", "step-2", "succeeded")
    return [
        f"{edge}:{w}/{fact}" for w in workflows for fact in facts for edge in ("before", "after")
    ]


def _trials(workflows: Sequence[str]) -> list[Observation]:
    trials = []
    for plan in _plans(workflows):
        first, done = _killed(workflows, plan)
        trials.append(observed(first, _whole(workflows, done), plan=plan))
    return trials


def kept() -> SweepPage:
    """A sweep of six workflows in which every promise holds."""
    workflows = [f"order-{n}" for n in range(1, 7)]
    return _page(1, workflows, _trials(workflows), {}, "shop.py:orders")


def broken(workflow: str = "checkout-1") -> SweepPage:
    """A sweep in which a step that must happen once happens twice.

    Args:
        workflow: Id of its workflow.
    """
    promises = {"charge": Promise.EXACTLY_ONCE}
    return _page(2, [workflow], _trials([workflow]), promises, "shop.py:checkout")


def stuck_after_two_crashes() -> SweepPage:
    """A sweep of one trial: two crashes, and then a workflow that nobody takes up."""
    plans = ("before:checkout-1/step-1", "before:checkout-1/step-2")
    first, done = _killed(["checkout-1"], plans[0])
    second, done = _killed(["checkout-1"], plans[1], done)
    stuck = process(
        (LaunchStarted(0, {}, "d"), Stranded(20_000, ("checkout-1",), ())),
        snapshot(
            [workflow_row("checkout-1", status="PENDING")],
            [step_row(1, "charge", workflow="checkout-1")],
        ),
        process_exit=TIMED_OUT,
    )
    trial = observed(first, second, stuck, plan=",".join(plans))
    return _page(3, ["checkout-1"], [trial], {}, "shop.py:checkout")


PAGES = {"kept": kept, "broken": broken, "stuck": stuck_after_two_crashes}


def html(name: str) -> str:
    """Return the page of one of these sweeps, in HTML."""
    return page_html([PAGES[name]()])
