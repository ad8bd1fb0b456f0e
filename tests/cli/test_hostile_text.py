"""Text from a user or a database is shown literally, on every terminal, and nothing is lost.

What no command may do: hand a terminal something to act upon, take text for markup, drop a
column, or put anything but its one document on standard output under `--json`.
"""

import json
import os
import pty
import re
import signal
import subprocess
import tempfile
import termios
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import sqlalchemy as sa
from conftest import DEADLINE_S, Ran, Workspace, seconds
from in_process import look
from rich.cells import cell_len

from resumectl.database import open_engine
from resumectl.errors import ExitCode

pytestmark = pytest.mark.long

MARKUP = "[bold red]b[/] [/] [link=https://example.org]l[/link] :boom:"
HOSTILE = {
    "markup": MARKUP,
    "escapes": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J",
    "C1 controls": "a\x9b31mb\x85c\x90d",
    "carriage returns": "seen\rhidden",
    "backspaces": "safe\x08\x08\x08\x08rm\x7f",
    "right-to-left overrides": "abc\u202edef\u2066ghi\u200f",
    "lines": "one\ntwo\u2028three\u2029four\x0bfive",
    "wide letters": "日本語の名前 한국어 👩\u200d👩\u200d👧 🚀",
}
NASTY = " ".join(HOSTILE.values())
LONG = "Ω" * 1500  # to be counted, wherever it is folded
# A terminal so wide that no table is folded.
ENDLESS = {"COLUMNS": "30000"}


def active(character: str) -> bool:
    """Whether a terminal acts upon the character, or hides what it does."""
    return unicodedata.category(character) in {"Cc", "Cf", "Cs", "Zl", "Zp"}


def assert_harmless(text: str) -> None:
    found = sorted({each for each in text if active(each) and each != "\n"})
    assert not found, (found, text[:2000])


def written_out(text: str) -> str:
    """As a terminal may see it."""
    return "".join(c.encode("unicode_escape").decode() if active(c) else c for c in text)


def said(ran: Ran, code: int = ExitCode.DONE) -> Ran:
    """A command that ended as expected, and whose two outputs are harmless."""
    assert ran.code == code, ran
    assert "Traceback" not in ran.err
    assert "unexpected:" not in ran.err, ran
    assert_harmless(ran.out)
    assert_harmless(ran.err)
    return ran


def sorted_document(text: str) -> Any:
    """The one document that the text is; its keys are sorted all the way down."""

    def pairs(found: list[tuple[str, Any]]) -> dict[str, Any]:
        keys = [key for key, _ in found]
        assert keys == sorted(keys)
        return dict(found)

    return json.loads(text, object_pairs_hook=pairs)


def write(workspace: Workspace, *statements: tuple[str, Mapping[str, Any]]) -> None:
    """Change the database by hand, with parameters."""
    engine = open_engine(workspace.settings)
    with engine.begin() as connection:
        if not workspace.settings.is_sqlite:
            connection.execute(sa.text("SET LOCAL search_path TO resumectl, dbos"))
        for sql, parameters in statements:
            connection.execute(sa.text(sql), parameters)
    engine.dispose()


NASTY_ID = f"{NASTY}-1"


def spoil(workspace: Workspace) -> None:
    """Write whatever can be written by hand, with ill will."""
    workspace.ok("publish", "--count", "3")
    text = "CAST(:text AS VARCHAR)"  # PostgreSQL is to be told: the columns are of two types
    pending = "UPDATE workflow_status SET status = 'PENDING', completed_at = NULL"
    nasty, named = {"text": NASTY}, {"text": NASTY, "id": NASTY_ID}
    write(
        workspace,
        ("INSERT INTO publishers VALUES (:text, 1)", nasty),
        ("INSERT INTO batches VALUES (:id, :text, :text, 3, 0, 1)", named),
        ("INSERT INTO failures VALUES (:id, 2, :text)", {"id": NASTY_ID, "text": NASTY + LONG}),
        ("INSERT INTO failures VALUES ('alpha-1', 3, :text)", {"text": NASTY + LONG}),
        (
            "UPDATE processes SET executor_id = :text, app_version = :text, command = :text,"
            " host = :text, how = :text",
            nasty,
        ),
        ("UPDATE deliveries SET publisher = :text WHERE message_number = 3", nasty),
        (
            f"UPDATE workflow_status SET workflow_uuid = CAST(:id AS VARCHAR), name = {text},"
            f" status = {text}, queue_name = {text}, executor_id = {text},"
            f" application_version = {text}, config_name = {text}"
            " WHERE workflow_uuid = 'alpha-1-1'",
            named,
        ),
        (
            f"UPDATE operation_outputs SET workflow_uuid = CAST(:id AS VARCHAR),"
            f" function_name = {text}, child_workflow_id = {text}"
            " WHERE workflow_uuid IN (CAST(:id AS VARCHAR), 'alpha-1-1')",
            named,
        ),
        # Work of another version, as `resume` and `doctor` tell of it.
        (f"{pending}, application_version = {text} WHERE workflow_uuid = 'alpha-1-2'", nasty),
        (f"{pending}, executor_id = {text} WHERE workflow_uuid = 'alpha-1-3'", nasty),
    )


