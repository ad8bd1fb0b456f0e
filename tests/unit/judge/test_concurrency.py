"""When the order of a program's threads matters."""

from builders import ended, observed, process, run, started

from resumectl.judge.concurrency import is_concurrent
from resumectl.model.events import Event

SELL, MAIL = started("sell", 1), started("mail", 2)


def test_step_with_two_threads_at_once_is_concurrent() -> None:
    assert is_concurrent(run([("sell", "ok")], has_own_concurrency=True))
    assert not is_concurrent(run([("sell", "ok")]))


def test_step_bodies_that_overlap_are_concurrent() -> None:
    in_turn: list[Event] = [SELL, ended("sell", 1), MAIL, ended("mail", 2)]
    assert not is_concurrent(observed(process(in_turn)))
    assert is_concurrent(observed(process([SELL, MAIL, ended("sell", 1), ended("mail", 2)])))


def test_processes_of_one_trial_are_no_overlap() -> None:
    assert not is_concurrent(observed(process([SELL]), process([MAIL])))
