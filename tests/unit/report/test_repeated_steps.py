"""The reason for a repetition is read off what the processes ran and recorded."""

from builders import KILLED, committed, observed, process, started

from resumectl.model.events import Event
from resumectl.model.observation import Observation
from resumectl.report.repeated_steps import why_repeated


def trial(*events: tuple[Event, ...]) -> Observation:
    *killed, last = events
    return observed(*(process(each, process_exit=KILLED) for each in killed), process(last))


def test_step_without_a_record_ran_again() -> None:
    found = trial(
        (started("pay", 1), committed("w-1/step-1"), started("ship", 2)),
        (started("ship", 2), committed("w-1/step-2")),
    )
    assert list(why_repeated(found)) == [
        "Process 1 ran ship, w-1/step-2 and was killed before DBOS had recorded it, so process 2 ran "
        "it again."
    ]


def test_recorded_step_and_a_step_of_one_process_need_no_reason() -> None:
    recorded = (started("pay", 1), committed("w-1/step-1"))
    assert not list(why_repeated(trial(recorded, recorded)))
    assert not list(why_repeated(trial((started("pay", 1),), (started("ship", 1),))))


def test_next_process_that_runs_it_is_named_and_many_steps_are_counted() -> None:
    (sentence,) = why_repeated(trial((started("pay", 1),), (), (started("pay", 1),)))
    assert "so process 3 ran it again" in sentence
    many = tuple(started("pay", number) for number in range(1, 6))
    assert list(why_repeated(trial(many, many)))[3:] == ["So it is with 2 more steps."]
