"""The map, the recovery times and the comparison of sweeps."""

from collections.abc import Sequence
from dataclasses import replace

from builders import KILLED, observed, process, snapshot, workflow_row

from resumectl.judge.stability import settled
from resumectl.judge.transitions import Transition
from resumectl.model.codec import to_plain
from resumectl.model.events import (
    EVENT_SCHEMA,
    BecameQuiet,
    Committed,
    CommittedFact,
    ControlReached,
    Event,
    LaunchStarted,
    Site,
    StepReplayed,
)
from resumectl.model.evidence import Missing
from resumectl.model.observation import ProcessRecord
from resumectl.model.promise import Promise
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Client, Target
from resumectl.model.verdict import Finding, Judgement, Kind, Verdict
from resumectl.report.page.comparison import compare
from resumectl.report.page.crash_map import crash_map
from resumectl.report.page.recovery_times import (
    Distribution,
    baseline_ms,
    distributions,
    recovery_time,
)
from resumectl.report.sweep_result import SweepResult
from resumectl.report.sweep_tables import verdict_sentence
from resumectl.runner.stored_sweep import StoredSweep

LOST = Finding(Kind.LOST, "w-1/step-1", Missing())
TRANSITIONS = [
    Transition("w-1/accepted", "work", (1,), 1),
    Transition("w-1/step-1", "charge", (2,), 1),
    Transition("w-2/accepted", "work", (3,), 1),
]


def judgement(plan: str, verdict: Verdict = Verdict.KEPT, *findings: Finding) -> Judgement:
    return Judgement(plan, verdict, findings, crashes_reached=1)


# --- map


def test_every_crash_point_has_a_cell_in_the_order_of_the_baseline_by_workflow() -> None:
    groups = crash_map(TRANSITIONS, [(7, judgement("before:w-1/step-1", Verdict.BROKEN, LOST))])
    assert [(group.subject, [c.name for c in group.columns]) for group in groups] == [
        ("w-1", ["accepted work", "step-1 charge"]),
        ("w-2", ["accepted work"]),
    ]
    broken = groups[0].columns[1].before
    assert (broken.verdict, broken.trial, broken.sign) == ("BROKEN", 7, "✗")
    assert broken.label == "before:w-1/step-1 (charge): BROKEN, lost w-1/step-1"
    assert groups[0].columns[1].after.label == "after:w-1/step-1 (charge): no trial"
    assert (groups[0].verdict, groups[0].summary) == ("BROKEN", "BROKEN 1, no trial 3")


def test_cell_of_several_trials_shows_the_worst() -> None:
    trials = [
        (1, judgement("before:w-1/step-1,after:w-1/step-1")),
        (2, judgement("before:w-1/step-1,after:w-1/accepted", Verdict.VOID)),
        (3, judgement("before:w-1/step-1,after:w-2/accepted", Verdict.UNSTABLE, LOST)),
    ]
    cell = crash_map(TRANSITIONS, trials)[0].columns[1].before
    assert (cell.verdict, cell.trial) == ("UNSTABLE", 3)
    assert cell.label.endswith("; 3 trials")


def test_crash_point_that_the_baseline_does_not_have_is_shown_too() -> None:
    groups = crash_map(TRANSITIONS, [(1, judgement("before:*/step-1#2"))])
    assert [(group.subject, group.columns[0].name) for group in groups][-1] == ("*", "step-1#2")


def test_large_map_folds_the_workflows_that_are_kept() -> None:
    many = [Transition(f"w-{n}/accepted", "", (n,), 1) for n in range(1, 400)]
    groups = crash_map(many, [(1, judgement("before:w-7/accepted", Verdict.BROKEN, LOST))])
    assert [group.subject for group in groups if not group.is_folded] == ["w-7"]
    assert not any(group.is_folded for group in crash_map(TRANSITIONS, []))


# --- recovery times


def recovering(*events: Event, ends: bool = True) -> ProcessRecord:
    last = [BecameQuiet(1_090_000, 0, False)] if ends else []
    return process((LaunchStarted(1_000_000, {}, "d"), *events, *last))


def commit(at_ms: int, name: str) -> Committed:
    return Committed(1_000_000 + at_ms * 1000, (CommittedFact(name, ""),), (), ())


def first(*unfinished: str) -> ProcessRecord:
    rows = [workflow_row(each, status="PENDING") for each in unfinished]
    return process((), snapshot([*rows, workflow_row("done-1")]), process_exit=KILLED)


def test_recovery_lasts_until_each_unfinished_workflow_moves_and_all_is_done() -> None:
    replayed = StepReplayed(1_030_000, "charge", Site("w-2", 1, None), "charge")
    events: list[Event] = [
        commit(5, "w-1/requeued"),
        commit(20, "w-1/claimed"),
        replayed,
        commit(40, "done-1/x"),
    ]
    found = recovery_time(observed(first("w-1", "w-2"), recovering(*events)))
    assert found is not None
    assert (sorted(found.moved_ms), found.done_ms) == ([20, 30], 90)


