"""What every check gets: a trial beside what it is compared with."""

from dataclasses import replace

from builders import TIMED_OUT, baseline_of, committed, run, trial, workflow_row

from resumectl.judge.case import Case, timed_out
from resumectl.judge.trial_view import TrialView
from resumectl.model.events import Launched
from resumectl.model.observation import Observation

STEPS = [("charge", "ok")]


def case(seen: Observation) -> Case:
    ends = [committed("w-1/succeeded"), committed("w-1/deleted")]
    usual = [run(STEPS, events=ends)] * 2
    return Case(TrialView(seen), baseline_of(usual), {}, (), frozenset())


def test_workflow_that_the_program_deletes_is_left_out_of_what_lasts() -> None:
    found = case(trial(STEPS))
    assert found.baseline.begun_anew == {"w-1"}
    assert found.lasting.counts == {}
    assert found.view.counts


def test_trial_whose_time_was_up_is_not_complete() -> None:
    seen = trial(STEPS, status="PENDING")
    late = replace(seen.final, exit=TIMED_OUT)
    assert case(seen).is_complete
    found = case(replace(seen, processes=(seen.processes[0], late)))
    assert not found.is_complete


def test_workflow_times_out_only_between_two_processes() -> None:
    launched = Launched(1, "1", True, "local", 2_000, (), "")
    seen = trial(STEPS, events=[launched], status="CANCELLED")
    first, last = seen.processes

    def with_deadline(deadline_ms: int | None) -> TrialView:
        rows = (workflow_row(status="PENDING", deadline_ms=deadline_ms),)
        early = replace(first, snapshot=replace(first.snapshot, workflows=rows))
        return TrialView(replace(seen, processes=(early, last)))

    assert timed_out(with_deadline(1_000)) == {"w-1"}
    assert timed_out(with_deadline(3_000)) == timed_out(with_deadline(None)) == set()
