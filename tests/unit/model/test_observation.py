"""An observation answers what its processes did from their events, exits and snapshots."""

from dataclasses import replace

from builders import (
    EXITED,
    KILLED,
    PLAN,
    TIMED_OUT,
    observed,
    process,
    run,
    sent,
    started,
    target_failed,
    trial,
)

from resumectl.model.events import (
    AccessRefused,
    CrashPointReached,
    ErrorLogged,
    MessagesSent,
    ServiceContacted,
    Stranded,
)

SERVICE = "127.0.0.1:4242"


def test_events_of_a_kind_come_in_the_order_of_processes_and_events() -> None:
    first, second, third = sent("a"), sent("b"), sent("c")
    observation = observed(process([first, started("x"), second]), process([third]))
    assert list(observation.all(MessagesSent)) == [first, second, third]
    assert observation.processes[0].last(MessagesSent) == second
    assert observation.final.last(MessagesSent) == third
    assert observation.final.last(CrashPointReached) is None


def test_only_processes_that_were_killed_as_planned_count_as_crashes() -> None:
    killed = process([CrashPointReached(3, PLAN)], process_exit=KILLED)
    assert killed.reached == PLAN
    assert process([], process_exit=KILLED).reached is None
    assert observed(killed, killed, process()).crashes_reached == 2
    assert run([("look", "x")]).crashes_reached == 0


def test_process_fails_by_what_cannot_be_read_then_by_a_refusal_then_by_its_target() -> None:
    refused = AccessRefused(2, "sqlite:///prod.sqlite is outside", "shop.py:3")
    assert process([]).failure is None
    assert process([target_failed("boom")]).failure == "boom"
    assert process([refused, target_failed()]).failure == "sqlite:///prod.sqlite is outside"
    damaged = process([refused], unreadable="event 2: StepEnded has no step")
    assert damaged.failure == "its events cannot be read: event 2: StepEnded has no step"


def test_process_has_settled_unless_it_was_ended_from_outside() -> None:
    assert process([], process_exit=EXITED).has_settled
    assert not process([], process_exit=TIMED_OUT).has_settled
    stranded = process([Stranded(5, (), ())])
    assert stranded.is_stranded
    assert not stranded.has_settled


def test_digest_is_that_of_the_file_which_the_first_process_loaded() -> None:
    observation = trial([("look", "x")], digest="other")
    assert observation.digest == "d"
    assert observation.final.digest == "other"
    assert process([]).digest is None


def test_last_error_that_dbos_logged_of_a_workflow_is_found() -> None:
    logged = [ErrorLogged(n, text) for n, text in enumerate(["w-1: a", "w-2: b", "w-1: c"])]
    assert process(logged).logged_of("w-1") == "w-1: c"
    assert process(logged).logged_of("w-3") == ""


def test_contacts_of_discarded_runs_are_counted_too() -> None:
    contact = ServiceContacted(1, SERVICE, "connections")
    observation = replace(
        observed(process([contact]), process([contact])),
        discarded_contacts={f"{SERVICE} connections": 3},
    )
    assert observation.contacts == {f"{SERVICE} connections": 5}
