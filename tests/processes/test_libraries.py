"""What a program's libraries cost is paid once, and what a fork would lose is left to the processes."""

import subprocess
import sys
from pathlib import Path

from conftest import DEADLINE_S, Workspace

PROGRAM = """
import sys
WAS_THERE = "wsgiref.simple_server" in sys.modules
import wsgiref.simple_server
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario

@DBOS.workflow()
def work():
    return 1

def ask():
    with SetWorkflowID("work-1"):
        return DBOS.start_workflow(work).get_result()

scenario = Scenario(ask, observe=lambda: WAS_THERE)
"""


def test_every_process_but_the_first_begins_with_the_programs_libraries(
    sqlite_workspace: Workspace,
) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(PROGRAM)
    told = sqlite_workspace.document("replay", "after:work-1/accepted", "shop.py:scenario")
    looks = [
        event["value"]
        for process in told["observation"]["processes"]
        for event in process["events"]
        if event["kind"] == "outside-observed"
    ]
    assert looks == [True]


def test_library_that_fails_or_starts_a_thread_is_not_imported_by_a_fork_server(
    tmp_path: Path,
) -> None:
    modules = {
        "fine": "import os; FOUND = os.environ['FOR_PROCESSES']",
        "failing": "1 / 0",
        "ending": "raise SystemExit",
        "threaded": "import threading, time; threading.Thread(target=time.sleep, args=(9,)).start()",
        "behind_it": "",
    }
    for name, text in modules.items():
        (tmp_path / f"{name}.py").write_text(text)
    program = f"""
import os, sys, threading
sys.path.insert(0, {str(tmp_path)!r})
from resumectl.probe.preload import preload
preload({list(modules)!r}, {{"FOR_PROCESSES": "found"}})
print(sorted({set(modules)!r} & set(sys.modules)), sys.modules["fine"].FOUND)
print(threading.active_count(), "FOR_PROCESSES" in os.environ)
"""
    ran = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        timeout=DEADLINE_S,
    )
    assert ran.stdout.splitlines() == ["['fine'] found", "1 False"], ran