def test_every_command_that_looks_shows_text_literally(workspace: Workspace) -> None:
    spoil(workspace)
    endless = replace(workspace, environ={**workspace.environ, **ENDLESS})
    literal = written_out(NASTY)
    for arguments in (
        ("state",),
        ("state", "--name", NASTY),
        ("list-workflows",),
        ("list-workflows", "--tree"),
        ("list-workflows", "--publisher", NASTY),
        ("list-workflows", "--name", NASTY),
        ("steps", NASTY_ID),
        ("doctor",),
    ):
        assert literal in said(look(endless, *arguments)).out, arguments
    for columns in ("1", "40", "100"):
        narrow = replace(workspace, environ={**workspace.environ, "COLUMNS": columns})
        for command in ("state", "list-workflows", "doctor"):
            said(look(narrow, command))


def test_json_holds_the_text_itself_and_only_ascii(workspace: Workspace) -> None:
    spoil(workspace)
    found = {}
    for arguments in (("state",), ("list-workflows",), ("steps", NASTY_ID), ("doctor",)):
        ran = said(look(workspace, *arguments, "--json"))
        assert ran.out.isascii()
        found[arguments[0]] = sorted_document(ran.out)
    (batch,) = next(p for p in found["state"]["publishers"] if p["name"] == NASTY)["batches"]
    assert batch["id"] == NASTY_ID
    assert batch["failures"] == [{"message": 2, "error": NASTY + LONG}]
    workflow = next(w for w in found["list-workflows"]["workflows"] if w["id"] == NASTY_ID)
    for key in ("name", "publisher", "status", "queue", "executor", "version"):
        assert workflow[key] == NASTY, key
    assert [s["name"] for s in found["steps"]["steps"]] == [NASTY]


def test_what_keeps_a_resume_from_its_work_is_told_literally(workspace: Workspace) -> None:
    spoil(workspace)
    # No publisher has such a name but by hand, and no process could be one.
    write(
        workspace,
        ("DELETE FROM failures WHERE batch_id = :id", {"id": NASTY_ID}),
        ("DELETE FROM batches WHERE id = :id", {"id": NASTY_ID}),
        ("DELETE FROM publishers WHERE name = :text", {"text": NASTY}),
    )
    endless = replace(workspace, environ={**workspace.environ, **ENDLESS})
    ran = said(endless.run("resume", "alpha-1-2"))
    assert f"of application version {written_out(NASTY)}" in ran.out
    sorted_document(said(endless.run("resume", "alpha-1-2", "--json")).out)
    said(endless.run("cancel", "alpha-1-2"))
    said(endless.run("fork", NASTY_ID, "--from-step", "1"))


@pytest.mark.parametrize("text", [*HOSTILE.values(), NASTY + LONG], ids=[*HOSTILE, "everything"])
def test_what_was_typed_is_shown_literally_when_it_is_refused(
    sqlite_workspace: Workspace, text: str
) -> None:
    for arguments in (
        ("state", "--name", text),
        ("state", "--log-format", text),
        ("state", "--config", text),
        ("steps", text),
        ("cancel", text),
        ("fork", text, "--from-step", "1"),
        ("resume", text),
        ("list-workflows", "--status", text),
        ("list-workflows", "--since", text),
        ("publish", "--from", text),
        ("publish", "--name", text),
        ("publish", "--id", text),
        ("publish", "--guarantee", text),
        ("crash-after", "3", "--when", text),
        ("crash-after", "3", "--signal", text),
    ):
        said(look(sqlite_workspace, *arguments), ExitCode.REFUSED)
    said(sqlite_workspace.run("publish", "--count", text), ExitCode.REFUSED)


