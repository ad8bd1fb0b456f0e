"""Crash tests in pytest: one test for each crash point, whatever pytest is asked to do with them."""

import os
import signal
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import make_docs
import pytest
from conftest import DEADLINE_S, command_server, wait_for
from html_page import Page
from running_processes import is_there, processes_below

TESTS = """
from resumectl.testing import crash_points, exactly_once

@crash_points("shop.py:checkout", args=["order-1"], promises={"charge": exactly_once})
def test_checkout(trial):
    trial.assert_kept()
"""
PLANS = [
    f"{edge}:checkout-1/{fact}"
    for fact in ("accepted", "step-1", "step-2", "succeeded")
    for edge in ("before", "after")
]
BROKEN = "before:checkout-1/step-1"


@pytest.fixture
def suite(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    """Return a directory with the shop of the tutorial, whose tests pytest runs."""
    monkeypatch.setenv("COLUMNS", "120")
    for name in ("PYTEST_ADDOPTS", "PYTEST_XDIST_WORKER", "PYTEST_XDIST_WORKER_COUNT"):
        monkeypatch.delenv(name, raising=False)
    pytester.makepyfile(shop=make_docs.SHOP.read_text(), test_shop=TESTS)
    return pytester


def run(suite: pytest.Pytester, *arguments: str) -> pytest.RunResult:
    """Run pytest as a process of its own, forked from one that has imported its modules."""
    process = command_server().start(
        [f"--basetemp={suite.path / 'basetemp'}", "-p", "no:randomly", *arguments],
        module="pytest",
        directory=suite.path,
        environ=os.environ,
    )
    out, err = process.communicate(timeout=DEADLINE_S)
    print(out, err)
    return pytest.RunResult(process.returncode, out.splitlines(), err.splitlines(), 0)


def test_each_crash_point_is_a_test_whose_failure_shows_the_trial(suite: pytest.Pytester) -> None:
    result = run(suite, "-v", "--junitxml=report.xml")
    result.assert_outcomes(passed=7, failed=1)
    for plan in PLANS:
        result.stdout.fnmatch_lines([f"test_shop.py::test_checkout[[]{plan}] *"])
    result.stdout.fnmatch_lines(
        [
            "*A process is killed just before the commit of checkout-1/step-1; the next one *",
            f"Killed at {BROKEN} (confirmed by the kernel: killed by SIGKILL).",
            "duplicated * charge, checkout-1/step-1 *promise: exactly-once*",
            f"next:  resumectl replay {BROKEN} shop.py:checkout --args *",
            "the step:  shop.py:5: def charge(order: str) -> str:",
            f"FAILED test_shop.py::test_checkout[[]{BROKEN}] - BROKEN: duplicated charge*",
        ]
    )
    assert "Traceback" not in result.stdout.str()
    root = ET.parse(suite.path / "report.xml")
    cases = {each.attrib["name"]: each for each in root.iter("testcase")}
    assert set(cases) == {f"test_checkout[{plan}]" for plan in PLANS}
    failure = cases[f"test_checkout[{BROKEN}]"].find("failure")
    assert failure is not None
    assert "confirmed by the kernel" in str(failure.text)


@pytest.mark.slow
def test_crash_points_are_chosen_as_any_tests(suite: pytest.Pytester) -> None:
    run(suite, "-k", "step-1 and before").assert_outcomes(failed=1, deselected=7)
    run(suite, "--lf").assert_outcomes(failed=1)
    run(suite, f"test_shop.py::test_checkout[after{BROKEN[6:]}]").assert_outcomes(passed=1)
    result = run(suite, "-x")
    result.assert_outcomes(passed=2, failed=1)
    run(suite, "--no-crash").assert_outcomes(deselected=1)
    result = run(suite, "--crash-max", "3", "--crash-seed", "5")
    result.assert_outcomes(passed=2, failed=1)
    assert "shop.py:checkout, crash points tested: 3 of 8" in result.stdout.str()


@pytest.mark.slow
def test_workers_of_xdist_share_the_crash_points(suite: pytest.Pytester) -> None:
    result = run(suite, "-n", "2", "-v")
    result.assert_outcomes(passed=7, failed=1)
    assert len(list((suite.path / ".resumectl" / "crash-points").iterdir())) == 1
    result = run(suite, "-n", "2", "--crash-max", "3", "-k", "before")
    assert "shop.py:checkout, crash points tested: 3 of 8" in result.stdout.str()
    assert (suite.path / ".resumectl" / ".gitignore").read_text().endswith("*\n")


@pytest.mark.slow
@pytest.mark.parametrize("workers", ["2", pytest.param("0", marks=pytest.mark.long)])
def test_page_has_the_trials_of_all_workers(suite: pytest.Pytester, workers: str) -> None:
    suite.makepyfile(
        test_more="from resumectl.testing import crash_sweep\n"
        "def test_all():\n"
        "    assert len(crash_sweep('shop.py:checkout', args=['order-2']).trials) == 8\n"
    )
    result = run(suite, "-n", workers, "--crash-html", "page.html")
    result.assert_outcomes(passed=8, failed=1)
    result.stdout.fnmatch_lines([f"crash tests: {suite.path / 'page.html'} is written"])
    page = Page((suite.path / "page.html").read_text())
    verdicts = list(page.values("data-verdict"))
    assert (verdicts.count("KEPT"), verdicts.count("BROKEN")) == (15, 1)
    assert len(page.links("before:checkout-1/")) == 8  # of both targets
    assert "shop.py:5" in page.text
    assert "swept" not in page.text  # nothing is stored


@pytest.mark.long
def test_page_has_the_trials_of_a_killed_worker(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_shop=f"{TESTS}\ndef test_last():\n    import os, signal\n    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    result = run(suite, "-n", "1", "--crash-html=page.html")
    result.assert_outcomes(passed=7, failed=2)
    verdicts = list(Page((suite.path / "page.html").read_text()).values("data-verdict"))
    assert (verdicts.count("KEPT"), verdicts.count("BROKEN")) == (7, 1)


def test_page_is_written_if_nothing_is_shown(suite: pytest.Pytester) -> None:
    result = run(suite, "-p", "no:terminal", "-n", "0", "-k", BROKEN, "--crash-html=page.html")
    assert result.ret == pytest.ExitCode.TESTS_FAILED
    assert "BROKEN" in list(Page((suite.path / "page.html").read_text()).values("data-verdict"))


def test_page_without_a_trial_is_not_written(suite: pytest.Pytester) -> None:
    result = run(suite, "--no-crash", "--crash-html", "page.html")
    result.stdout.fnmatch_lines(["crash tests: no trial was run, so * is not written"])
    assert not (suite.path / "page.html").exists()
    for file, error in (
        ("shop.py", "would replace a Python file"),
        ("no/page", "cannot be written"),
    ):
        result = run(suite, "--crash-html", file)
        assert result.ret == pytest.ExitCode.USAGE_ERROR
        result.stderr.fnmatch_lines([f"ERROR: --crash-html *{file} {error}*"])


def test_unchanged_target_is_collected_without_running_it(
    suite: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(suite, "--collect-only").assert_outcomes()
    monkeypatch.setenv("RESUMECTL_DATABASE_URL", "no URL")  # nothing can be run
    result = run(suite, "--collect-only", "-q")
    assert sum("test_checkout[" in line for line in result.outlines) == len(PLANS)
    text = (suite.path / "shop.py").read_text()
    (suite.path / "shop.py").write_text(f"{text}\n# edited\n")
    result = run(suite, "--collect-only", "-q")
    assert "test_shop.py::test_checkout[crash-points]" in result.outlines


def test_target_that_cannot_be_run_is_one_failure_in_two_parts(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_shop=TESTS.replace("shop.py:checkout", "shop.py:chekout"),
        test_more="from test_shop import *\n",
    )
    result = run(suite, "test_shop.py")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(
        [
            "error: shop.py has no chekout; the nearest are checkout*",
            "next:  as in  shop.py:checkout",
        ]
    )
    assert "Traceback" not in result.stdout.str()


OBJECTS = """
import pytest
import shop
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario
from resumectl.testing import CrashTrial, PromiseBroken, crash_points, crash_sweep, exactly_once

@DBOS.workflow()
def work(n):
    return shop.charge(n)

def handler(order):
    DBOS.start_workflow(shop.checkout, order)

def request():
    with SetWorkflowID("work-1"):
        return work(1)

scenario = Scenario(request)

@crash_points(scenario, only="*/step-1")
def test_scenario(trial: CrashTrial):
    trial.assert_kept()
    assert trial.plan.endswith(":work-1/step-1")
    assert len(trial.observation.processes) == 2

@crash_points(shop.checkout, args=["order-1"], edge="after")
async def test_workflow_of_another_module(trial):
    assert trial.findings == ()

@crash_points(handler, args=["order-1"], only="checkout(1)/step-*")
def test_handler(trial):
    trial.assert_kept()

@crash_points(handler, args=["order-1"], only="checkout(1)/accepted", edge="after")
def test_client_that_asks_again(trial):
    trial.assert_kept()
    (retry,) = [each for each in trial.exposures if each.note is not None]
    assert (retry.subject, retry.note.workflows) == ("checkout(1)", ("checkout(2)",))
    assert retry.note.steps == ("charge", "ship")

def test_all_in_one():
    assert len(crash_sweep(work, args=[1]).trials) == 6
    sweep = crash_sweep(work, args=[1], promises={"charge": exactly_once})
    with pytest.raises(PromiseBroken, match="1 of 6 trials of test_shop.py:work did not keep"):
        sweep.assert_kept()
    assert [each.kind for each in sweep.findings] == ["duplicated"]

@crash_points(Scenario(request))
def test_without_a_name(trial):
    pass
"""


@pytest.mark.slow
def test_target_is_an_object_of_the_tests(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_shop=OBJECTS)
    result = run(suite, "-o", "asyncio_mode=auto", "-v")
    result.assert_outcomes(passed=2 + 4 + 4 + 1 + 1, errors=1)
    result.stdout.fnmatch_lines(["error: the Scenario has no name in a module, *"])
    again = "crash tests: *test_shop.py:handler, exposure: a client that asks again starts checkout(2), *"
    result.stdout.fnmatch_lines([again.replace("[", "[[]")])


OWN_DBOS = """
import pytest
from dbos import DBOS
import shop
from resumectl.testing import crash_points

@pytest.fixture(scope="session")
def launched(tmp_path_factory):
    database = tmp_path_factory.mktemp("dbos") / "own.sqlite"
    DBOS(config={"name": "own", "system_database_url": f"sqlite:///{database}"})
    DBOS.launch()
    yield
    assert len(DBOS.list_workflows()) == 2  # those of these tests, and none of a trial
    DBOS.destroy()

def test_before(launched):
    assert shop.checkout("order-1") == "order-1 is under way"

@crash_points("shop.py:checkout", args=["order-1"])
def test_checkout(trial, launched):
    trial.assert_kept()

def test_after(launched):
    assert shop.checkout("order-2") == "order-2 is under way"
"""


def test_dbos_of_the_suite_is_left_alone(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_shop=OWN_DBOS)
    run(suite).assert_outcomes(passed=8 + 2)


def test_options_are_checked_and_may_stand_in_the_configuration(suite: pytest.Pytester) -> None:
    suite.makeini("[pytest]\ncrash_max = 2\ncrash_seed = 5\n")
    run(suite).assert_outcomes(passed=1, failed=1)
    suite.makepyfile(test_shop=TESTS.replace("promises", "max=3, promises"))
    run(suite).assert_outcomes(passed=1, failed=1)
    suite.makeini("[pytest]\nno_crash = true\n")
    run(suite).assert_outcomes(deselected=1)
    for value in ("many", "0"):
        suite.makeini(f"[pytest]\ncrash_max = {value}\n")
        result = run(suite)
        result.stderr.fnmatch_lines([f"*crash_max = '{value}' is not a number of 1 or more*"])
        assert "Traceback" not in result.stderr.str()


MISTAKES = """
import pytest
from resumectl.testing import crash_points, crash_sweep

@pytest.fixture
def own():
    pass

def test_sweep():
    crash_sweep("shop.py:checkout", args=["a"], max=-1)

@crash_points("shop.py:checkout", args=["a"], timeout="x")
def test_timeout(trial):
    pass

@crash_points("shop.py:checkout", args=["a"], retry=3)
def test_unknown(trial):
    pass

@crash_points("shop.py:checkout", args="a")
def test_args(trial):
    pass

@crash_points("shop.py:checkout")
def test_no_args(trial):
    pass

@crash_points("shop.py:checkout", args=["a"], only="*/step-1", max=1)
def test_good(trial):
    trial.assert_kept()
"""


def test_wrong_option_fails_its_own_test_alone(suite: pytest.Pytester) -> None:
    suite.makepyfile(test_shop=MISTAKES)
    result = run(suite)
    result.assert_outcomes(passed=1, failed=1, errors=4)
    result.stdout.fnmatch_lines(["error: max=-1*"])
    assert "spec_from_options.py" not in result.stdout.str()
    result.stdout.fnmatch_lines(
        [
            "error: the option timeout of a crash test is not a number of seconds",
            "error: unknown option 'retry' of a crash test",
            "error: the option args of a crash test is not a list of JSON values",
            "error: the arguments do not fit checkout*",
            'next:  as in  args=[[]"…"]',
            "*crash points tested: 1 of 2, a random sample",
        ]
    )
    assert "Traceback" not in result.stdout.str()


CONFIGURED = """
from resumectl.testing import crash_points

@crash_points("configured")
def test_configured(trial):
    pass

@crash_points("configured", only="other*")
def test_typed(trial):
    pass
"""


def test_mistake_in_the_project_is_shown_with_its_line(suite: pytest.Pytester) -> None:
    """Also one that only a run can find; what the test itself says is in no file."""
    suite.makepyfile(test_shop=CONFIGURED)
    suite.makepyprojecttoml(
        '[tool.resumectl.targets.configured]\ntarget = "shop.py:checkout"\nargs = ["a"]\n'
        'only = "nothing*"\n'
    )
    result = run(suite)
    result.assert_outcomes(errors=2)
    what = "no transition of the baseline matches only"
    result.stdout.fnmatch_lines(
        [
            f'error: pyproject.toml:4: {what} = "nothing[*]"; the nearest are*',
            f'error: {what}="other[*]"; the nearest are*',
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_fixture_of_the_same_name_is_refused(suite: pytest.Pytester) -> None:
    fixture = "import pytest\n@pytest.fixture\ndef trial(): return 5\n"
    body = "def test_checkout(trial):\n    pass\n"
    suite.makepyfile(test_shop=fixture + TESTS.split("def test")[0] + body)
    result = run(suite, "-k", "after")
    result.assert_outcomes(failed=4, deselected=4)
    result.stdout.fnmatch_lines(["error: another fixture has the name trial, *"])


def test_test_without_the_argument_is_refused(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_shop=TESTS.replace("(trial)", "()").replace("trial.assert_kept()", "pass")
    )
    result = run(suite)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["next:  write  def test_checkout(trial)"])


def test_plugin_loads_nothing_until_it_is_used(suite: pytest.Pytester) -> None:
    suite.makepyfile(
        test_shop="import sys\ndef test():\n"
        "    heavy = {'dbos', 'sqlalchemy', 'rich', 'typer', 'psycopg', 'resumectl.runner'}\n"
        "    assert not heavy & set(sys.modules)\n"
        "    assert 'resumectl.testing.plugin' in sys.modules\n"
    )
    result = suite.runpytest_subprocess(timeout=DEADLINE_S)  # an interpreter of its own
    result.assert_outcomes(passed=1)
    assert not (suite.path / ".resumectl").exists()


@pytest.mark.parametrize("ending", [signal.SIGKILL, signal.SIGINT])
def test_ended_pytest_leaves_nothing(suite: pytest.Pytester, ending: signal.Signals) -> None:
    suite.makepyfile(
        test_shop=TESTS.replace(
            "    trial",
            "    open('begun', 'w').close()\n    import time; time.sleep(600)\n    trial",
        )
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-s"], cwd=suite.path, stdout=subprocess.DEVNULL
    )
    wait_for("a crash test", (suite.path / "begun").exists)
    below = processes_below(process.pid)
    assert len(below) >= 2
    roots = [each for each in Path("/dev/shm").glob("resumectl-sandboxes-*") if is_of(each, below)]
    process.send_signal(ending)
    process.wait(DEADLINE_S)
    wait_for(
        "nothing left", lambda: not any(map(is_there, below)) and not any(r.exists() for r in roots)
    )


def is_of(root: Path, processes: set[int]) -> bool:
    """Return whether one of these processes was given this directory."""
    lines = (Path(f"/proc/{pid}/cmdline").read_bytes() for pid in processes if is_there(pid))
    return any(os.fsencode(root) in line for line in lines)
