"""Repetitions of a trial run its threads in other orders."""

from resumectl.model.schedule import schedule_of


def test_repetitions_differ_in_cores_intervals_and_pauses() -> None:
    schedules = [schedule_of(n) for n in range(6)]
    assert len(set(schedules)) == 6
    assert {schedule.is_on_one_core for schedule in schedules} == {True, False}


def test_first_trial_runs_on_one_core_without_a_pause() -> None:
    first = schedule_of(0)
    assert first.is_on_one_core
    assert first.seed is None


def test_repetition_has_the_same_schedule_each_time() -> None:
    assert schedule_of(4) == schedule_of(4)
