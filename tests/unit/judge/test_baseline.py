"""What is compared with uninterrupted runs, what varies, and what follows what varies."""

from dataclasses import replace
from typing import Any

import pytest
from builders import (
    TIMED_OUT,
    WORKFLOW,
    Steps,
    argument,
    baseline_of,
    checker_of,
    committed,
    crashed,
    effect,
    ended,
    kinds_of,
    run,
    started,
    step_row,
    trial,
    with_records,
    workflow_row,
    working,
)

from resumectl.model.codec import from_plain, to_plain
from resumectl.model.evidence import OtherPath, RowsNotCompared, WorkflowStuck
from resumectl.model.observation import LATER_BASELINE, Observation, ProcessRecord
from resumectl.model.promise import Promise
from resumectl.model.verdict import Judgement, Kind, Verdict

CHARGE = [("charge", "ok")]
USUAL, RARE = run([("look", "usual")]), run([("look", "rare")])


def kinds(runs: list[Observation], seen: Observation) -> set[str]:
    return kinds_of(checker_of(runs).check(seen))


def test_step_behind_varying_result_is_compared() -> None:
    runs = [run([("key", "a"), ("ship", "x")]), run([("key", "b"), ("ship", "x")])]
    assert kinds(runs, trial([("key", "c"), ("ship", "x")])) == set()
    assert Kind.LOST in kinds(runs, trial([("key", "c")]))
    assert Kind.DIVERGED in kinds(runs, trial([("key", "c"), ("ship", "y")]))


def test_number_of_steps_behind_varying_result_is_not_compared() -> None:
    runs = [run([("poll", "no"), ("poll", "yes")]), run([("poll", "yes")])]
    polled_thrice = [("poll", "no"), ("poll", "no"), ("poll", "yes")]
    assert kinds(runs, trial(polled_thrice)) == set()
    said = baseline_of(runs).described_not_compared
    assert said[-1] == "the steps of w-1 after step 1"


@pytest.mark.parametrize(
    ("output", "found"), [("old", set()), ("new", set()), ("other", {Kind.DIVERGED})]
)
def test_either_program_of_an_edit_is_right(output: str, found: set[str]) -> None:
    old = [run([("charge", "old")]) for _ in range(2)]
    new = [run([("charge", "new")], plan=LATER_BASELINE) for _ in range(2)]
    both = baseline_of(old).or_as(baseline_of(new))
    assert kinds_of(checker_of(both).check(trial([("charge", output)]))) == found


@pytest.mark.parametrize(("is_retry", "found"), [(True, set()), (False, {Kind.DUPLICATED})])
def test_retry_by_dbos_is_no_second_execution(is_retry: bool, found: set[str]) -> None:
    runs = [run(CHARGE) for _ in range(2)]
    again = [started("charge", is_retry=is_retry)]
    assert kinds(runs, trial(CHARGE, events=again)) == found


SECONDS = argument("1.5", without_time="<time>")


@pytest.mark.parametrize(
    ("first", "later", "digest", "found"),
    [
        (argument("'c'"), argument("'d'"), "d", {Kind.DIVERGED}),
        (argument("'c'"), argument("'c'"), "d", set()),
        (argument("'c'", is_opaque=True), argument("'d'", is_opaque=True), "d", set()),
        (SECONDS, argument("2.5", without_time="<time>"), "d", set()),
        (SECONDS, argument("1.5"), "d", set()),
        (SECONDS, argument("0.5"), "d", {Kind.DIVERGED}),
        # The program after an edit calls it as it likes.
        (argument("'c'"), argument("'d'"), "later", set()),
    ],
)
def test_varying_argument_is_the_same_in_all_processes_of_a_trial(
    first: Any, later: Any, digest: str, found: set[str]
) -> None:
    baseline, edited = (
        baseline_of([run(CHARGE, arguments=[argument(a)], digest=d) for a in ("'a'", "'b'")])
        for d in ("d", "later")
    )
    killed = with_records(working(CHARGE, status="PENDING", arguments=[first]), 0)
    checker = checker_of(baseline.or_as(edited) if digest == "later" else baseline)
    seen = crashed(killed, working(CHARGE, arguments=[later], digest=digest))
    assert kinds_of(checker.check(seen)) == found


