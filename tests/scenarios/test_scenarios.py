"""No false alarm: programs of every kind that DBOS offers are swept, and nothing is found.

And no sleeping alarm: a DBOS that is sabotaged in the process under test must come out BROKEN.
"""

from pathlib import Path

import pytest
from conftest import CHECKOUT, Workspace, swept
from scenarios.mistakes import MISTAKES
from scenarios.old_bugs import OLD_BUGS
from shared_trials import Proved, prove

from resumectl.model.target import DOWNTIME_S
from resumectl.model.verdict import Verdict

SCENARIOS = CHECKOUT / "tests" / "scenarios" / "programs.py"


@pytest.mark.parametrize(
    "name",
    [
        "asynchronous",
        "transactions",
        "unusual",
        *(
            pytest.param(name, marks=pytest.mark.long)
            for name in (
                "out_of_time",
                "polling",
                "with_children",
                "messages",
                "stream",
                "sleeping",
                "catching",
                "instance",
                "once",
                "racing",
                "gathering",
                "repaired",
                "paid_slowly",
                "asynchronous_writes",
                "fetching",
            )
        ),
    ],
)
def test_a_correct_program_raises_no_alarm(name: str) -> None:
    proved = prove(SCENARIOS, name)
    assert proved.findings == []
    assert proved.is_kept
    assert len(proved.crash_points) >= 6


# Each of the others shows the same judgement at work.
_WITH_THE_LONG_ONES = frozenset({
    "client_sends_twice", "event_from_memory", "in_a_daemon", "key_behind_a_branch",
    "key_in_two_children", "stock_reckoned_in_the_text", "stream_in_a_step", "timeout_from_memory",
    "told_and_not_sent",
})  # fmt: skip


@pytest.mark.slow
def test_a_program_may_change_its_directory(sqlite_workspace: Workspace, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (sqlite_workspace.directory / "shop.py").write_text(
        f"import os\nfrom dbos import DBOS\nos.chdir({str(elsewhere)!r})\n"
        "@DBOS.workflow()\ndef checkout(): return 1\n"
    )
    found = swept(sqlite_workspace, "shop.py:checkout")
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 4
    assert list(elsewhere.iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "kind"),
    [
        pytest.param(name, kind, marks=pytest.mark.long if name in _WITH_THE_LONG_ONES else [])
        for name, kind in MISTAKES.items()
    ],
)
def test_a_mistake_is_found(name: str, kind: str) -> None:
    proved = prove(CHECKOUT / "tests" / "scenarios" / "mistakes.py", name, until={kind})
    assert Verdict.BROKEN in proved.verdicts
    assert kind in proved.kinds, proved.findings


NAMED_ALIKE = """
from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID
from resumectl import Scenario

@DBOS.dbos_class()
class Publisher(DBOSConfiguredInstance):
    def __init__(self, name):
        super().__init__(config_name=name)

    @DBOS.workflow()
    def publish_batch(self):
        return self.config_name

publisher = Publisher("alpha")

def ask():
    with SetWorkflowID("batch-1"):
        return DBOS.start_workflow(publisher.publish_batch).get_result()

scenario = Scenario(ask)
"""


