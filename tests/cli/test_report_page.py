"""`report` writes a sweep as a page: whole, of one trial, compared with another sweep."""

import re
from dataclasses import replace
from pathlib import Path

import make_docs
import pytest
from conftest import Workspace
from html_page import Page
from schema_validation import validate

from resumectl.errors import ExitCode

TARGET = ("shop.py:checkout", "--args", '["order-1"]')
STRICT = (*TARGET, "--promise", "charge=exactly-once")

HOSTILE_ID = "<script>alert(1)</script> [red] \u202e"
HOSTILE = f"""
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario, effect

@DBOS.step()
def look(text):
    effect(text)
    return text

@DBOS.workflow()
def search(text):
    return look(text)

def request():
    with SetWorkflowID({HOSTILE_ID!r}):
        return search({HOSTILE_ID!r} + "\\x1b[2J")

hostile = Scenario(request, promises={{{(HOSTILE_ID + chr(27) + "[2J")!r}: "exactly-once"}})
"""


@pytest.fixture
def shop(sqlite_workspace: Workspace) -> Workspace:
    (sqlite_workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    return sqlite_workspace


def page(workspace: Workspace, name: str = "resumectl-1.html") -> Page:
    return Page((workspace.directory / name).read_text())


def test_page_leads_from_the_map_to_each_trial(shop: Workspace) -> None:
    assert shop.run("sweep", *STRICT).code == ExitCode.PROMISE_BROKEN
    shop.ok("report", "1")
    parsed = page(shop)
    assert parsed.links("before:checkout-1/step-1 (charge): BROKEN, duplicated") == ["#s1-t3"]
    assert parsed.links("after:checkout-1/succeeded: KEPT") == ["#s1-t8"]
    for shown in (
        "1 of 8 trials broke a promise",
        "ran 2 times; baseline: 1; promise: exactly-once",
        "shop.py:5",
        "charge exactly-once; by default at-least-once in a step, exactly-once outside of steps",
        "resumectl replay before:checkout-1/step-1 shop.py:checkout --args '[\"order-1\"]' --promise charge=exactly-once",
    ):
        assert shown in parsed.text
    # Which step ran again, and why, stands with the finding, before the trials.
    findings, _, _ = parsed.text.partition("Map of crash points")
    assert "so process 2 ran it again" in findings
    assert [v for v in parsed.values("class") if v == "repeated"]
    assert str(shop.directory) not in (shop.directory / "resumectl-1.html").read_text()
    # Of one crash plan; from the stored trials, judged again; as a document.
    shop.ok("report", "1:before:checkout-1/step-1", "-o", "one.html")
    one = page(shop, "one.html")
    assert list(one.values("data-verdict")) == ["BROKEN"]
    assert not one.links("before")
    assert (
        shop.run("check", "1", "--promise", "charge=at-least-once", "--html", "again.html").code
        == 0
    )
    assert set(page(shop, "again.html").values("data-verdict")) == {"KEPT"}
    document = shop.document("report", "1", "-o", "again.html")
    assert document == {"file": "again.html", "sweep": 1, "batch": None}
    for options, error in (
        (("report", "one"), "there is no sweep and no batch 'one'"),
        (("report", "9"), "there is no sweep 9"),
        (
            ("report", "1:before:checkout-9/step-1"),
            "sweep 1 has no trial 'before:checkout-9/step-1'",
        ),
        (("report", "1", "--against", "9"), "there is no sweep 9"),
        (("report", "1:", "-o", "x.html"), "'1:' is no trial"),
        (("report", "1:before:a/b", "--against", "1"), "--against compares whole sweeps"),
        (
            ("report", "1", "-o", "resumectl.sqlite"),
            "--output resumectl.sqlite would replace a file",
        ),
        (("check", "1", "--summary", "one.html"), "--summary one.html would replace a file"),
        (("report", "1", "-o", "shop.py"), "--output shop.py would replace a Python file"),
        (
            ("report", "1", "-o", "no/such/page.html"),
            "--output no/such/page.html cannot be written",
        ),
    ):
        ran = shop.run(*options)
        assert ran.code == ExitCode.REFUSED
        assert ran.err.startswith(f"error: {error}")
    assert not (shop.directory / "resumectl-9.html").exists()


@pytest.mark.slow
def test_page_compares_two_sweeps(shop: Workspace) -> None:
    assert shop.run("sweep", *STRICT).code == ExitCode.PROMISE_BROKEN
    shop.ok("sweep", *TARGET, "--html", "second.html")
    shop.ok("report", "2", "--against", "1")
    parsed = page(shop, "resumectl-2.html")
    assert "Fixed (1)" in parsed.text
    assert "before:checkout-1/step-1 BROKEN → KEPT" in parsed.text
    assert "Findings that went" in parsed.text
    assert "Command of sweep 1" in parsed.text
    assert "by default at-least-once in a step, exactly-once outside of steps" in parsed.texts
    assert "Comparison" not in page(shop, "second.html").text
    shop.ok("sweep", "--count", "1", "--max", "1")
    ran = shop.run("report", "3", "--against", "1")
    assert ran.err.startswith("error: sweep 1 is one of shop.py:checkout, not of publisher")
    before = (shop.directory / "second.html").read_bytes()
    ran = shop.run("check", "2", "--html", "/dev/full")
    assert ran.err.startswith("error: /dev/full cannot be written: No space left on device")
    assert (shop.directory / "second.html").read_bytes() == before


def test_text_of_the_program_is_shown_as_it_is(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "hostile.py").write_text(HOSTILE)
    ran = sqlite_workspace.run("sweep", "hostile.py:hostile", "--html", "page.html")
    assert ran.code == ExitCode.PROMISE_BROKEN
    parsed = page(sqlite_workspace, "page.html")
    assert sum(tag == "script" for tag, _ in parsed.elements) == 1
    assert "<script>alert(1)</script> [red] \\u202e" in parsed.texts
    assert any("\\x1b[2J" in each for each in parsed.values("aria-label"))
    assert not {"\x1b", "\u202e"} & set((sqlite_workspace.directory / "page.html").read_text())


def test_page_of_a_batch_shows_its_processes_and_deliveries(workspace: Workspace) -> None:
    workspace.run("crash-after", "2", "--count", "4", "--guarantee", "at-least-once")
    workspace.ok("report", "alpha-1")
    before = page(workspace, "resumectl-alpha-1.html")
    assert "unfinished: " in before.text
    workspace.ok("resume")
    document = workspace.document("report", "alpha-1", "-o", "whole.html")
    validate("report", document)
    whole = page(workspace, "whole.html")
    assert "kept: 4 of 4 delivered" in whole.text
    titles = whole.texts
    assert "process 1 is killed at an unknown instant after this" in titles
    assert {"process 1", "process 2"} <= set(titles)
    for n in range(1, 5):
        assert any(re.fullmatch(rf"alpha-1-{n} delivered by process [12]", text) for text in titles)
    classes = list(whole.values("class"))
    assert (classes.count("kill"), classes.count("pause")) == (2, 2)  # one of each in the legend


def test_page_is_opened_in_the_browser_that_is_asked_for(shop: Workspace, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "$1" > opened\n')
    browser.chmod(0o755)
    assert shop.run("sweep", *TARGET, "--max", "1").code == ExitCode.DONE
    environ = {**shop.environ, "BROWSER": str(browser)}
    replace(shop, environ=environ).ok("report", "1", "--open")
    opened = (shop.directory / "opened").read_text().strip()
    assert opened == (shop.directory / "resumectl-1.html").as_uri()
