"""The gate decides what may become durable while a thread is on its way to a kill."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager

import pytest
from conftest import DEADLINE_S

from resumectl.probe import commit_gate
from resumectl.probe.commit_gate import Gate, Hold

WAIT_S = DEADLINE_S  # for what must happen
LONG_S = 0.2  # for what must not


def begun(work: Callable[[], None]) -> threading.Event:
    """An event that is set when the work, in a thread of its own, is done."""
    done = threading.Event()

    def run() -> None:
        work()
        done.set()

    threading.Thread(target=run, daemon=True).start()
    return done


def passing(through: Gate, kind: str) -> AbstractContextManager[None]:
    passage: AbstractContextManager[None] = getattr(through, kind)
    return passage


def pass_alone(through: Gate) -> None:
    with through.alone():
        pass


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(commit_gate, "PATIENCE_S", WAIT_S)


@pytest.mark.parametrize("kind", ["commits", "statements"])
def test_nobody_enters_while_one_passes_alone(kind: str) -> None:
    subject = Gate()
    with subject.alone():
        entered = begun(lambda: passing(subject, kind).__enter__())
        assert not entered.wait(LONG_S)
    assert entered.wait(WAIT_S)


@pytest.mark.parametrize("kind", ["commits", "statements"])
def test_one_passes_alone_when_those_inside_have_left(kind: str) -> None:
    subject = Gate()
    with passing(subject, kind):
        with passing(subject, kind):  # beside each other
            through = begun(lambda: pass_alone(subject))
        assert not through.wait(LONG_S)
    assert through.wait(WAIT_S)


def test_only_one_passes_alone() -> None:
    subject = Gate()
    with subject.alone():
        second = begun(lambda: pass_alone(subject))
        assert not second.wait(LONG_S)
    assert second.wait(WAIT_S)


def test_what_waits_for_the_lock_of_one_that_passes_alone_does_not_stop_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(commit_gate, "PATIENCE_S", 0.01)
    subject = Gate()
    with subject.statements:
        assert begun(lambda: pass_alone(subject)).wait(WAIT_S)
    with subject.commits:
        assert not begun(lambda: pass_alone(subject)).wait(LONG_S)


def test_a_place_in_the_hold_is_free_again_when_it_is_given_back() -> None:
    hold = Hold(2)
    hold.take()
    hold.take()
    third = begun(hold.take)
    assert not third.wait(LONG_S)
    hold.give_back(1)
    assert third.wait(WAIT_S)