def test_a_program_may_have_classes_that_are_named_as_resumectls_own(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_text(NAMED_ALIKE)
    proved = prove(tmp_path / "shop.py", "scenario")
    assert proved.is_kept
    assert len(proved.crash_points) == 4


def test_a_message_that_a_client_sends_again_and_nobody_reads_is_an_exposure() -> None:
    proved = prove(SCENARIOS, "paid_again")
    assert proved.is_kept
    assert len(proved.crash_points) >= 8
    exposed = {(each.subject, each.times) for each in proved.exposures}
    assert exposed == {("message to awaiting-1 paid", 2)}


@pytest.mark.long
def test_time_passes_after_the_last_commit_of_the_killed_process(tmp_path: Path) -> None:
    """The trial's own order counts: in the baseline, the message came before the wait for it."""
    proved = prove(SCENARIOS, "paid_late", environ={"REQUESTS": str(tmp_path / "requests")})
    assert proved.is_kept
    explained = {each.plan for each in proved.judgements if each.explained_by_time}
    assert "before:awaiting-1/notified" in explained


def test_equal_values_are_equal_however_they_were_pickled() -> None:
    proved = prove(SCENARIOS, "sharing")
    assert not proved.findings
    assert not proved.not_compared


@pytest.mark.slow
def test_children_with_random_ids_are_killed_as_well() -> None:
    proved = prove(SCENARIOS, "unnamed")
    assert not proved.findings
    assert not proved.not_compared
    assert proved.is_kept
    # Two children and their parent take a first step, and each of them succeeds.
    assert {f"before:*/step-1#{n}" for n in (2, 3)} < set(proved.crash_points)
    assert "after:*/succeeded#3" in proved.crash_points


@pytest.mark.long
def test_children_with_random_ids_are_killed_twice(sqlite_workspace: Workspace) -> None:
    found = swept(sqlite_workspace, f"{SCENARIOS}:unnamed", "--crashes", "2", "--max", "40")
    assert found["verdicts"] == {"KEPT": 40, "BROKEN": 0, "UNSTABLE": 0, "VOID": 0}


@pytest.mark.long
def test_what_is_deleted_as_in_an_uninterrupted_run_is_not_lost() -> None:
    proved = prove(SCENARIOS, "deleting", timeout_s=4)
    # DBOS 3.4.0 waits for ever for the result of a child that is gone, although it had it.
    assert proved.kinds == {"stuck"}
    assert proved.not_compared == []


SABOTAGE = """
import os
import sqlalchemy as sa
from dbos import DBOS
from dbos._sys_db import SystemDatabase
import dbos._dbos

@DBOS.step()
def charge():
    return "charged"

@DBOS.step()
def ship():
    return "shipped"

@DBOS.workflow()
def checkout():
    return [charge(), ship()]

def skip_checkpoint():
    record = SystemDatabase.record_operation_result
    def sabotaged(self, result, *args, **kwargs):
        if result["function_name"] != "charge":
            record(self, result, *args, **kwargs)
    SystemDatabase.record_operation_result = sabotaged

def drop_recovery():
    dbos._dbos.startup_recovery_thread = lambda *args: None

def change_record():
    check = SystemDatabase.check_operation_execution
    def sabotaged(self, workflow_id, number, *args, **kwargs):
        found = check(self, workflow_id, number, *args, **kwargs)
        return None if number == 1 else found
    SystemDatabase.check_operation_execution = sabotaged

def write_twice():
    record = SystemDatabase.record_operation_result
    def sabotaged(self, result, *args, **kwargs):
        record(self, result, *args, **kwargs)
        with self.engine.begin() as connection:
            connection.execute(sa.text("DELETE FROM operation_outputs WHERE function_name = 'ship'"))
        if result["function_name"] == "ship":
            record(self, result, *args, **kwargs)
    SystemDatabase.record_operation_result = sabotaged

globals()[os.environ["SABOTAGE"]]()
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "kind"),
    [
        ("skip_checkpoint", "rerun"),
        ("drop_recovery", "stuck"),
        ("change_record", "rerun"),
        ("write_twice", "duplicated"),
    ],
)
def test_a_sabotaged_dbos_is_found_out(tmp_path: Path, how: str, kind: str) -> None:
    (tmp_path / "shop.py").write_text(SABOTAGE)
    proved = prove(
        tmp_path / "shop.py", "checkout", environ={"SABOTAGE": how}, timeout_s=3, until={kind}
    )
    assert Verdict.BROKEN in proved.verdicts
    assert kind in proved.kinds


_AT_EVERY_TEST = ("executed_by_every_reader",)


@pytest.mark.slow
@pytest.mark.parametrize(
    "bug",
    [
        pytest.param(bug, marks=[] if bug in _AT_EVERY_TEST else pytest.mark.long)
        for bug in OLD_BUGS
    ],
)
def test_a_bug_that_an_older_dbos_had_is_found(bug: str) -> None:
    path = CHECKOUT / "tests" / "scenarios" / "old_bugs.py"
    # Where an hour passes, a lost message may not be told from a wait that timed out.
    waits = bug == "message_consumed_beforehand"
    limit_s, downtime_s = (15, 0.0) if waits else (3, DOWNTIME_S)

    def sweep(**environ: str) -> Proved:
        until = OLD_BUGS[bug] if "BUG" in environ else ()
        return prove(
            path, "scenario", environ=environ, timeout_s=limit_s, downtime_s=downtime_s, until=until
        )

    assert sweep(FOR=bug).findings == []
    proved = sweep(FOR=bug, BUG=bug)
    assert Verdict.BROKEN in proved.verdicts
    assert proved.kinds & OLD_BUGS[bug], proved.findings


@pytest.mark.slow
def test_later_processes_run_the_edited_program(tmp_path: Path) -> None:
    program = """
from dbos import DBOS

@DBOS.step()
def charge():
    return "{word}"

@DBOS.workflow()
def checkout():
    return charge()
"""
    old, new = (tmp_path / f"{word}.py" for word in ("old", "new"))
    for path in (old, new):
        path.write_text(program.replace("{word}", path.stem))
    # What was recorded before the crash stays; what was not is done by the new program.
    proved = prove(old, "checkout", next_path=new)
    assert proved.is_kept
    assert len(proved.crash_points) == 6
    new.write_text(program.replace("charge", "charge_card"))
    proved = prove(old, "checkout", next_path=new)
    assert Verdict.BROKEN in proved.verdicts
    assert proved.kinds == {"failed"}
    assert proved.plans <= {"after:checkout-1/step-1", "before:checkout-1/succeeded"}
