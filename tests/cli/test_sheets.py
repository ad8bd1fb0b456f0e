"""Every table of the product fits its terminal, and breaks no word, no date and no id.

The tables are those that the commands make of real data with long names, laid out at many widths.
"""

import ast
import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CHECKOUT, Workspace
from rich.cells import cell_len
from rich.console import RenderableType
from rich.text import Text

from resumectl.cli import app
from resumectl.errors import ExitCode
from resumectl.publishing.store.workflows import WorkflowSeen
from resumectl.report import console, publisher_tables, selftest_table
from resumectl.report.folding import WORD_MAX, fold
from resumectl.report.sheet import (
    ColumnKind,
    Sheet,
    cell,
    dates,
    ids,
    names,
    right,
    sentences,
    words,
)

WIDTHS = (40, 60, 80, 100, 120, 200, 1_000_000)
NOTE = "not shown here: "


def plain(sheet: Sheet, width: int) -> list[str]:
    return [line.plain for line in sheet.lines(width)]


def left_out(lines: list[str]) -> set[str]:
    """The headings that the note below a table names."""
    text = " ".join(lines)
    if NOTE not in text:
        return set()
    return set(text.rpartition(NOTE)[2].partition(";")[0].split(", "))


def assert_readable(sheet: Sheet, width: int) -> None:
    lines = plain(sheet, width)
    shown = set(" ".join(lines).split())
    allowed = set(f"{sheet.title} {' '.join(c.title for c in sheet.columns)}".split())
    missing = left_out(lines)
    for column, texts in zip(sheet.columns, zip(*sheet.rows, strict=True), strict=True):
        for text in (cell(each).plain for each in texts):
            forms = {text, column.short(text) if column.short else text}
            allowed |= {word for form in forms for word in form.split()}
            if column.title in missing:
                continue
            assert column.dispensable or column.title.split()[0] in shown
            if column.kind is ColumnKind.ID and cell_len(text) <= width:
                assert any(form in line for form in forms for line in lines), (text, lines)
            elif column.kind is ColumnKind.WORDS:
                assert {word for word in text.split() if cell_len(word) <= width} <= shown
    if sheet.footer:
        allowed |= {word for each in sheet.footer for word in cell(each).plain.split()}
    blobs = {word for word in allowed if cell_len(word) > min(WORD_MAX, width)}
    for line in lines:
        assert line == line.rstrip()
        assert cell_len(line) <= width
    note = set(f"{NOTE}; a wider terminal or --json has them".split())
    strange = {
        word
        for word in shown - allowed
        if set(word) != {"─"} and word.strip(",;") not in allowed | note
    }
    assert all(any(word in blob for blob in blobs) for word in strange), (width, strange, lines)


# ------------------------------------------------------------- the tables of the commands

SHOP = """
from dbos import DBOS

class Reconciliation:
    pass

@DBOS.step()
def charge_the_credit_card_of_the_customer(order: str) -> str:
    return f"{order} is paid, as a sentence of some length says that is to be read"

@DBOS.step()
def ship_everything_that_is_in_stock(order: str) -> str:
    return f"{order} is under way"

@DBOS.workflow()
def check_out_everything_in_the_basket(order: str) -> str:
    charge_the_credit_card_of_the_customer(order)
    return ship_everything_that_is_in_stock(order)
"""
TARGET = ("shop.py:check_out_everything_in_the_basket", "--args", '["f81d4fae-7dec-11d0-a765"]')
PROMISE = ("--promise", "charge_the_credit_card_of_the_customer=exactly-once")
CRASH = "before:check_out_everything_in_the_basket-1/step-1"


