"""A client that gives up leaves work that nobody has started; one that asks again starts it twice."""

from dataclasses import replace

import pytest
from builders import (
    KILLED,
    PLAN,
    baseline_of,
    checker_of,
    client_started,
    crashed,
    effect,
    observed,
    process,
    snapshot,
    started,
    step_row,
    workflow_row,
)

from resumectl.judge.client import (
    has_no_answer,
    never_started,
    started_by_retry,
    with_descendants,
)
from resumectl.judge.trial_view import TrialView
from resumectl.model.events import (
    BecameQuiet,
    ClientGaveUp,
    Event,
    LaunchStarted,
    OutsideObserved,
    RequestEnded,
)
from resumectl.model.evidence import NeverStarted, StartedByRetry
from resumectl.model.observation import Observation, ProcessRecord
from resumectl.model.verdict import Exposure, Verdict

BOTH = ("w-1", "w-2")


def finished(
    workflows: tuple[str, ...], *events: Event, starts: tuple[str, ...] = ()
) -> ProcessRecord:
    """A process in which these workflows, their steps and a child of the last one have ended."""
    rows = [workflow_row(each) for each in workflows]
    steps = [step_row(1, "charge", workflow=each) for each in workflows]
    if "w-2" in workflows:
        rows.append(workflow_row("w-2-1", parent="w-2"))
    return process(
        [
            LaunchStarted(0, {}, "d"),
            *(client_started(each) for each in starts),
            *(started("charge", 1, workflow=each) for each in starts),
            *(effect("charge", each) for each in starts),
            *events,
            BecameQuiet(9, 0, False),
        ],
        snapshot(rows, steps),
    )


def observing(*workflows: str) -> Event:
    return OutsideObserved(9, {"orders": list(workflows)}, None)


ANSWER = RequestEnded(8, "ok", None)
RUN = observed(finished(BOTH, ANSWER, observing(*BOTH), starts=BOTH))
GAVE_UP = ClientGaveUp(1)


def trial(*starts: str, gave_up: bool = True) -> Observation:
    """A trial whose first process was killed when its client had started these workflows."""
    first = finished(starts, starts=starts)
    events = (GAVE_UP,) if gave_up else (RequestEnded(8, "ok", None),)
    return crashed(replace(first, exit=KILLED), finished(starts, *events, observing(*starts)))


def test_client_that_gave_up_has_not_started_the_rest() -> None:
    baseline = baseline_of([RUN, RUN])
    view = TrialView(trial("w-1"))
    assert never_started(view, baseline) == {"w-2"}
    assert with_descendants(frozenset({"w-2"}), baseline) == {"w-2", "w-2-1"}
    assert has_no_answer(view)
    assert never_started(TrialView(trial("w-1", gave_up=False)), baseline) == set()


def test_what_was_never_started_is_an_exposure_and_not_lost() -> None:
    judgement = checker_of([RUN, RUN]).check(trial("w-1"))
    assert (judgement.verdict, judgement.findings) == (Verdict.KEPT, ())
    assert judgement.exposures == (Exposure("w-2", 0, note=NeverStarted()),)


def test_what_a_client_that_asked_again_left_out_is_lost() -> None:
    judgement = checker_of([RUN, RUN]).check(trial("w-1", gave_up=False))
    assert judgement.verdict is Verdict.BROKEN
    assert {"w-2", "w-2-1", "w-2/step-1"} <= {each.subject for each in judgement.findings}


def test_loss_of_what_was_started_is_found_where_the_client_gave_up() -> None:
    first = finished(BOTH, starts=BOTH)
    later = finished(("w-1",), GAVE_UP, observing("w-1"))
    judgement = checker_of([RUN, RUN]).check(crashed(replace(first, exit=KILLED), later))
    assert "w-2" in {each.subject for each in judgement.findings}


@pytest.mark.parametrize(("answer", "is_kept"), [("ok", True), ("other", False)])
def test_answer_before_the_crash_is_compared(answer: str, is_kept: bool) -> None:
    first = finished(BOTH, RequestEnded(8, answer, None), starts=BOTH)
    later = finished(BOTH, GAVE_UP, observing(*BOTH))
    seen = crashed(replace(first, exit=KILLED), later)
    assert not has_no_answer(TrialView(seen))
    assert (checker_of([RUN, RUN]).check(seen).verdict is Verdict.KEPT) == is_kept


def test_effect_too_many_is_found_where_the_client_gave_up() -> None:
    first = finished(("w-1",), effect("charge", "w-9"), starts=("w-1",))
    later = finished(("w-1",), GAVE_UP, observing("w-1"))
    judgement = checker_of([RUN, RUN]).check(crashed(replace(first, exit=KILLED), later))
    assert [each.subject for each in judgement.findings] == ["charge(w-9)"]


def test_retry_says_what_it_starts_and_which_effects_it_repeats() -> None:
    one = observed(finished(("w-1",), ANSWER, starts=("w-1",)))
    again: list[Event] = [
        client_started("w-2"),
        started("charge", 1, workflow="w-2"),
        effect("charge", "w-1"),
        started("mail", 1, workflow="w-2-1"),  # a child of it
    ]
    retried = observed(
        finished(("w-1",), starts=("w-1",)), finished(("w-1", "w-2"), *again), plan=PLAN
    )
    assert started_by_retry(TrialView(retried), baseline_of([one, one]), "w-1") == Exposure(
        "w-1", 2, note=StartedByRetry(("w-2",), ("charge", "mail"), ("charge(w-1)",))
    )
    assert started_by_retry(TrialView(one), baseline_of([one, one]), "w-1") is None