@pytest.mark.parametrize(("recorded", "found"), [(1, {Kind.DIVERGED}), (0, set())])
def test_argument_behind_a_result_is_judged_where_that_was_recorded(
    recorded: int, found: set[str]
) -> None:
    steps = [("key", "c"), ("charge", "ok")]
    key = argument("'k'")
    runs = [run(steps, arguments=[key, argument(f"'{each}'")]) for each in "ab"]
    first = working(steps, arguments=[key, argument("'c'")], status="PENDING")
    later = working(steps, ran=range(recorded + 1, 3), arguments=[key, argument("'d'")])
    assert kinds(runs, crashed(with_records(first, recorded), later)) == found


@pytest.mark.parametrize(
    ("promises", "found"), [({}, {Kind.LOST}), ({"charge": Promise.AT_MOST_ONCE}, set())]
)
def test_step_that_is_cut_off_and_not_run_again_is_lost(
    promises: dict[str, Promise], found: set[str]
) -> None:
    checker = checker_of([run(CHARGE) for _ in range(2)], **promises)
    first = working(CHARGE, is_cut_off=True)
    assert kinds_of(checker.check(crashed(first, working(CHARGE, ran=[])))) == found


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ([], {Kind.DIVERGED, Kind.UNEXPECTED}),
        ([("look", "usual")], {Kind.DIVERGED, Kind.UNEXPECTED}),
        ([("look", "rare")], set()),
        ([("look", "rare"), ("fix", "x")], set()),
    ],
)
def test_trial_that_diverged_before_the_crash_is_not_compared(
    first: Steps, found: set[str]
) -> None:
    steps = [*(first or [("look", "rare")]), ("fix", "x"), ("tell", "y")][:3]
    seen = trial(steps, first=first, ran=range(len(first) + 1, 4), answer="other")
    judgement = checker_of([USUAL, USUAL]).check(seen)
    assert kinds_of(judgement) == found
    assert judgement.diverged_before_crash == (() if found else ("w-1/step-1: output",))
    assert from_plain(Judgement, to_plain(judgement)) == judgement


def with_step(record: ProcessRecord, workflow: str) -> ProcessRecord:
    steps = (*record.snapshot.steps, replace(record.snapshot.steps[0], workflow=workflow))
    return replace(record, snapshot=replace(record.snapshot, steps=steps))


def test_workflow_of_no_uninterrupted_run_is_no_early_divergence() -> None:
    """As a second fork: what began the first one was not recorded when its process was killed."""
    usual = [("look", "usual")]
    seen = trial(usual, first=usual, ran=[])
    forked = [with_step(each, "~work of the client no. 1") for each in seen.processes]
    judgement = checker_of([USUAL, USUAL]).check(replace(seen, processes=tuple(forked)))
    assert judgement.diverged_before_crash == ()
    assert kinds_of(judgement) == {Kind.UNEXPECTED}


def test_results_of_children_come_in_any_order() -> None:
    steps = [("DBOS.getResult", "a"), ("DBOS.getResult", "b"), ("tell", "x")]
    runs = [run(steps) for _ in range(2)]
    other_way_round = [steps[1], steps[0], steps[2]]
    assert kinds(runs, trial(other_way_round)) == set()
    assert kinds(runs, trial([*other_way_round[:2], ("tell", "y")])) == {Kind.DIVERGED}


@pytest.mark.parametrize(("times", "found"), [(0, set()), (1, set()), (2, {Kind.DUPLICATED})])
def test_promise_is_held_in_a_trial_that_is_not_compared(times: int, found: set[str]) -> None:
    checker = checker_of([USUAL, USUAL], charge=Promise.EXACTLY_ONCE)
    rare = [("look", "rare")]
    seen = trial(rare, first=rare, ran=[], events=[effect("charge", "1")] * times)
    judgement = checker.check(seen)
    assert judgement.diverged_before_crash
    assert kinds_of(judgement) == found


def test_process_of_an_edited_file_proves_nothing() -> None:
    runs = [run([("look", "x")]) for _ in range(2)]
    judgement = checker_of(runs).check(trial([("look", "y")], digest="edited"))
    assert judgement.verdict is Verdict.VOID
    assert "start a new sweep" in judgement.why_void