def test_what_the_parser_refuses_is_shown_literally(sqlite_workspace: Workspace) -> None:
    for arguments in (
        (NASTY,),
        (f"--{NASTY}",),
        ("state", NASTY),
        ("crash-after", NASTY),
        ("state", "--db-url", NASTY),
        ("publish", "--executor", NASTY),
        # A file's name is bytes, and these are no letters in any encoding.
        ("publish", "--from", os.fsdecode(b"\xff\x9b31m")),
    ):
        said(sqlite_workspace.run(*arguments), ExitCode.REFUSED)


def test_a_database_with_an_ugly_name_is_named_literally(sqlite_workspace: Workspace) -> None:
    url = "sqlite:///a\x1b[31m[bold]\u202e.sqlite"
    for arguments in (
        ("migrate",),
        ("doctor",),
        ("reset", "--yes"),
        ("migrate", "--json"),
    ):
        said(sqlite_workspace.run(*arguments, "--db-url", url))
    said(sqlite_workspace.run("reset", "--db-url", url, stdin="n\n"), ExitCode.REFUSED)


def test_an_error_that_a_database_raises_is_shown_literally(sqlite_workspace: Workspace) -> None:
    """In the log and in the tables; of an error of several lines, the first."""
    sqlite_workspace.ok("migrate")
    quoted = NASTY.replace("'", "''")
    sqlite_workspace.execute(
        "CREATE TRIGGER failing BEFORE INSERT ON deliveries WHEN NEW.message_number = 2"
        f" BEGIN SELECT RAISE(ABORT, '{quoted}'); END".replace(":", "\\:")
    )
    workspace = replace(sqlite_workspace, environ={**sqlite_workspace.environ, **ENDLESS})
    first = NASTY.splitlines()[0]  # an error is told in one line
    literal = written_out(first)
    published = said(workspace.run("publish", "--count", "3"), ExitCode.PROMISE_BROKEN)
    assert literal in published.out
    assert literal in published.err  # the log
    as_json = workspace.run("publish", "--count", "3", "--log-format", "json", "-v")
    said(as_json, ExitCode.PROMISE_BROKEN)
    lines = [json.loads(line) for line in as_json.err.splitlines() if line.startswith("{")]
    assert any(first in each["message"] for each in lines)
    assert literal in said(look(workspace, "state")).out
    assert literal in said(look(workspace, "list-workflows")).out


def test_a_log_line_is_one_line_whatever_it_says(sqlite_workspace: Workspace) -> None:
    """DBOS logs the version that it is given."""
    said(sqlite_workspace.run("publish", "--count", "2", "-v", "--app-version", NASTY))
    said(sqlite_workspace.run("publish", "--count", "2", "-v", "--app-version", NASTY, "--json"))


def test_messages_arrive_as_they_were_written(workspace: Workspace) -> None:
    lines = [text for kind, text in HOSTILE.items() if kind not in ("lines", "carriage returns")]
    objects = [json.dumps({"text": text}) for text in HOSTILE.values()]
    workspace.ok("publish", "--from", "-", stdin="\n".join([*lines, *objects, LONG]) + "\n")
    bodies = workspace.rows("SELECT body FROM deliveries ORDER BY message_number")
    found = [json.loads(b) if workspace.settings.is_sqlite else b for (b,) in bodies]
    assert found == [*lines, *({"text": text} for text in HOSTILE.values()), LONG]


def test_a_terminal_that_knows_few_letters_is_no_failure(sqlite_workspace: Workspace) -> None:
    spoil(sqlite_workspace)
    environ = {**sqlite_workspace.environ, "PYTHONIOENCODING": "ascii"}
    workspace = replace(sqlite_workspace, environ=environ)
    for arguments in (("state",), ("list-workflows", "--tree"), ("steps", NASTY_ID)):
        said(workspace.run(*arguments))
    said(workspace.run("state", "--name", NASTY + "?"), ExitCode.REFUSED)


# ------------------------------------------------------------- terminals

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Shown(NamedTuple):
    """What a terminal was sent, and what went to standard error."""

    code: int
    screen: str
    err: str

    @property
    def lines(self) -> list[str]:
        """Without the colours."""
        return COLOUR.sub("", self.screen).split("\n")


def on_terminal(workspace: Workspace, width: int, *arguments: str, **environ: str) -> Shown:
    """Run resumectl on a pseudo-terminal of that many columns."""
    ruled = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TERM")
    plain = {k: v for k, v in workspace.environ.items() if k not in ruled}
    there = replace(workspace, environ={**plain, "TERM": "xterm-256color", **environ})
    controller, terminal = pty.openpty()
    with tempfile.TemporaryFile("w+") as err:
        termios.tcsetwinsize(terminal, (50, width))
        process = there.start(*arguments, stdin=subprocess.DEVNULL, stdout=terminal, stderr=err)
        os.close(terminal)
        parts: list[bytes] = []
        with os.fdopen(controller, "rb", buffering=0) as screen:
            try:
                while part := screen.read(65_536):
                    parts.append(part)
            except OSError:  # how Linux says that nobody holds the terminal any more
                pass
        code = process.wait(DEADLINE_S)
        err.seek(0)
        return Shown(code, b"".join(parts).decode().replace("\r\n", "\n"), err.read())


