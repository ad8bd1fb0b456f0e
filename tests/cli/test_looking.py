"""Commands that look: they create nothing, and never say that nothing is there where something is."""

import pytest
from conftest import Workspace
from in_process import look

from resumectl.errors import ExitCode
from resumectl.publishing.store.models import VERSION_TABLE
from resumectl.text import between, duration

LOOKING = (
    ("state",), ("list-workflows",), ("steps", "x"), ("sweeps",), ("check", "1"), ("doctor",),
    ("resume",), ("resume", "x"), ("cancel", "x"), ("fork", "x", "--from-step", "1"),
)  # fmt: skip


@pytest.mark.parametrize("arguments", LOOKING, ids=" ".join)
def test_nothing_is_created_where_nothing_is(
    sqlite_workspace: Workspace, arguments: tuple[str, ...]
) -> None:
    ran = look(sqlite_workspace, *arguments)
    assert ran.code == (ExitCode.REFUSED if {"x", "1"} & set(arguments) else ExitCode.DONE)
    assert list(sqlite_workspace.directory.iterdir()) == []


def test_a_database_of_an_older_release_is_not_said_to_be_empty(
    sqlite_workspace: Workspace,
) -> None:
    sqlite_workspace.ok("publish", "--count", "1")
    sqlite_workspace.execute(f"UPDATE {VERSION_TABLE} SET version_num = '0000'")
    for arguments in (
        ("state",), ("list-workflows",), ("steps", "alpha-1"), ("sweeps",), ("check", "1"),
        ("cancel", "alpha-1"),
    ):  # fmt: skip
        ran = look(sqlite_workspace, *arguments)
        assert ran.code == ExitCode.REFUSED
        assert "older resumectl" in ran.err
        assert "next:  resumectl migrate" in ran.err


def test_an_empty_page_is_not_an_empty_list(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("publish", "--count", "1")
    assert look(sqlite_workspace, "list-workflows", "--offset", "9").out == (
        "no workflows after the first 9\n"
    )
    assert look(sqlite_workspace, "list-workflows", "--name", "z").out == "no workflows match\n"


def test_what_the_parser_refuses_names_the_help_of_that_command(
    sqlite_workspace: Workspace,
) -> None:
    for arguments in (("publish", "--count"), ("publish", "--jsno"), ("publish", "--count", "x")):
        ran = sqlite_workspace.run(*arguments)
        assert ran.code == ExitCode.REFUSED
        assert "resumectl publish --help\n" in ran.err, ran


def test_nothing_stands_behind_a_question_that_nobody_answers(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.run("reset")
    assert ran.code == ExitCode.REFUSED
    assert "\nerror: nothing was deleted\n" in ran.err


@pytest.mark.parametrize(
    ("milliseconds", "expected"),
    [
        (None, ""), (0, "0 ms"), (7, "7 ms"), (99, "99 ms"), (100, "0.10 s"), (1_500, "1.50 s"),
        (59_990, "59.99 s"), (60_000, "1 min 00 s"), (3_600_000, "1 h 00 min"),
    ],
)  # fmt: skip
def test_durations(milliseconds: int | None, expected: str) -> None:
    assert duration(milliseconds) == expected


def test_a_clock_of_seconds_tells_no_hundredths() -> None:
    assert between(1_795_909_943_000, 1_795_909_946_000) == "3 s"
    assert between(1_795_909_943_000, 1_795_909_943_000) == "0 s"
    assert between(1_795_909_943_120, 1_795_909_946_000) == "2.88 s"
    assert between(1_795_909_943_000, 1_795_910_003_000) == "1 min 00 s"
    assert between(1_795_909_943_000, None) == ""