@contextlib.contextmanager
def collected(shown: list[RenderableType]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(console, "show", lambda *each: shown.extend(each))
        yield


def commands() -> Iterator[tuple[str, ...]]:
    yield ("state",)
    yield ("list-workflows", "--tree")
    yield ("steps", "a-batch-of-invoices-with-a-long-id.2026-11")
    yield ("doctor",)
    yield ("sweeps",)
    yield ("watch", "--once")
    yield ("points", *TARGET)
    yield ("replay", CRASH, *TARGET, *PROMISE)
    yield ("replay", CRASH, *TARGET, *PROMISE, "--times", "2")
    yield ("check", "1")
    yield ("publish", "--name", "the-publisher-of-invoices", "--count", "2")


def small_ones() -> list[RenderableType]:
    """What only commands show that end a process, or that take long."""
    crash = "after:a-batch-of-invoices-with-a-long-id.2026-11-17/delivered"
    return [
        publisher_tables.statuses_sheet({"MAX_RECOVERY_ATTEMPTS_EXCEEDED": 12, "SUCCESS": 1}),
        publisher_tables.resumed_sheet(
            [publisher_tables.Resumed("a-batch-of-invoices.2026-11-17", "NOT_STARTED", "ERROR", 9, 9, 1)]
        ),
        *selftest_table.selftest_view(
            [
                selftest_table.SelftestRow(
                    "a_name_of_some_length", "corrected", "duplicated", ["lost", "stuck"], 40,
                    False, crash,
                )
            ]
        ),
    ]  # fmt: skip


def sheets_in_the_source() -> set[str]:
    """The functions that make a table."""
    found = set()
    for path in (CHECKOUT / "src").rglob("*.py"):
        for function in ast.walk(ast.parse(path.read_text())):
            if isinstance(function, ast.FunctionDef) and any(
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Name)
                and node.func.id == "Sheet"
                for node in ast.walk(function)
            ):
                found.add(f"{path.stem}.{function.name}")
    return found