COUNTS = ["expected", "delivered", "repeated", "missing", "failed", "pending", "ignored"]
BATCHES = ["batch", "guarantee", "status", *COUNTS]
COUNTERS = ["publisher", "counter", "of", "executor", "pid", "ended", "local", "global"]
WORKFLOWS = [
    "id",
    "name",
    "publisher",
    "status",
    "queue",
    "steps",
    "attempts",
    "executor",
    "version",
    "created",
    "duration",
    "error",
]
STEPS = ["step", "name", "child", "outcome", "started", "took", "process"]
PROCESSES = ["process", "command", "executor", "version", "pid", "host", "started", "ended"]
DOCTOR = ["what", "seen", "next"]
RESUMED = ["workflow", "before", "after", "replayed", "executed", "repeated"]
STATUSES = ["status", "workflows"]


def assert_columns(shown: Shown, headings: Sequence[str]) -> None:
    """Every heading is there: above the rows or in the note that says what is left out, or each
    beginning a record's line."""
    lines = shown.lines
    notes = re.findall(r"not shown here: ([^;]*);", " ".join(lines))
    left_out = [set(), *({each.strip() for each in note.split(",")} for note in notes)]
    above = any(
        [each for each in headings if each not in gone] == line.split()
        for line in lines
        for gone in left_out
    )
    as_records = all(any(re.match(rf"{each}( |$)", line) for line in lines) for each in headings)
    assert above or as_records, "\n".join(lines)


def assert_fits(shown: Shown, width: int) -> None:
    for line in shown.lines:
        assert_harmless(line)
        assert cell_len(line) <= width, line


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_column_and_no_letter_is_lost_on_a_terminal_of(
    sqlite_workspace: Workspace, width: int
) -> None:
    spoil(sqlite_workspace)
    write(sqlite_workspace, ("UPDATE deliveries SET ignored = 1 WHERE message_number = 2", {}))
    for arguments, tables, letters in (
        (("state",), (BATCHES, COUNTERS), 2 * len(LONG)),
        (("list-workflows", "--tree"), (WORKFLOWS,), len(LONG)),
        (("steps", NASTY_ID), (STEPS, PROCESSES), 0),
        (("doctor",), (DOCTOR,), 0),
    ):
        shown = on_terminal(sqlite_workspace, width, *arguments)
        assert shown.code == ExitCode.DONE, (arguments, shown)
        assert_fits(shown, width)
        for headings in tables:
            assert_columns(shown, headings)
        assert shown.screen.count("Ω") == letters, arguments


