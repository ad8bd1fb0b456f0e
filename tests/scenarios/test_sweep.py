"""Sweep with real kills: the crash matrix of the publisher, and the pitfalls."""

import json
import shlex
import subprocess
import sys

import pytest
from conftest import CHECKOUT, MOSTLY_SQLITE, Ran, Workspace, seconds, swept
from schema_validation import validate

from resumectl.errors import ExitCode
from resumectl.judge.crash_points import sample
from resumectl.model.crash_plan import CrashPlan

# With one pitfall of the collection, and what its mistake is said to show.
ONE_PITFALL = """
import sys
from dataclasses import replace
from resumectl.cli.flows import selftest

name, finding = sys.argv.pop(1), sys.argv.pop(1)
(chosen,) = [each for each in selftest.pitfalls() if each.path.stem == name]
selftest.pitfalls = lambda: [replace(chosen, finding=finding)]

from resumectl.cli import main
main()
"""


@pytest.mark.parametrize(
    ("finding", "caught", "code"),
    [("duplicated", 1, ExitCode.DONE), ("lost", 0, ExitCode.PROMISE_BROKEN)],
)
def test_a_mistake_and_its_twin_are_told_apart(
    sqlite_workspace: Workspace, finding: str, caught: int, code: ExitCode
) -> None:
    pitfall = ("effect_in_the_workflow_body", finding)
    ended = subprocess.run(
        [sys.executable, "-c", ONE_PITFALL, *pitfall, "selftest", "--json"],
        cwd=sqlite_workspace.directory,
        env=sqlite_workspace.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == code, ended
    found = json.loads(ended.stdout)
    validate("selftest", found)
    assert (found["mistakes"], found["twins"], found["false_alarms"]) == (1, 1, 0)
    assert found["caught"] == caught


@pytest.mark.long
def test_every_mistake_is_caught_and_no_twin_raises_an_alarm(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.run("selftest", "--json")
    found = ran.document
    assert [each for each in found["pitfalls"] if not each["as_expected"]] == []
    assert ran.code == ExitCode.DONE
    collection = {path.stem for path in (CHECKOUT / "examples" / "pitfalls").glob("*.py")}
    assert found["twins"] == len(collection) > 14
    assert found["caught"] == found["mistakes"] == len(collection) - 1
    assert found["false_alarms"] == 0


# Guarantee, promise, and what a sweep over every crash point must say of it.
CRASH_MATRIX = [
    ("exactly-once", None, "KEPT"),
    pytest.param("idempotent", None, "KEPT", marks=pytest.mark.long),
    pytest.param("at-least-once", None, "KEPT", marks=pytest.mark.long),
    pytest.param("at-most-once", None, "KEPT", marks=pytest.mark.long),
    # These test the tester.
    ("at-least-once", "exactly-once", "BROKEN"),
    pytest.param("at-most-once", "exactly-once", "BROKEN", marks=pytest.mark.long),
    pytest.param("at-most-once", "at-least-once", "BROKEN", marks=pytest.mark.long),
]


@pytest.mark.slow
@pytest.mark.parametrize(("guarantee", "promise", "verdict"), CRASH_MATRIX)
def test_the_crash_matrix_of_the_publisher(
    sqlite_workspace: Workspace, guarantee: str, promise: str | None, verdict: str
) -> None:
    options = ["--promise", f"delivery={promise}"] if promise else []
    code = ExitCode.DONE if verdict == "KEPT" else ExitCode.PROMISE_BROKEN
    found = swept(sqlite_workspace, "--count", "2", "--guarantee", guarantee, *options, code=code)
    kinds = {(each["kind"], each["subject"].partition("(")[0]) for each in found["findings"]}
    if verdict == "KEPT":
        assert found["verdicts"]["KEPT"] == found["reached"] == found["crash_points"] > 20
    elif guarantee == "at-least-once":
        assert kinds == {("duplicated", "delivery")}
    else:
        assert kinds == {("lost", "delivery")}


@pytest.mark.parametrize(
    ("runs", "messages"), [(2, 6), pytest.param(10, 20, marks=pytest.mark.long)]
)
def test_every_run_has_the_same_crash_points(
    sqlite_workspace: Workspace, runs: int, messages: int
) -> None:
    first, *others = (
        sqlite_workspace.document("points", "--count", str(messages))["crash_points"]
        for _ in range(runs)
    )
    assert all(set(each) == set(first) for each in others)
    assert len(first) == len(set(first)) > 10 * messages


@pytest.mark.long
def test_a_second_crash_while_recovering_changes_nothing(sqlite_workspace: Workspace) -> None:
    found = swept(
        sqlite_workspace, "--count", "2", "--crashes", "2", "--only", "*/step-*", "--max", "20"
    )
    assert found["crashes"] == 2 * found["trials"] == 40


@pytest.mark.slow
def test_a_plan_that_matches_nothing_is_refused_with_the_nearest_names(
    sqlite_workspace: Workspace,
) -> None:
    """And with the line that shows all of them, of the same program."""
    for asked in (("replay", "after:alpha-1/step-99"), ("sweep", "--only", "alpha-1/step-99")):
        ran = sqlite_workspace.run(*asked, "--count", "2")
        assert ran.code == ExitCode.REFUSED
        assert "; the nearest are alpha-1/" in ran.err
        assert "next:  resumectl points --count 2\n" in ran.err


@pytest.mark.slow
def test_a_replay_tells_one_trial_in_its_order(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.run(
        "replay", "after:alpha-1-1/delivered", "--count", "2", "--guarantee", "at-least-once"
    )
    assert ran.code == ExitCode.DONE, ran
    for said in (
        "Process 1",
        "Killed at after:alpha-1-1/delivered (confirmed by the kernel: killed by SIGKILL).",
        "What the crash left in the database",
        "Process 2",
        "Recovered by DBOS: alpha-1",
        "Ran: deliver, alpha-1-",
        "allowed: deliver, alpha-1-1/step-1 happened 2 times",
        "KEPT",
    ):
        assert said in " ".join(ran.out.split()), said
    times = sqlite_workspace.document(
        "replay", "before:alpha-1/step-1", "--count", "2", "--times", "5"
    )
    assert times["outcomes"] == {"KEPT": 5, "BROKEN": 0, "UNSTABLE": 0, "VOID": 0}


BY_CHANCE = """
import os
from dbos import DBOS

@DBOS.step()
def by_truck():
    pass

@DBOS.step()
def by_ship():
    pass

@DBOS.workflow()
def dispatch():
    # By the one in the first process of a place, by the other in the next.
    (by_ship if os.path.exists("been-here") else by_truck)()
    open("been-here", "w").close()
"""


@pytest.mark.slow
def test_a_story_tells_what_dbos_refuses_and_what_to_type_next(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.directory.joinpath("shop.py").write_text(BY_CHANCE)
    ran = sqlite_workspace.run("replay", "before:dispatch-1/succeeded", "shop.py:dispatch")
    assert ran.code == ExitCode.PROMISE_BROKEN, ran
    for said in (
        "One trial of shop.py:dispatch: before:dispatch-1/succeeded",
        "killed just before the commit of dispatch-1/succeeded",
        "is refused",
        "recorded: by_truck",
        "Replayed from their records: nothing. Ran: nothing.",
        "failed: a workflow that succeeds without a crash failed after one",
        "next:  resumectl replay before:dispatch-1/succeeded",
    ):
        assert said in ran.out, said


POLLED = """
import uuid
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario

@DBOS.step()
def ship():
    return "shipped"

def enqueue(workflow_id):
    DBOS.register_queue("shop")
    with SetWorkflowID(workflow_id):
        return DBOS.enqueue_workflow("shop", ship).get_result()

polled = Scenario(request=lambda: enqueue("order-1"))
random = Scenario(request=lambda: enqueue(f"order-{uuid.uuid4()}"))
"""


@pytest.mark.slow
def test_a_process_does_not_end_between_a_commit_and_its_kill(sqlite_workspace: Workspace) -> None:
    """A client that polls for a result reads it before the committing thread kills the process."""
    (sqlite_workspace.directory / "shop.py").write_text(POLLED)
    ran = sqlite_workspace.document(
        "replay", "after:order-1/succeeded", "shop.py:polled", "--times", "20"
    )
    assert ran["outcomes"] == {"KEPT": 20, "BROKEN": 0, "UNSTABLE": 0, "VOID": 0}


@pytest.mark.slow
def test_workflows_that_no_plan_can_name_are_said_to_be_so(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(POLLED)
    for command in ("points", "sweep"):
        ran = sqlite_workspace.run(command, "shop.py:random", "--json")
        assert ran.code == ExitCode.NOTHING_PROVED
        assert "a different id in each run" in ran.document["error"]


def test_a_seed_chooses_the_same_sample_whatever_the_order() -> None:
    plans = [CrashPlan.parse(f"before:shop-1/step-{n}") for n in range(40)]
    chosen = sample(plans, 7, seed=3)
    assert chosen == [plan for plan in plans if plan in chosen]  # in their order
    assert len(chosen) == 7
    assert set(sample(plans[::-1], 7, seed=3)) == set(chosen) != set(sample(plans, 7, seed=4))


@pytest.mark.long
def test_a_sample_and_the_first_broken_promise_end_a_sweep_early(
    sqlite_workspace: Workspace,
) -> None:
    found = swept(sqlite_workspace, "--count", "1", "--max", "3", "--crashes", "2")
    assert (found["trials"], found["crashes"]) == (3, 6) < (found["crash_points"], 7)
    found = swept(
        sqlite_workspace, "--count", "3", "--guarantee", "at-least-once", "--fail-fast",
        "--promise", "delivery=exactly-once", code=ExitCode.PROMISE_BROKEN,
    )  # fmt: skip
    assert 1 <= found["verdicts"]["BROKEN"] < found["trials"] < found["crash_points"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("nowhere.py:checkout",),
        ("checkout",),
        ("shop.py:no name",),
        ("--args", "{}"),
        ("--args", "["),
        ("--env", "NAME"),
        ("--promise", "delivery=sometimes"),
        ("--promise", "delivery=exactly-once", "--promise", "delivery=at-least-once"),
        ("--guarantee", "twice"),
        ("--edge", "beside"),
        ("--crashes", "3"),
        ("--jobs", "0"),
        ("--timeout", "-1"),
        ("--max-sleep", "0"),
        ("--on", "oracle"),
        ("--isolation", "none"),
        ("--count", "0"),
    ],
)
def test_what_cannot_be_swept_is_refused(
    sqlite_workspace: Workspace, arguments: tuple[str, ...]
) -> None:
    ran = sqlite_workspace.run("sweep", *arguments)
    assert ran.code == ExitCode.REFUSED, ran
    assert "next:  " in ran.err
    assert "Traceback" not in ran.err


PROGRAM = """
import os
from dbos import DBOS
DBOS(config={"name": "shop", "system_database_url": "sqlite:///elsewhere.sqlite",
             "executor_id": "mine", "application_version": "7"})
import beside

@DBOS.step()
async def pay(order, amount=0):
    return f"{order} {amount} {os.environ['SHOP']}"

@DBOS.workflow()
async def checkout(order, amount=0):
    await DBOS.set_event_async("state", "paying")
    paid = await pay(order, amount)
    await DBOS.sleep_async(0.01)
    return f"{paid} {beside.NAME}"

DBOS.launch()
"""


def test_a_program_that_launches_at_import_is_swept_unchanged(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(PROGRAM)
    (sqlite_workspace.directory / "beside.py").write_text("NAME = 'found'\n")
    found = swept(
        sqlite_workspace,
        "shop.py:checkout",
        "--args", '["order-1"]',
        "--kwargs", '{"amount": 3}',
        "--env", "SHOP={sandbox}",
    )  # fmt: skip
    assert found["verdicts"]["KEPT"] == found["crash_points"] >= 10
    # Its own database was never touched, and none was made where it was started.
    assert {each.name for each in sqlite_workspace.directory.iterdir()} <= {
        "shop.py", "beside.py", "__pycache__", "resumectl.sqlite", "resumectl.sqlite-processes",
    }  # fmt: skip


RARELY = """
import os
from pathlib import Path
from dbos import DBOS

@DBOS.step()
def look():
    counter = Path(os.environ["COUNTER"])
    counter.write_text(counter.read_text() + ".")
    return "rare" if len(counter.read_text()) % 13 == 4 else "usual"

@DBOS.workflow()
def work():
    return look()
"""


@pytest.mark.slow
def test_what_a_step_rarely_answers_is_no_finding(sqlite_workspace: Workspace) -> None:
    """The 4th call is a trial's; the next one that is rare, the 17th, comes when many runs are asked."""
    (sqlite_workspace.directory / "rarely.py").write_text(RARELY)
    counter = sqlite_workspace.directory / "counter"
    counter.touch()
    found = swept(
        sqlite_workspace, "rarely.py:work", "--env", f"COUNTER={counter}", "--jobs", "1"
    )  # fmt: skip
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 6
    assert "work-1/step-1: output" in found["not_compared"]


@pytest.mark.slow
def test_another_version_is_stuck_and_says_why(sqlite_workspace: Workspace) -> None:
    found = swept(
        sqlite_workspace,
        "--count", "1",
        "--resume-version", "trial-2",
        "--only", "alpha-1/step-1",
        "--timeout", seconds(3),
        code=ExitCode.PROMISE_BROKEN,
    )  # fmt: skip
    stuck = [each for each in found["findings"] if each["kind"] == "stuck"]
    assert any("this process has trial-2" in each["evidence"] for each in stuck)


@pytest.mark.slow
def test_why_dbos_does_not_execute_a_workflow_is_told(sqlite_workspace: Workspace) -> None:
    pitfall = CHECKOUT / "examples" / "pitfalls" / "instance_made_after_launch.py"
    ran = sqlite_workspace.run(
        "replay", "after:sell-1/accepted", f"{pitfall}:mistake", "--timeout", seconds(3), "--json"
    )
    assert ran.code == ExitCode.PROMISE_BROKEN, ran
    (stuck,) = ran.document["findings"]
    assert "DBOS logged: Error executing workflow sell-1" in stuck["evidence"]
    assert "instance 'Shop/late' is not registered" in stuck["evidence"]


def test_dbos_has_every_internal_name_that_the_probe_patches() -> None:
    """Fails where a release of DBOS moves an internal name."""
    code = "from resumectl.probe.dbos_internals import check_names; check_names()"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.slow
def test_the_document_is_one_and_sorted(sqlite_workspace: Workspace) -> None:
    ran: Ran = sqlite_workspace.ok("sweep", "--count", "1", "--only", "*/step-1", "--json")
    document = json.loads(ran.out)
    assert list(document) == sorted(document)
    assert set(document) >= {
        "target", "crash_points", "reached", "crashes", "trials", "verdicts", "findings",
        "exposures", "explained_by_time", "not_compared", "seconds", "trials_per_second",
    }  # fmt: skip


@pytest.mark.slow
@MOSTLY_SQLITE
def test_what_was_observed_is_judged_again_under_other_promises(workspace: Workspace) -> None:
    found = swept(workspace, "--count", "1", "--guarantee", "at-least-once")
    assert found["verdicts"]["KEPT"] == found["trials"] > 10
    number = str(found["sweep"])
    again = workspace.document("check", number)
    assert {k: again[k] for k in ("verdicts", "exposures", "findings", "reached", "crashes")} == {
        k: found[k] for k in ("verdicts", "exposures", "findings", "reached", "crashes")
    }
    ran = workspace.run("check", number, "--promise", "delivery=exactly-once", "--json")
    assert ran.code == ExitCode.PROMISE_BROKEN
    assert {each["subject"] for each in ran.document["findings"]} == {"delivery(message 1)"}
    (kept,) = workspace.document("sweeps")["sweeps"]
    assert kept["trials"] == kept["planned"] == found["trials"]
    assert kept["verdicts"] == found["verdicts"]
    # A sweep of a thousand trials is to stay below 20 MB.
    ((average,),) = workspace.rows("SELECT avg(length(observation)) FROM trials")
    assert average < 20_000
    assert workspace.run("check", "99").code == ExitCode.REFUSED
    # One that has ended cannot be forked, only judged again.
    assert "next:  resumectl check 1  judges" in workspace.ok("resume", "sweep:1").err


@pytest.mark.slow
def test_the_line_that_a_finding_names_shows_it_again(sqlite_workspace: Workspace) -> None:
    """Under the same options, all of them, so that it comes out as it did."""
    script = sqlite_workspace.directory / "shop.py"
    script.write_text(
        "import os\n"
        "from dbos import DBOS\n"
        "@DBOS.step()\n"
        "def charge(order, amount):\n"
        "    return f'{order} {amount} ' + os.environ['SHOP']\n"
        "@DBOS.workflow()\n"
        "def checkout(order, amount=0):\n"
        "    return charge(order, amount)\n"
    )
    said = sqlite_workspace.ok(
        "points", "shop.py:checkout", "--args", '["order 1"]', "--kwargs", '{"amount": 3}',
        "--env", "SHOP=the corner",
    ).err  # fmt: skip
    words = shlex.split(said.partition("next:  resumectl ")[2])
    ran = sqlite_workspace.run(*words, "--promise", "charge=exactly-once")
    assert ran.code == ExitCode.PROMISE_BROKEN, ran
    (line,) = [each for each in ran.out.splitlines() if "see it again with" in each]
    words = shlex.split(line.partition("with  ")[2])
    assert words[:2] == ["resumectl", "replay"]
    again = sqlite_workspace.run(*words[1:], "--json")
    assert again.code == ExitCode.PROMISE_BROKEN, again
    assert {each["kind"] for each in again.document["findings"]} == {"duplicated"}
