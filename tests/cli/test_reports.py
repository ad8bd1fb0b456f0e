"""A sweep writes reports for CI services, fits a budget, and runs again what failed."""

import re
from dataclasses import replace

import make_docs
import pytest
from conftest import Workspace

from resumectl.errors import ExitCode

TARGET = ("sweep", "shop.py:checkout", "--args", '["order-1"]', "--promise", "charge=exactly-once")


@pytest.fixture
def shop(sqlite_workspace: Workspace) -> Workspace:
    (sqlite_workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    return sqlite_workspace


def test_two_sweeps_write_the_same_reports_but_for_times(shop: Workspace) -> None:
    texts = []
    for turn in range(2):
        files = {name: shop.directory / f"{turn}.{name}" for name in ("junit", "summary", "sarif")}
        options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
        assert shop.run(*TARGET, *options).code == ExitCode.PROMISE_BROKEN
        texts.append([re.sub(r'time="[\d.]+"', "", f.read_text()) for f in files.values()])
    assert texts[0] == texts[1]
    # Also from what is stored.
    again = shop.directory / "again.junit"
    ran = shop.run("check", "1", "--junit", str(again))
    assert ran.code == ExitCode.PROMISE_BROKEN
    assert f"{again} is written" in ran.err
    assert re.sub(r'time="[\d.]+"', "", again.read_text()) == texts[0][0]


def test_file_that_cannot_be_written_is_refused_before_the_run(shop: Workspace) -> None:
    ran = shop.run(*TARGET, "--junit", "no/such/report.xml")
    assert ran.code == ExitCode.REFUSED
    assert ran.err == (
        "error: --junit no/such/report.xml cannot be written: No such file or directory\n"
        "next:  name a file in a directory that exists, as in  --junit report.xml\n"
    )


@pytest.mark.parametrize(
    ("options", "what"),
    [
        (("--junit", "shop.py"), "--junit shop.py would replace a Python file"),
        (("--junit", "x", "--sarif", "./x"), "--junit and --sarif name the same file: x"),
        (("--summary", "."), "--summary . is a directory"),
    ],
)
def test_file_that_is_not_for_a_report_is_refused(
    shop: Workspace, options: tuple[str, ...], what: str
) -> None:
    before = (shop.directory / "shop.py").read_bytes()
    ran = shop.run(*TARGET, *options)
    assert (ran.code, ran.err.splitlines()[0]) == (ExitCode.REFUSED, f"error: {what}")
    assert (shop.directory / "shop.py").read_bytes() == before


def test_github_actions_gets_a_summary_and_annotations_without_a_flag(shop: Workspace) -> None:
    summary = shop.directory / "summary.md"
    summary.write_text("# Build\n")
    environ = {
        **shop.environ,
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(summary),
        "GITHUB_WORKSPACE": str(shop.directory),
    }
    ran = replace(shop, environ=environ).run(*TARGET, "--json")
    assert ran.document["findings"][0]["line"] == 5
    assert summary.read_text().startswith("# Build\n## ❌ shop.py:checkout\n")
    assert "::error file=shop.py,line=5,title=duplicated after a crash::charge" in ran.err
    assert "::error" not in shop.run(*TARGET).err


def test_budget_runs_what_fits_and_says_what_it_left_out(shop: Workspace) -> None:
    ran = shop.run(*TARGET[:4], "--budget", "0.01s", "--json", "--jobs", "1")
    assert ran.code == ExitCode.DONE
    found = ran.document
    assert (found["crash_points"], found["trials"], len(found["left_out"])) == (8, 1, 7)
    assert "before:checkout-1/step-1" not in found["left_out"]  # the most informative one
    shown = shop.run("check", str(found["sweep"]))
    assert "left out, since the budget was used up: after:checkout-1/step-1, " in shown.out
    assert "KEPT: every promise held at 1 of 8 crash points" in shown.out
    refused = shop.run(*TARGET, "--budget", "soon")
    assert (refused.code, "as in  --budget 60s" in refused.err) == (ExitCode.REFUSED, True)


@pytest.mark.slow
def test_failed_runs_what_failed_last_time_or_all(shop: Workspace) -> None:
    first = shop.run(*TARGET, "--failed", "--json")
    assert "nothing was swept before: all crash points are run" in first.err
    assert first.document["trials"] == 8
    again = shop.run(*TARGET, "--failed", "--json")
    assert (again.document["trials"], again.document["verdicts"]["BROKEN"]) == (1, 1)
    kept = shop.run(*TARGET[:4], "--failed", "--json")
    assert (kept.document["trials"], kept.code) == (1, ExitCode.DONE)
    all_again = shop.run(*TARGET[:4], "--failed", "--json")
    assert all_again.document["trials"] == 8
    assert "kept every promise: all crash points are run" in all_again.err
    assert shop.run(*TARGET, "--only", "*/step-1").code == ExitCode.PROMISE_BROKEN
    text = (shop.directory / "shop.py").read_text()
    (shop.directory / "shop.py").write_text(
        text.replace("    charge(order)\n    return ship(order)", "    return order")
    )
    gone = shop.run(*TARGET[:4], "--failed", "--json")
    assert "no crash point that failed in sweep 5 is there any more" in gone.err
    assert gone.document["trials"] == gone.document["crash_points"] == 4