@pytest.mark.slow
def test_every_table_of_the_product_is_readable_at_every_width(
    sqlite_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = sqlite_workspace
    monkeypatch.chdir(workspace.directory)
    Path("shop.py").write_text(SHOP)
    name = "the-publisher-of-invoices"
    batch = "a-batch-of-invoices-with-a-long-id.2026-11"
    workspace.ok("publish", "--name", name, "--count", "12", "--id", batch)
    workspace.run("crash-after", "2", "--name", name, "--count", "4")
    workspace.run("sweep", *TARGET, *PROMISE)
    shown: list[RenderableType] = []
    makers: set[str] = set()
    original = Sheet.__init__

    def remember(self: Sheet, *values: object, **named: object) -> None:
        frame = sys._getframe(1)
        makers.add(f"{Path(frame.f_code.co_filename).stem}.{frame.f_code.co_name}")
        original(self, *values, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(Sheet, "__init__", remember)
    with collected(shown):
        for arguments in commands():
            code = app([*arguments, "--db-url", workspace.url], standalone_mode=False)
            assert code in (ExitCode.DONE, ExitCode.PROMISE_BROKEN), arguments
    shown.extend(small_ones())
    assert makers == sheets_in_the_source()
    for each in shown:
        for width in WIDTHS:
            if isinstance(each, Sheet):
                assert_readable(each, width)


@pytest.mark.slow
@pytest.mark.parametrize(
    "columns", ["", *(pytest.param(each, marks=pytest.mark.long) for each in ("60", "120"))]
)
def test_no_line_of_a_pipe_ends_in_blanks(sqlite_workspace: Workspace, columns: str) -> None:
    sqlite_workspace.ok("publish", "--count", "3")
    sqlite_workspace.run("crash-after", "2", "--count", "4")
    workspace = replace(sqlite_workspace, environ={**sqlite_workspace.environ, "COLUMNS": columns})
    for arguments in (
        ("state",), ("list-workflows", "--tree"), ("steps", "alpha-1"), ("doctor",), ("resume",),
        ("state", "--json"),
    ):  # fmt: skip
        ran = workspace.ok(*arguments)
        for line in (ran.out + ran.err).splitlines():
            assert line == line.rstrip(), arguments


# ------------------------------------------------------------- how a table is made to fit

DATE = "2026-11-28 23:52:23"


def workflow(number: int) -> WorkflowSeen:
    return WorkflowSeen(
        id=f"alpha-1-{number}",
        name="Publisher.deliver_message",
        publisher="alpha",
        is_of_a_sweep=False,
        status="SUCCESS",
        queue="publisher_queue",
        attempts=1,
        executor="local",
        version="resumectl-1",
        created_at_ms=1_795_909_943_000 + number,
        completed_at_ms=1_795_909_944_000,
        parent="alpha-1",
        steps=1,
        unfinished_children=0,
        error=None,
    )


def test_a_list_of_workflows_is_a_table_on_the_usual_terminals() -> None:
    sheet = publisher_tables.workflows_sheet([workflow(n) for n in (9, 10)], depths=[0, 0])
    every = [column.title for column in sheet.columns]
    for width, gone in ((60, 6), (80, 4), (120, 2), (160, 0)):
        lines = plain(sheet, width)
        headings = lines[1].split()
        assert len(left_out(lines)) <= gone
        assert set(headings) | left_out(lines) == set(every)
        assert {"id", "name", "status", "steps"} <= set(headings)
        assert sum("deliver_message" in line for line in lines) == 2


def test_where_nothing_can_be_left_out_the_rows_become_records() -> None:
    sheet = Sheet(
        "Sweeps", [ids("sweep"), names("name"), dates("started")], [["s" * 20, "Shop.run", DATE]]
    )
    assert plain(sheet, 53)[3] == f"{'s' * 20}   Shop.run   {DATE}"
    records = plain(sheet, 30)
    assert records == [
        "Sweeps", "", f"sweep    {'s' * 20}", "name     Shop.run", f"started  {DATE}",
    ]  # fmt: skip


def test_short_forms_come_before_columns_are_left_out() -> None:
    sheet = Sheet(
        "t", [ids("id"), names("name"), dates("at"), right("n", dispensable=1)],
        [["x", "Shop.run", DATE, 7]],
    )  # fmt: skip
    assert plain(sheet, 60)[3].split() == ["x", "Shop.run", *DATE.split(), "7"]
    assert plain(sheet, 28)[3].split() == ["x", "run", "11-28", "23:52:23", "7"]
    assert plain(sheet, 22)[3].split() == ["x", "run", "11-28", "23:52:23"]
    assert left_out(plain(sheet, 22)) == {"n"}


def test_a_sentence_is_folded_beside_what_is_not() -> None:
    sheet = Sheet("t", [words("of"), sentences("evidence")], [["charge", "it " * 20]])
    lines = plain(sheet, 40)
    assert lines[3].startswith("charge")
    assert all(line.startswith("         it") for line in lines[4:])
    assert len(lines) > 4
    assert max(map(len, lines)) <= 40


def test_a_row_is_one_line_where_standard_output_is_no_terminal() -> None:
    sheet = Sheet("t", [ids("id"), sentences("evidence")], [["x" * 300, "it " * 200]])
    assert len(plain(sheet, 1_000_000)) == 4


@pytest.mark.parametrize(
    ("text", "width", "expected"),
    [
        ("a sentence of words", 10, ["a sentence", "of words"]),
        ("exactly-once, at-most-once", 14, ["exactly-once,", "at-most-once"]),
        ("f81d4fae7dec", 8, ["f81d4fae", "7dec"]),  # wider than the line itself
        ("shop.py:check_out_everything", 20, ["shop.py:check_out_", "everything"]),
        ("日本語 日本語", 6, ["日本語", "日本語"]),
        ("日本語", 4, ["日本", "語"]),
        ("", 5, [""]),
        ("   ", 2, [""]),
        ("    a-long-id", 10, ["a-long-id"]),
        ("  indented text", 10, ["  indented", "text"]),
    ],
)
def test_folding(text: str, width: int, expected: list[str]) -> None:
    assert [line.plain for line in fold(Text(text), width)] == expected


def test_breaks_that_are_asked_for() -> None:
    lines = fold(Text("Publisher.deliver_message"), 12, breaks="._")
    assert [line.plain for line in lines] == ["Publisher.", "deliver_", "message"]


def test_styles_are_kept_where_a_text_is_folded() -> None:
    first, second = fold(Text.assemble(("one two", "red")), 4)
    assert (first.spans[0].style, second.spans[0].style) == ("red", "red")


@pytest.mark.parametrize(
    ("columns", "width"), [("100", 100), ("", 1_000_000), ("0", 1_000_000), ("abc", 1_000_000)]
)
def test_a_pipe_has_no_width_unless_one_is_given(
    columns: str, width: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert console.console().width == width


def test_a_terminal_of_no_columns_has_the_usual_ones(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = io.StringIO()
    monkeypatch.setenv("COLUMNS", "0")
    monkeypatch.setattr(terminal, "isatty", lambda: True)
    monkeypatch.setattr(sys, "stdout", terminal)
    assert console.console().width == 80