def test_a_long_text_is_folded_within_its_column(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("publish", "--count", "1")
    write(sqlite_workspace, ("INSERT INTO failures VALUES ('alpha-1', 1, :text)", {"text": LONG}))
    shown = on_terminal(sqlite_workspace, 200, "list-workflows")
    assert any(line.split() == WORKFLOWS for line in shown.lines)
    assert_fits(shown, 200)
    assert shown.screen.count("Ω") == len(LONG)


@pytest.mark.parametrize("width", [40, 80])
def test_no_column_of_a_crash_and_its_resume_is_lost_on_a_terminal_of(
    sqlite_workspace: Workspace, width: int
) -> None:
    crashed = on_terminal(sqlite_workspace, width, "crash-after", "2", "--count", "4")
    assert crashed.code == ExitCode.DONE, crashed
    for headings in (BATCHES[:-1], STATUSES, COUNTERS):
        assert_columns(crashed, headings)
    resumed = on_terminal(sqlite_workspace, width, "resume")
    assert resumed.code == ExitCode.DONE, resumed
    for headings in (RESUMED, BATCHES[:-1]):
        assert_columns(resumed, headings)
    published = on_terminal(sqlite_workspace, width, "publish", "--count", "2")
    assert_columns(published, BATCHES[:-1])
    for shown in (crashed, resumed, published):
        assert_fits(shown, width)


def test_colours_are_for_terminals_that_want_them(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("publish", "--count", "2")
    for command in ("state", "list-workflows"):
        assert COLOUR.search(on_terminal(sqlite_workspace, 200, command).screen)
        for plain in ({"NO_COLOR": "1"}, {"TERM": "dumb"}):
            assert "\x1b" not in on_terminal(sqlite_workspace, 200, command, **plain).screen, plain
        piped = replace(
            sqlite_workspace, environ={**sqlite_workspace.environ, "TERM": "xterm-256color"}
        )
        assert "\x1b" not in said(piped.run(command)).out
    assert "\x1b" not in on_terminal(sqlite_workspace, 80, "--help", NO_COLOR="1").screen


def test_a_document_on_a_terminal_is_a_document(sqlite_workspace: Workspace) -> None:
    shown = on_terminal(sqlite_workspace, 40, "publish", "--count", "2", "--json")
    assert shown.code == ExitCode.DONE
    sorted_document(shown.screen)


# ------------------------------------------------------------- one document


LOOKING = {"state", "list-workflows", "steps", "doctor"}


def one_document(ran: Ran, code: int = ExitCode.DONE) -> Any:
    assert ran.code == code, ran
    return sorted_document(ran.out)


def test_json_is_one_sorted_document_and_everything_else_goes_to_standard_error(
    sqlite_workspace: Workspace,
) -> None:
    workspace = sqlite_workspace
    for arguments, keys in (
        (("state",), {"publishers", "totals", "verdict"}),
        (("list-workflows",), {"workflows"}),
        (("doctor",), {"checks", "healthy"}),
        (("resume",), {"publishers", "totals", "verdict", "workflows", "blocked"}),
        (("migrate",), {"database", "migrated"}),
        (("publish", "--count", "2", "-v"), {"publishers", "totals", "verdict"}),
        (("publish", "--count", "2", "--detach"), {"publishers", "totals", "verdict"}),
        (("cancel", "alpha-2"), {"workflows"}),
        (
            ("crash-after", "2", "--count", "3", "-v"),
            {"batch", "plan", "pid", "signal", "reached", "delivered", "workflows"},
        ),
        (("state",), {"publishers", "totals", "verdict"}),
        (("resume", "-v"), {"publishers", "totals", "verdict", "workflows", "blocked"}),
        (("resume", "alpha-1"), {"publishers", "totals", "verdict", "workflows", "blocked"}),
        (("list-workflows", "--tree"), {"workflows"}),
        (("steps", "alpha-1"), {"workflow", "steps"}),
        (("fork", "alpha-1", "--from-step", "1"), {"workflows"}),
        (("doctor",), {"checks", "healthy"}),
        (("reset", "--yes"), {"database", "deleted"}),
        (("state", "--check"), {"publishers", "totals", "verdict"}),
    ):
        run = look if arguments[0] in LOOKING else Workspace.run
        assert set(one_document(run(workspace, *arguments, "--json"))) >= keys, arguments


def test_a_refusal_is_one_document(sqlite_workspace: Workspace) -> None:
    for arguments in (
        ("state", "--name", "nobody"),
        ("publish", "--name", "Nobody"),
        ("reset",),
        ("frobnicate",),
    ):
        found = one_document(sqlite_workspace.run(*arguments, "--json"), ExitCode.REFUSED)
        assert set(found) == {"error", "next"}, arguments


def test_a_crash_that_proved_nothing_is_one_document(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("migrate")
    sqlite_workspace.execute(
        "CREATE TRIGGER failing BEFORE INSERT ON deliveries BEGIN SELECT RAISE(ABORT, 'no'); END"
    )
    ran = sqlite_workspace.run("crash-after", "2", "--count", "3", "--json")
    found = one_document(ran, ExitCode.NOTHING_PROVED)
    assert found["reached"] is None
    assert "next:  " in ran.err


def test_a_resume_that_ran_out_of_time_is_one_document(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok(
        "crash-after", "1", "--count", "3", "--delay", seconds(0.5), "--concurrency", "1"
    )
    ran = sqlite_workspace.run("resume", "--timeout", "0.1", "--json")
    found = one_document(ran, ExitCode.MACHINE_FAILED)
    assert found["totals"]["pending"] > 0
    assert "next:  " in ran.err


def test_a_worker_that_ends_prints_one_document(sqlite_workspace: Workspace) -> None:
    worker = sqlite_workspace.start("worker", "--json")
    assert worker.stderr is not None
    assert "serving as" in worker.stderr.readline()
    worker.send_signal(signal.SIGTERM)
    out, err = worker.communicate(timeout=DEADLINE_S)
    one_document(Ran(worker.returncode, out, err))
