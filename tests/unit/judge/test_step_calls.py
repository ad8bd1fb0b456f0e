"""How bodies call steps: by the same path, with the same arguments, and to the end."""

from builders import argument, baseline_of, crashed, run, trial, with_records, working

from resumectl.judge.case import Case
from resumectl.judge.step_calls import cut_off_steps, other_arguments, other_paths
from resumectl.judge.trial_view import TrialView
from resumectl.model.evidence import CutOff, OtherArgumentsAfterCrash, OtherPath
from resumectl.model.observation import Observation
from resumectl.model.verdict import Finding, Kind

STEPS = [("charge", "ok")]


def case(seen: Observation, *usual: Observation) -> Case:
    runs = usual or (run(STEPS), run(STEPS))
    return Case(TrialView(seen), baseline_of(runs), {}, (), frozenset())


def test_other_step_from_the_same_records_is_another_path() -> None:
    evidence = OtherPath("refund", "charge")
    expected = Finding(Kind.DIVERGED, "w-1/step-1", evidence)
    assert list(other_paths(case(trial([("refund", "ok")])))) == [expected]
    assert list(other_paths(case(trial(STEPS)))) == []


def test_other_argument_after_the_crash_is_told_without_the_values() -> None:
    usual = [run(STEPS, arguments=[argument(each)]) for each in "ab"]  # it varies
    first = with_records(working(STEPS, arguments=[argument("c")], status="PENDING"), 0)
    seen = crashed(first, working(STEPS, arguments=[argument("d")]))
    expected = Finding(Kind.DIVERGED, "charge, w-1/step-1", OtherArgumentsAfterCrash(2, 1))
    assert list(other_arguments(case(seen, *usual))) == [expected]


def test_step_that_nobody_ends_is_cut_off() -> None:
    seen = crashed(working(STEPS, is_cut_off=True), working(STEPS, ran=[]))
    expected = Finding(Kind.LOST, "charge, w-1/step-1", CutOff())
    assert list(cut_off_steps(case(seen))) == [expected]
    assert list(cut_off_steps(case(trial(STEPS)))) == []