def stuck_evidence(judgement: Judgement) -> WorkflowStuck:
    (finding,) = [each for each in judgement.findings if each.subject == WORKFLOW]
    assert isinstance(finding.evidence, WorkflowStuck)
    return finding.evidence


def test_evidence_tells_whether_the_time_was_up() -> None:
    checker = checker_of([run([("begin", "x")])] * 2)
    waiting = replace(working([("begin", "x")], status="PENDING"), exit=TIMED_OUT)
    judgement = checker.check(crashed(working([("begin", "x")]), waiting))
    assert stuck_evidence(judgement).is_time_up


@pytest.mark.parametrize("is_there", [True, False])
def test_evidence_tells_which_awaited_child_is_deleted(is_there: bool) -> None:
    waiting = working([("begin", "x")], status="PENDING")
    workflows = [*waiting.snapshot.workflows, workflow_row("w-1-1")][: 2 if is_there else 1]
    left = replace(
        waiting.snapshot,
        steps=(step_row(1, "begin", "x", child="w-1-1"),),
        workflows=tuple(workflows),
    )
    seen = crashed(working([("begin", "x")]), replace(waiting, snapshot=left, exit=TIMED_OUT))
    judgement = checker_of([run([("begin", "x")])] * 2).check(seen)
    assert stuck_evidence(judgement).deleted_children == (() if is_there else ("w-1-1",))


def test_effect_with_the_name_of_its_step_has_its_own_payload() -> None:
    """The step is called with an order and an amount, and its effect is about the order alone."""
    charged = [effect("charge", "order-1")]
    checker = checker_of([run(CHARGE, events=charged)] * 2)
    first = with_records(working(CHARGE, events=charged, status="PENDING"), 0)
    judgement = checker.check(crashed(first, working(CHARGE, events=charged)))
    assert {e.subject: (e.times, e.payload_differs) for e in judgement.exposures} == {
        "charge(order-1)": (2, False),
        "charge, w-1/step-1": (2, False),
    }


def test_rows_that_a_step_inserts_again_are_an_exposure() -> None:
    inserted = [committed("paid/inserted")]
    checker = checker_of([run(CHARGE, events=inserted)] * 2)
    later = working(CHARGE, events=inserted)
    first = with_records(working(CHARGE, events=inserted, status="PENDING"), 0)
    judgement = checker.check(crashed(first, later))
    assert judgement.verdict is Verdict.KEPT
    (exposure,) = [each for each in judgement.exposures if each.subject == "paid/inserted"]
    assert (exposure.times, exposure.note) == (2, RowsNotCompared())
    once = with_records(working(CHARGE, status="PENDING"), 0)
    found = {each.subject for each in checker.check(crashed(once, later)).exposures}
    assert found == {"charge, w-1/step-1"}


def test_other_path_from_the_same_records_is_a_finding() -> None:
    judgement = checker_of([USUAL, USUAL]).check(trial([("tell", "x")]))
    assert OtherPath("tell", "look") in {each.evidence for each in judgement.findings}


TICK = "~tick of the schedule no. 1"


def with_tick(each: Observation, *, ran: bool = True, output: str = "ok") -> Observation:
    """Return a run in which a schedule has started one more workflow in the last process."""
    final = each.final
    left = replace(
        final.snapshot,
        workflows=(*final.snapshot.workflows, workflow_row(TICK, name="tick")),
        steps=(*final.snapshot.steps, step_row(1, "report", output, workflow=TICK)),
    )
    bodies = (started("report", workflow=TICK), ended("report", workflow=TICK)) if ran else ()
    final = replace(final, snapshot=left, events=(*bodies, *final.events))
    return replace(each, processes=(*each.processes[:-1], final))


@pytest.mark.parametrize(("usual", "found"), [(0, 1), (1, 0), (1, 1)])
def test_how_often_a_schedule_starts_a_workflow_is_not_compared(usual: int, found: int) -> None:
    runs = [with_tick(USUAL) if usual else USUAL] * 2
    seen = trial([("look", "usual")])
    assert kinds(runs, with_tick(seen) if found else seen) == set()


def test_what_a_scheduled_workflow_does_is_compared_where_both_have_it() -> None:
    seen = with_tick(trial([("look", "usual")]), ran=False, output="other")
    assert kinds([with_tick(USUAL)] * 2, seen) == {Kind.DIVERGED, Kind.LOST}
