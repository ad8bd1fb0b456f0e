"""What is compared, what is masked, and what follows upon what varies; nothing is run."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from observations import PLAN, Steps, crashed, life, run, trial

from resumectl.errors import Refusal
from resumectl.judge.baseline import Baseline
from resumectl.judge.checker import Checker
from resumectl.judge.experiment import Experiment
from resumectl.judge.stability import TIMES_AGAIN
from resumectl.judge.trial_view import sites_of_effects
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.observation import (
    LATER_BASELINE,
    TIME_CONTROL,
    Finding,
    Judgement,
    Kind,
    Observation,
    Promise,
    Verdict,
)
from resumectl.runner.trial_runner import Control


def kinds(runs: Sequence[Observation], seen: Observation) -> set[Kind]:
    checker = Checker(Baseline.of(runs, sites_of_effects(runs)), set(), {})
    judgement = checker.judge(seen)
    assert judgement.verdict is not Verdict.VOID, judgement.why_void
    return {finding.kind for finding in judgement.findings}


def test_a_step_behind_a_result_that_varies_is_still_compared() -> None:
    runs = [run([("key", "a"), ("ship", "x")]), run([("key", "b"), ("ship", "x")])]
    assert kinds(runs, trial([("key", "c"), ("ship", "x")])) == set()
    assert Kind.LOST in kinds(runs, trial([("key", "c")]))
    assert Kind.DIVERGED in kinds(runs, trial([("key", "c"), ("ship", "y")]))


def test_how_many_steps_follow_a_result_that_varies_is_not_compared() -> None:
    runs = [run([("poll", "no"), ("poll", "yes")]), run([("poll", "yes")])]
    polled_thrice = [("poll", "no"), ("poll", "no"), ("poll", "yes")]
    assert kinds(runs, trial(polled_thrice)) == set()
    assert Baseline.of(runs, set()).not_compared[-1] == "the steps of w-1 after step 1"


def test_what_either_program_does_is_as_it_should_be() -> None:
    old = [run([("charge", "old")]) for _ in range(2)]
    new = [run([("charge", "new")], plan=LATER_BASELINE) for _ in range(2)]
    both = Baseline.of(old, set()).or_as(Baseline.of(new, set()))
    for output, found in (("old", set()), ("new", set()), ("other", {Kind.DIVERGED})):
        judgement = Checker(both, set(), {}).judge(trial([("charge", output)]))
        assert {finding.kind for finding in judgement.findings} == found


@pytest.mark.parametrize(("is_retry", "found"), [(True, set()), (False, {Kind.DUPLICATED})])
def test_a_retry_is_no_second_execution(is_retry: bool, found: set[Kind]) -> None:
    runs = [run([("charge", "x")]) for _ in range(2)]
    again = dict(next(e for e in runs[0].final.events if e["kind"] == "ran"), is_retry=is_retry)
    assert kinds(runs, trial([("charge", "x")], events=[again])) == found


CHARGE = [("charge", "ok")]


@pytest.mark.parametrize(
    ("died", "later", "found"),
    [
        ({"payload": "'c'"}, {"payload": "'d'"}, {Kind.DIVERGED}),
        ({"payload": "'c'"}, {"payload": "'c'"}, set()),
        ({"payload": "'c'", "opaque": [0]}, {"payload": "'d'", "opaque": [0]}, set()),
        ({"payload": "1.5", "timeless": "<time>"}, {"payload": "2.5", "timeless": "<time>"}, set()),
        ({"payload": "0.4", "timeless": "<time>"}, {"payload": "0.4"}, set()),
        ({"payload": "0.4", "timeless": "<time>"}, {"payload": "0.5"}, {Kind.DIVERGED}),
        # The program after an edit calls it as it likes.
        ({"payload": "'c'"}, {"payload": "'d'", "digest": "later"}, set()),
    ],
)
def test_what_varies_by_itself_is_the_same_in_all_lives_of_a_trial(
    died: dict[str, Any], later: dict[str, Any], found: set[Kind]
) -> None:
    baseline, other = (
        Baseline.of([run(CHARGE, payload=each, digest=digest) for each in ("'a'", "'b'")], set())
        for digest in ("d", "later")
    )
    first = life(CHARGE, status="PENDING", **died)
    first.left["steps"].clear()
    checker = Checker(baseline.or_as(other) if "digest" in later else baseline, set(), {})
    judgement = checker.judge(crashed(first, life(CHARGE, **later)))
    assert judgement.verdict is not Verdict.VOID, judgement.why_void
    assert {finding.kind for finding in judgement.findings} == found


@pytest.mark.parametrize(("recorded", "found"), [(1, {Kind.DIVERGED}), (0, set())])
def test_what_follows_upon_a_result_is_judged_where_that_was_recorded(
    recorded: int, found: set[Kind]
) -> None:
    steps = [("key", "c"), ("charge", "ok")]
    runs = [run(steps, payload=["'k'", f"'{each}'"]) for each in "ab"]
    first = life(steps, payload=["'k'", "'c'"], status="PENDING")
    del first.left["steps"][recorded:]
    later = life(steps, ran=range(recorded + 1, 3), payload=["'k'", "'d'"])
    assert kinds(runs, crashed(first, later)) == found


@pytest.mark.parametrize(
    ("promises", "found"), [({}, {Kind.LOST}), ({"charge": Promise.AT_MOST_ONCE}, set())]
)
def test_a_step_that_is_cut_off_and_not_done_again_is_lost(
    promises: dict[str, Promise], found: set[Kind]
) -> None:
    baseline = Baseline.of([run(CHARGE) for _ in range(2)], set())
    first = life(CHARGE, is_cut_off=True)
    judgement = Checker(baseline, set(), promises).judge(crashed(first, life(CHARGE, ran=[])))
    assert {finding.kind for finding in judgement.findings} == found, judgement.findings


class Controls:
    """Stands for the runner: its controls are given, and what a trial shows that is run again."""

    is_edited = False
    slowness = 1.0
    downtime_s = 0.0

    def __init__(
        self,
        *runs: Observation,
        again: Sequence[Observation] = (),
        often: Sequence[Observation] = (),
    ) -> None:
        self._runs = itertools.cycle(runs)
        self._again, self._often = iter(again), itertools.cycle(often)
        self.paused_at: list[str] = []
        self.asked_often = 0

    def baseline(self, _number: int, *, later: bool, control: Control | None) -> Observation:
        assert not later
        if control is None:
            self.asked_often += 1
            return next(self._often)
        self.paused_at.append(control.at)
        return next(self._runs)

    def trial(self, plan: CrashPlan, *, is_check: bool) -> Observation:
        assert is_check
        assert str(plan) == PLAN
        return next(self._again)

    def discard(self, run: Observation) -> None:
        assert run.plan == PLAN


@pytest.mark.parametrize(
    ("control", "verdict"),
    [
        (run([("look", "other")], answer="other"), Verdict.KEPT),
        # What a control that failed, or of an edited file, differs in is no excuse.
        (run([], events=[{"kind": "failed", "error": "boom"}]), Verdict.BROKEN),
        (run([("look", "other")], answer="other", digest="edited"), Verdict.BROKEN),
    ],
)
def test_only_a_healthy_control_excuses_what_differs(
    control: Observation, verdict: Verdict
) -> None:
    runs = [run([("look", "usual")]) for _ in range(2)]
    differing = trial([("look", "other")], answer="other")
    runner: Any = Controls(control, again=[differing] * TIMES_AGAIN)
    experiment = Experiment(runner, {}, runs=tuple(runs))
    (judgement,) = experiment.judged([differing]).trials
    assert judgement.verdict is verdict, judgement.findings
    assert not experiment.ask_again([judgement])  # once is enough
    assert set(runner.paused_at) == {PLAN}  # nothing is known of what precedes it


USUAL, RARE = run([("look", "usual")]), run([("look", "rare")])


@pytest.mark.parametrize(
    ("again", "often", "verdict", "asked_often"),
    [
        (["rare"] * 4, [], Verdict.BROKEN, 0),  # each time: the crash does it
        (["rare", "usual", "rare", "rare"], [USUAL] * 9 + [RARE], Verdict.KEPT, 10),
        (["usual"] * 4, [USUAL] * 9 + [RARE], Verdict.KEPT, 10),
        (["usual"] * 4, [USUAL], Verdict.UNSTABLE, 10),  # a race that only a crash lets be lost
    ],
)
def test_what_does_not_come_out_again_is_asked_often(
    again: Sequence[str], often: Sequence[Observation], verdict: Verdict, asked_often: int
) -> None:
    trials = {text: trial([("look", text)]) for text in ("usual", "rare")}
    runner: Any = Controls(USUAL, again=[trials[each] for each in again], often=often)
    experiment = Experiment(runner, {}, runs=(USUAL, USUAL))
    judged = experiment.judged([trials["rare"]])
    (judgement,) = judged.trials
    assert judgement.verdict is verdict, judgement.findings
    assert len(judged.repeated) == TIMES_AGAIN == len(again)
    assert runner.asked_often == asked_often
    if asked_often:
        assert not experiment.ask_often(judged.trials, judged.repeated)  # once is enough


@pytest.mark.parametrize(
    ("first", "found"),
    [
        ([], {Kind.DIVERGED, Kind.UNEXPECTED}),
        ([("look", "usual")], {Kind.DIVERGED, Kind.UNEXPECTED}),
        ([("look", "rare")], set()),
        ([("look", "rare"), ("mend", "x")], set()),
    ],
)
def test_what_differs_before_anything_died_is_chance(first: Steps, found: set[Kind]) -> None:
    baseline = Baseline.of([USUAL, USUAL], set())
    steps = [*(first or [("look", "rare")]), ("mend", "x"), ("tell", "y")][:3]
    seen = trial(steps, first=first, ran=range(len(first) + 1, 4), answer="other")
    judgement = Checker(baseline, set(), {}).judge(seen)
    assert {finding.kind for finding in judgement.findings} == found, judgement.findings
    assert judgement.by_chance == (() if found else ("w-1/step-1: output",))
    assert Judgement.from_plain(json.loads(json.dumps(judgement.as_plain()))) == judgement


def test_a_workflow_that_no_uninterrupted_run_has_is_no_chance() -> None:
    """As a second fork: what began the first one was not recorded when its process died."""
    usual = [("look", "usual")]
    seen = trial(usual, first=usual, ran=[])
    for each in seen.lives:
        step = dict(each.left["steps"][0], workflow="~work of the client no. 1")
        each.left["steps"].append(step)
    judgement = Checker(Baseline.of([USUAL, USUAL], set()), set(), {}).judge(seen)
    assert judgement.by_chance == ()
    assert {finding.kind for finding in judgement.findings} == {Kind.UNEXPECTED}


def test_results_of_children_come_in_any_order() -> None:
    steps = [("DBOS.getResult", "a"), ("DBOS.getResult", "b"), ("tell", "x")]
    runs = [run(steps) for _ in range(2)]
    other_way_round = [steps[1], steps[0], steps[2]]
    assert kinds(runs, trial(other_way_round)) == set()
    assert kinds(runs, trial([*other_way_round[:2], ("tell", "y")])) == {Kind.DIVERGED}


def test_promises_are_held_whatever_course_was_taken() -> None:
    charged: Mapping[str, Any] = {
        "kind": "effect", "at_us": 1, "name": "charge", "about": ["1"], "workflow": "w-1",
        "number": 1, "begun_in": None,
    }  # fmt: skip
    checker = Checker(Baseline.of([USUAL, USUAL], set()), set(), {"charge": Promise.EXACTLY_ONCE})
    rare = [("look", "rare")]
    for times, found in ((0, set()), (1, set()), (2, {Kind.DUPLICATED})):
        judgement = checker.judge(trial(rare, first=rare, ran=[], events=[charged] * times))
        assert judgement.by_chance
        assert {finding.kind for finding in judgement.findings} == found, judgement.findings


def test_the_baseline_is_asked_often_where_another_course_was_taken() -> None:
    rare = [("look", "rare")]
    runner: Any = Controls(USUAL, often=[USUAL])
    experiment = Experiment(runner, {}, runs=(USUAL, USUAL))
    (judgement,) = experiment.judged([trial(rare, first=rare, ran=[], answer="other")]).trials
    assert (judgement.verdict, judgement.by_chance) == (Verdict.KEPT, ("w-1/step-1: output",))
    assert (len(runner.paused_at), runner.asked_often) == (6, 10)


def test_what_is_begun_again_later_is_asked_ahead_of_its_step() -> None:
    facts = ["w-1/accepted", "w-2/accepted", "w-1/step-1", "w-1/succeeded"]
    commits = [{"kind": "commit", "at_us": 1, "facts": [[name, "work"]]} for name in facts]
    runs = [run([("look", "usual")], events=commits) for _ in range(2)]
    runner: Any = Controls(run([("look", "other")], answer="other", events=commits))
    experiment = Experiment(runner, {}, runs=tuple(runs))
    (judgement,) = experiment.judged([trial([("look", "other")], answer="other")]).trials
    assert judgement.verdict is Verdict.KEPT, judgement.findings
    assert runner.paused_at == [PLAN, "after:w-1/accepted"] * 3


def test_a_later_life_of_an_edited_file_proves_nothing() -> None:
    runs = [run([("look", "x")]) for _ in range(2)]
    checker = Checker(Baseline.of(runs, set()), set(), {})
    judgement = checker.judge(trial([("look", "y")], digest="edited"))
    assert judgement.verdict is Verdict.VOID
    assert "it was changed since" in judgement.why_void


def test_who_was_ended_for_its_time_is_told_how_to_have_more() -> None:
    checker = Checker(Baseline.of([run([("begin", "x")])] * 2, set()), set(), {})
    waiting = replace(life([("begin", "x")], status="PENDING"), in_time=False)
    findings = checker.judge(crashed(life([("begin", "x")]), waiting)).findings
    (finding,) = [each for each in findings if each.kind is Kind.STUCK]
    assert "--timeout SECONDS gives each process longer" in finding.evidence


@pytest.mark.parametrize("is_there", [True, False])
def test_who_awaits_what_is_deleted_is_told_of_it(is_there: bool) -> None:
    runs = [run([("begin", "x")]) for _ in range(2)]
    waiting = life([("begin", "x")], status="PENDING")
    waiting.left["steps"][0]["child"] = "w-1-1"
    if is_there:
        waiting.left["workflows"].append(waiting.left["workflows"][0] | {"id": "w-1-1"})
    trial = crashed(life([("begin", "x")]), replace(waiting, in_time=False))
    judgement = Checker(Baseline.of(runs, set()), set(), {}).judge(trial)
    (evidence,) = {f.evidence for f in judgement.findings if f.subject == "w-1"}
    assert ("w-1-1, which it has begun, is deleted" in evidence) is not is_there


def test_an_effect_with_the_name_of_its_step_has_a_payload_of_its_own() -> None:
    """The step is called with an order and an amount, and its effect is about the order alone."""
    charged: Mapping[str, Any] = {
        "kind": "effect", "at_us": 1, "name": "charge", "about": ["order-1"], "workflow": "w-1",
        "number": 1, "begun_in": None,
    }  # fmt: skip
    steps = [("charge", "ok")]
    baseline = Baseline.of([run(steps, events=[charged])] * 2, set())
    first = life(steps, events=[charged], status="PENDING")
    first = replace(first, left={**first.left, "steps": []})
    judgement = Checker(baseline, set(), {}).judge(crashed(first, life(steps, events=[charged])))
    assert {e.effect: (e.times, e.payload_differs) for e in judgement.exposures} == {
        "charge(order-1)": (2, False),
        "charge, w-1/step-1": (2, False),
    }


class Clocks(Controls):
    """Stands for a runner in whose uninterrupted runs time can pass."""

    downtime_s = 3600.0

    def __init__(self, control: Observation) -> None:
        super().__init__(USUAL)
        self._control = control
        self.passed_at: list[str | None] = []

    def time_control(self, plan: CrashPlan, at: str | None) -> Observation:
        self.passed_at.append(at)
        return replace(self._control, plan=f"{TIME_CONTROL}{plan}")


def after_time(control: Observation, seen: Observation) -> Judgement:
    runner: Any = Clocks(control)
    experiment = Experiment(runner, {}, runs=(USUAL, USUAL))
    assert experiment.control_time([experiment.judge(seen)])
    # Where it dies, and, as nothing is known of what precedes that, from the beginning.
    assert runner.passed_at == [PLAN, None]
    kept = Experiment.of_observed(None, {}, experiment.observed)
    assert kept.judge(seen) == experiment.judge(seen)  # as `check` judges it, and runs nothing
    return experiment.judge(seen)


def test_time_passes_where_each_process_dies() -> None:
    """A timeout that begins in the second process is over in the third."""
    died_twice = replace(trial([("look", "rare")]), plan=f"{PLAN},after:w-1/step-1")
    runner: Any = Clocks(run([("look", "rare")]))
    experiment = Experiment(runner, {}, runs=(USUAL, USUAL))
    finding = Finding(Kind.DIVERGED, "answer", "differs")
    assert experiment.control_time([Judgement(died_twice.plan, Verdict.BROKEN, (finding,))])
    assert runner.passed_at == [PLAN, None, "after:w-1/step-1"]


def test_what_an_uninterrupted_run_shows_as_well_when_time_passes_is_no_finding() -> None:
    rare = trial([("look", "rare")], answer="late")
    judgement = after_time(run([("look", "rare")], answer="late"), rare)
    assert (judgement.verdict, judgement.by_time) == (Verdict.KEPT, ("answer", "w-1/step-1"))
    other = after_time(run([("look", "other")], answer="other"), rare)
    assert {each.subject for each in other.findings} == {"answer", "w-1/step-1"}


def test_no_passing_of_time_excuses_another_path_from_the_same_records() -> None:
    judgement = after_time(run([("tell", "x")]), trial([("tell", "x")]))
    assert {each.kind for each in judgement.findings} == {Kind.DIVERGED}
    assert any("from the same records" in each.evidence for each in judgement.findings)


def test_rows_that_a_step_inserts_again_are_an_exposure() -> None:
    """Whether they are there twice is compared only where `observe` returns them."""
    inserted: Mapping[str, Any] = {"kind": "commit", "at_us": 1, "facts": [["paid/inserted", ""]]}
    steps = [("charge", "ok")]
    baseline = Baseline.of([run(steps, events=[inserted])] * 2, set())
    first = life(steps, events=[inserted], status="PENDING")
    first = replace(first, left={**first.left, "steps": []})
    seen = crashed(first, life(steps, events=[inserted]))
    judgement = Checker(baseline, set(), {}).judge(seen)
    assert judgement.verdict is Verdict.KEPT
    assert [each.times for each in judgement.exposures if each.effect == "paid/inserted"] == [2]
    once = crashed(replace(first, events=[e for e in first.events if e != inserted]),
                   life(steps, events=[inserted]))  # fmt: skip
    assert {e.effect for e in Checker(baseline, set(), {}).judge(once).exposures} == {
        "charge, w-1/step-1"
    }


@pytest.mark.parametrize(
    ("name", "said"), [("orders", "observe"), ("order", "unknown promise target"), ("look", "")]
)
def test_a_promise_is_refused_where_nothing_could_break_it(name: str, said: str) -> None:
    wrote = {"kind": "commit", "facts": [["orders/inserted", ""]], "writes": [], "steps": []}
    runs = [run([("look", "usual")], events=[wrote])] * 2
    experiment = Experiment(None, {name: Promise.EXACTLY_ONCE}, runs=runs)
    if not said:
        experiment.refuse_unknown_promises()
        return
    with pytest.raises(Refusal, match=said):
        experiment.refuse_unknown_promises()


TICK = "~tick of the schedule no. 1"


def with_tick(each: Observation, *, ran: bool = True) -> Observation:
    """Return a run in which a schedule has started one more workflow in the last process."""
    final = each.final
    workflow = dict(final.left["workflows"][0], id=TICK, name="tick")
    step = {
        "workflow": TICK,
        "number": 1,
        "name": "report",
        "output": "ok",
        "error": None,
        "child": None,
    }
    left = {
        **final.left,
        "workflows": [*final.left["workflows"], workflow],
        "steps": [*final.left["steps"], step],
    }
    events = [
        dict(event, workflow=TICK, step="report")
        for event in life([("report", "ok")]).events
        if event["kind"] in ("ran", "ended") and ran
    ]
    quiet = final.events.index(final.last("quiet"))
    later = [*final.events[:quiet], *events, *final.events[quiet:]]
    return replace(each, lives=[*each.lives[:-1], replace(final, left=left, events=later)])


@pytest.mark.parametrize(("usual", "found"), [(0, 1), (1, 0), (1, 1)])
def test_how_often_a_schedule_starts_a_workflow_is_not_compared(usual: int, found: int) -> None:
    runs = [with_tick(USUAL) if usual else USUAL] * 2
    seen = trial([("look", "usual")])
    judgement = Checker(Baseline.of(runs, set()), set(), {}).judge(
        with_tick(seen) if found else seen
    )
    assert judgement.findings == ()


def test_what_a_scheduled_workflow_does_is_compared_where_both_have_it() -> None:
    seen = with_tick(trial([("look", "usual")]), ran=False)
    seen.final.left["steps"][-1]["output"] = "other"
    checker = Checker(Baseline.of([with_tick(USUAL)] * 2, set()), set(), {})
    assert {each.kind for each in checker.judge(seen).findings} == {Kind.DIVERGED, Kind.LOST}
