"""What DBOS logs as an error is told, each once, and a program's own bad call harms nobody."""

import logging
from collections.abc import Iterator

import pytest

from resumectl.probe.dbos_errors import report_errors


@pytest.fixture
def told(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    logger = logging.getLogger("dbos")
    # pytest's own handler, at the root, raises for a bad call; another test may have let it in.
    monkeypatch.setattr(logger, "propagate", False)
    before = list(logger.filters)
    found: list[str] = []
    report_errors(found.append)
    yield found
    logger.filters[:] = before


def test_errors_are_told_once_with_their_cause(told: list[str]) -> None:
    logger = logging.getLogger("dbos")
    for _ in range(2):
        logger.error("cannot execute %s\nmore", "w-1")
    logger.warning("slow")
    try:
        raise ValueError("no stock")
    except ValueError:
        logger.exception("in a workflow:")
    assert told == ["cannot execute w-1", "in a workflow: ValueError: no stock"]


def test_a_program_may_log_without_end(told: list[str]) -> None:
    for number in range(100):
        logging.getLogger("dbos").error("no. %d %s", number, "x" * 1000)
    assert len(told) == 32
    assert {len(each) for each in told} == {500}


def test_arguments_that_do_not_fit_raise_nothing_here(
    told: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging, "raiseExceptions", False)  # the handler's own report of it
    logging.getLogger("dbos").error("no. %d", "one")
    assert told == ["no. %d"]
