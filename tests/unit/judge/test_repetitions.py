"""How often something may happen: what the promise allows, and what it forbids."""

from collections.abc import Mapping

import pytest
from builders import (
    WORKFLOW,
    checker_of,
    committed,
    crashed,
    effect,
    run,
    started,
    trial,
    with_records,
    working,
)

from resumectl.model.events import BodyInsert, Committed, EffectsCounted
from resumectl.model.evidence import (
    NeverInBaseline,
    Occurrence,
    TooFew,
    TooMany,
    TooManyInProcess,
)
from resumectl.model.promise import Promise
from resumectl.model.verdict import Exposure, Finding, Judgement, Kind, Verdict

CHARGE = [("charge", "ok")]
STEP = f"charge, {WORKFLOW}/step-1"
ONCE, AT_LEAST, AT_MOST = Promise


def repeated(**promises: Promise) -> Judgement:
    """The body of a step ran before the crash and after it, as did its effect."""
    charged = [effect("paid", "1")]
    first = with_records(working(CHARGE, events=charged, status="PENDING"), 0)
    checker = checker_of([run(CHARGE, events=charged)] * 2, **promises)
    return checker.check(crashed(first, working(CHARGE, events=charged)))


def test_step_may_run_again_by_default() -> None:
    judgement = repeated()
    assert judgement.verdict is Verdict.KEPT
    assert set(judgement.exposures) == {Exposure("paid(1)", 2), Exposure(STEP, 2)}


@pytest.mark.parametrize("promise", [ONCE, AT_MOST])
def test_stricter_promise_forbids_it(promise: Promise) -> None:
    judgement = repeated(charge=promise)
    many = TooMany(Occurrence.EXECUTION, 2, 1, str(promise), False, is_outside_step=False)
    assert judgement.findings == (Finding(Kind.DUPLICATED, STEP, many),)
    judgement = repeated(paid=promise)
    many = TooMany(Occurrence.EFFECT, 2, 1, str(promise), False, is_outside_step=False)
    assert judgement.findings == (Finding(Kind.DUPLICATED, "paid(1)", many),)


def test_effect_outside_of_any_step_is_promised_once() -> None:
    told = [effect("paid", "1", number=None)]
    first = with_records(working(CHARGE, events=told, status="PENDING"), 0)
    judgement = checker_of([run(CHARGE, events=told)] * 2).check(
        crashed(first, working(CHARGE, events=told))
    )
    many = TooMany(Occurrence.EFFECT, 2, 1, str(ONCE), False, is_outside_step=True)
    assert Finding(Kind.DUPLICATED, "paid(1)", many) in judgement.findings


def test_other_payload_is_told() -> None:
    first = with_records(working(CHARGE, events=[effect("paid", "1")], status="PENDING"), 0)
    varying = [run(CHARGE, events=[effect("paid", each)]) for each in "ab"]  # told apart by site
    judgement = checker_of(varying).check(
        crashed(first, working(CHARGE, events=[effect("paid", "2")]))
    )
    assert Exposure(f"paid({WORKFLOW}/step-1)", 2, payload_differs=True) in judgement.exposures


@pytest.mark.parametrize(("promise", "is_finding"), [(ONCE, True), (AT_MOST, False)])
def test_what_does_not_happen_is_lost(promise: Promise, is_finding: bool) -> None:
    usual = [run(CHARGE, events=[effect("paid", "1")])] * 2
    judgement = checker_of(usual, paid=promise).check(trial(CHARGE))
    few = TooFew(Occurrence.EFFECT, 0, 1, str(promise))
    expected = (Finding(Kind.LOST, "paid(1)", few),) if is_finding else ()
    assert judgement.findings == expected
    assert (Exposure("paid(1)", 0) in judgement.exposures) is not is_finding


def test_effect_of_no_uninterrupted_run_is_unexpected() -> None:
    judgement = checker_of([run(CHARGE)] * 2).check(trial(CHARGE, events=[effect("refund", "1")]))
    assert judgement.findings == (Finding(Kind.UNEXPECTED, "refund(1)", NeverInBaseline(1)),)


def counted(counts: Mapping[str, Mapping[str, int]], error: str | None = None) -> EffectsCounted:
    return EffectsCounted(1, counts, error)


@pytest.mark.parametrize("error", [None, "the outside is down"])
def test_effect_is_lost_only_where_it_can_be_counted(error: str | None) -> None:
    usual = [run(CHARGE, events=[counted({"delivery": {"1": 1}})])] * 2
    judgement = checker_of(usual).check(trial(CHARGE, events=[counted({}, error)]))
    kinds = {(each.kind, each.subject) for each in judgement.findings}
    assert kinds == {(Kind.LOST, "delivery(1)") if error is None else (Kind.DIVERGED, "effects")}


def test_step_runs_once_within_one_process() -> None:
    judgement = checker_of([run(CHARGE)] * 2).check(trial(CHARGE, events=[started("charge")]))
    expected = Finding(Kind.DUPLICATED, STEP, TooManyInProcess(2, 1, process=2))
    assert expected in judgement.findings


def test_write_of_a_body_is_promised_once() -> None:
    insert = Committed(1, committed("orders/inserted").facts,
                       (BodyInsert("orders/inserted", WORKFLOW),), ())  # fmt: skip
    first = with_records(working(CHARGE, events=[insert], status="PENDING"), 0)
    judgement = checker_of([run(CHARGE, events=[insert])] * 2).check(
        crashed(first, working(CHARGE, events=[insert]))
    )
    many = TooMany(Occurrence.WRITE, 2, 1, str(ONCE), False, is_outside_step=True)
    subject = f"orders/inserted, {WORKFLOW}"
    assert Finding(Kind.DUPLICATED, subject, many) in judgement.findings