def test_recovery_that_does_not_end_has_no_duration() -> None:
    found = recovery_time(observed(first("w-1"), recovering(ends=False)))
    assert found is not None
    assert (found.moved_ms, found.done_ms) == ([], None)
    assert recovery_time(observed(first("w-1"))) is None
    assert recovery_time(observed(first("w-1"), process(()))) is None


def test_distributions_have_quantiles_and_bars() -> None:
    paused = observed(recovering(ControlReached(5_000, "after:w-1/step-1")))
    usual = baseline_ms([observed(recovering()), paused])
    times = [
        recovery_time(observed(first("w-1"), recovering(commit(n, "w-1/claimed")))) for n in (1, 50)
    ]
    found = distributions([each for each in times if each], usual)
    assert [(each.name.split()[0], each.values_ms) for each in found] == [
        ("baseline:", [90]), ("launch", [1, 50]), ("launch", [90, 90]),
    ]  # fmt: skip
    assert distributions([], usual) == []
    hundred = Distribution("", list(range(100)))
    assert [hundred.quantile_ms(part) for part in (0, 0.5, 0.9, 1)] == [0, 50, 90, 99]
    bins = hundred.bins(99)
    assert (max(bins), len(bins), bins[-1] > 0) == (1, 60, True)


# --- comparison


def result(number: int, judged: Sequence[Judgement]) -> SweepResult:
    target = Target(("/shop.py", "sell"))
    spec = {"schema": EVENT_SCHEMA, **to_plain(SweepSpec(target, target, {}))}
    stored = StoredSweep(number, "shop.py:sell", spec, 0, 6, 1.0, {}, 2, 2)
    return SweepResult(
        stored, settled(judged, ()), (), (None, None), False, {}, Client.RETRIES, None,
        seconds={}, locations={}, left_out=(),
    )  # fmt: skip


def test_comparison_names_what_was_fixed_broken_new_and_gone() -> None:
    other = replace(LOST, subject="w-2/step-1")
    earlier = [
        judgement("before:w/step-1", Verdict.BROKEN, LOST),
        judgement("before:w/step-2"),
        judgement("before:w/step-3"),
        judgement("before:w/step-4", Verdict.UNSTABLE, LOST),
        judgement("before:w/step-6"),
    ]
    later = [
        judgement("before:w/step-1"),
        judgement("before:w/step-2", Verdict.BROKEN, other),
        judgement("before:w/step-4", Verdict.BROKEN, other),
        judgement("before:w/step-5"),
    ]
    points = [
        {f"before:w/step-{n}" for n in numbers} for numbers in ((1, 2, 3, 4, 6), (1, 2, 4, 5, 6))
    ]
    found = compare(result(3, earlier), result(4, later), (points[0], points[1]), "/")
    changes = {
        name: [c.plan[-1] for c in getattr(found, name)]
        for name in ("fixed", "broken", "other", "new", "gone")
    }
    assert changes == {"fixed": ["1"], "broken": ["2"], "other": ["4"], "new": ["5"], "gone": ["3"]}
    assert found.not_tried == 1
    assert [each.finding for each in found.came] == [other]
    assert [each.finding for each in found.went] == [LOST]
    assert (found.earlier, found.commands) == (3, ())


def test_comparison_shows_both_commands_if_they_differ() -> None:
    first, later = result(1, []), result(2, [])
    spec = replace(later.stored.spec, promises={"pay": Promise.EXACTLY_ONCE})
    stored = replace(later.stored, stored_spec={"schema": EVENT_SCHEMA, **to_plain(spec)})
    found = compare(first, replace(later, stored=stored), ((), ()), "/")
    assert found.commands == [
        "resumectl sweep /shop.py:sell",
        "resumectl sweep /shop.py:sell --promise pay=exactly-once",
    ]


def test_verdict_says_how_many_of_all_crash_points_were_tried() -> None:
    some = result(
        1, [judgement("before:w/step-1", Verdict.BROKEN, LOST), judgement("before:w/step-2")]
    )
    assert verdict_sentence(some) == (
        "BROKEN: 1 of 2 trials broke a promise; 2 of 6 crash points were tried"
    )
    kept = result(1, [judgement("before:w/step-2")])
    assert verdict_sentence(kept) == "unfinished: 1 of 2 trials have been run"
    every = replace(kept.stored, crash_points=1, planned=1)
    assert verdict_sentence(replace(kept, stored=every)) == (
        "KEPT: every promise held at 1 crash point"
    )


def test_sweep_that_is_compared_with_itself_has_no_change() -> None:
    same = result(1, [judgement("before:w/step-1", Verdict.BROKEN, LOST)])
    found = compare(same, same, ((), ()), "/")
    assert not any((found.fixed, found.broken, found.new, found.gone, found.came, found.went))
