"""The page is well-formed, shows every value as it is, and allows no code but its own."""

import base64
import hashlib
import re
from dataclasses import replace

import pytest
from html_page import Page

from resumectl.model.evidence import OtherValue
from resumectl.model.verdict import Finding, Kind
from resumectl.report.page.comparison import Comparison, VerdictChange
from resumectl.report.page.crash_map import Cell, Group, MapColumn
from resumectl.report.page.drawing import drawing_of
from resumectl.report.page.html import page_html
from resumectl.report.page.recovery_times import Distribution
from resumectl.report.page.sweep_page import ExposureEntry, SweepPage
from resumectl.report.page.table import Table
from resumectl.report.page.timeline import (
    Arrow,
    ArrowKind,
    Bar,
    BarKind,
    Mark,
    MarkKind,
    Span,
    Timeline,
)
from resumectl.report.page.trial_entry import FindingEntry, TrialEntry

# Markup, a control character, a change of direction, and what ends an attribute.
HOSTILE = "<script>alert(1)</script> \x1b[31m \u202e \" ' & [red] {{ 7 * 7 }}"
SHOWN = "<script>alert(1)</script> \\x1b[31m \\u202e \" ' & [red] {{ 7 * 7 }}"


def page(text: str = "w-1", sweep: int = 1) -> SweepPage:
    """A page in which every text from outside is this one."""
    timeline = Timeline(
        [Span(1, 0, 40, f"before:{text}"), Span(2, 50, 100, None)],
        [text],
        [Bar(kind, text, 0, 20, text, text) for kind in BarKind],
        [Mark(kind, text, 10, text) for kind in MarkKind],
        [Arrow(kind, text, 0, text, 20, text) for kind in ArrowKind],
        other_rows=3,
    )
    evidence = OtherValue(text, text, text)
    finding = FindingEntry(Finding(Kind.LOST, text, evidence), text, text, 1, text, story=text)
    kept = TrialEntry(2, text, "KEPT", text, text, (), 0.1, (), (text,), None, (text,), (), text)
    broken = TrialEntry(
        1, text, "BROKEN", text, text, (Kind.LOST,), 0.1, (finding,), (text,), drawing_of(timeline),
        (text,), (Table(text, [(text, "right")], [[text]]),), text,
    )  # fmt: skip
    change = VerdictChange(text, "KEPT", "BROKEN")
    return SweepPage(
        sweep=sweep,
        title=text,
        verdict="BROKEN",
        sentence=text,
        key_facts=[text],
        facts=[(text, text)],
        commands=[(text, text)],
        groups=[Group(text, [MapColumn(text, Cell("BROKEN", 1, text), Cell("", None, text))], text, "BROKEN", False)],
        findings=[finding],
        exposures=[ExposureEntry(text, text, text, [(1, text)], 2, text), ExposureEntry(text, text, text, [], 0, text)],
        not_compared=[text],
        recovery=[Distribution(text, [1.0, 2.0])],
        trials=[broken, kept],
        undrawn=1,
        comparison=Comparison(1, [change], [change], [change], [change], [change], 2, [], [], [text, text]),
    )  # fmt: skip


def test_text_from_outside_is_never_markup() -> None:
    usual, hostile = Page(page_html([page()])), Page(page_html([page(HOSTILE)]))
    # Only the room for names in bars, and so the numbers of the axis, may differ.
    names, found = (
        [tag for tag, _ in each.elements if tag not in ("text", "path")]
        for each in (usual, hostile)
    )
    assert found == names
    assert names.count("script") == 1
    assert sum(SHOWN in text for text in hostile.texts) >= 30
    assert list(hostile.values("aria-label")).count(SHOWN) == 3
    whole = "".join((*hostile.texts, *hostile.values("title"), *hostile.values("aria-label")))
    assert "\x1b" not in whole
    assert "\u202e" not in whole


def test_page_loads_nothing_and_allows_no_code_but_its_own() -> None:
    html = page_html([page(HOSTILE)])
    parsed = Page(html)
    policy = next(v for v in parsed.values("content") if v.startswith("default-src"))
    assert policy.startswith("default-src 'none'; ")
    for element, directive in (("style", "style-src"), ("script", "script-src")):
        (source,) = re.findall(rf"<{element}>(.*?)</{element}>", html, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(source.encode()).digest()).decode()
        assert f"{directive} 'sha256-{digest}'" in policy
    assert not list(parsed.values("style"))
    assert not list(parsed.values("src"))
    assert not [name for _, attrs in parsed.elements for name in attrs if name.startswith("on")]
    assert {value[:1] for value in parsed.values("href")} == {"#", "d"}  # on the page, and an icon
    assert "http" not in re.sub(r'http-equiv="', "", html)


def test_every_link_leads_to_a_part_of_the_page() -> None:
    parsed = Page(page_html([page(), page(sweep=2)]))
    ids = list(parsed.values("id"))
    assert len(ids) == len(set(ids))
    links = [value[1:] for value in parsed.values("href") if value.startswith("#")]
    assert set(links) <= set(ids)
    assert {"s1-t1", "s2-t1", "s1-map", "s2-findings"} <= set(links)


def test_page_can_be_read_without_its_script() -> None:
    parsed = Page(page_html([page()]))
    hidden = [attrs for _, attrs in parsed.elements if "hidden" in attrs]
    assert [attrs.get("class") for attrs in hidden] == ["filter"]
    assert "The same as tables" in parsed.texts
    for tag, attrs in parsed.elements:
        if tag == "svg" and attrs.get("role") == "img":
            assert attrs.get("aria-label")


def test_parts_without_content_are_left_out() -> None:
    empty = replace(
        page(), findings=(), groups=(), exposures=(), recovery=(), not_compared=(), comparison=None,
        trials=(), undrawn=0,
    )  # fmt: skip
    ids = set(Page(page_html([empty])).values("id"))
    assert {each for each in ids if each.startswith("s1-")} == {"s1-trials", "s1-about"}


@pytest.mark.parametrize(
    ("before", "after"), [("KEPT", "KEPT → BROKEN"), ("", "no trial → BROKEN")]
)
def test_changes_name_both_verdicts(before: str, after: str) -> None:
    change = VerdictChange("before:w-1/step-1", before, "BROKEN")
    other = Comparison(
        7,
        [],
        [change],
        [],
        [],
        [],
        0,
        [],
        [],
        ["resumectl sweep a.py:f", "resumectl sweep a.py:f --on postgres"],
    )
    text = "".join(Page(page_html([replace(page(), comparison=other)])).texts)
    assert after in text
    assert "Comparison with sweep 7" in text
    assert "Command of sweep 7resumectl sweep a.py:f" in text
    assert "Command of this sweepresumectl sweep a.py:f --on postgres" in text
    nothing = replace(page(), comparison=replace(other, broken=()))
    assert "Nothing changed" in "".join(Page(page_html([nothing])).texts)
