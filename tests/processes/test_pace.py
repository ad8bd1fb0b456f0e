"""Resumectl's own limits on a machine that is slow or busy."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from builders import run
from conftest import DEADLINE_S

from resumectl.judge.judge import Judge
from resumectl.model.codec import any_of, to_json
from resumectl.model.observation import BASELINE
from resumectl.model.orders import REPLIES, Measured, MeasureSlowness
from resumectl.model.target import Target
from resumectl.probe import pace
from resumectl.runner.baseline_runs import BaselineRuns
from resumectl.runner.fork_server_client import FORK_SERVER_MODULE
from resumectl.runner.trial_runner import BASELINE_TIMEOUT_S, MoreTime, TrialRunner


def on_machine(slowness: float) -> TrialRunner:
    """A runner whose fork servers have started on such a machine."""
    pool: Any = SimpleNamespace(slowness=slowness)
    return TrialRunner(pool, Target())


def baseline_runs(slowness: float) -> BaselineRuns:
    """Uninterrupted runs that have taken a second each."""
    runs = (run([("charge", "1")], plan=BASELINE),) * 2
    return BaselineRuns(on_machine(slowness), Judge({}, runs))


def test_limits_are_as_written_on_a_quiet_machine() -> None:
    assert pace.slowness_of(0.4) == 1
    assert pace.stretched(2) == 2
    assert on_machine(1).timeout_s == BASELINE_TIMEOUT_S


def test_limits_grow_with_the_time_that_a_start_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace.slowness_of(20 * pace.START_UP_S) == 20
    monkeypatch.setattr(pace, "_slowness", 20.0)
    assert pace.stretched(0.5) == 10
    assert on_machine(20).timeout_s == 20 * BASELINE_TIMEOUT_S


def test_limits_of_later_processes_grow_beyond_the_baseline() -> None:
    runners = []
    for slowness in (1, 20):
        runs = baseline_runs(slowness)
        runs.set_up_runner(None)
        runners.append(runs.runner)
    quiet, slow = runners
    assert (quiet.timeout_s, slow.timeout_s) == (5 + 10, 20 * 5 + 10)
    assert (quiet.patience_s, slow.patience_s) == (1, 20 * 0.3)


def test_limit_of_the_user_is_kept() -> None:
    runs = baseline_runs(20)
    runs.set_up_runner(3)
    assert runs.runner.timeout_s == 3


def test_fork_server_measures_its_own_start(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    ours, theirs = socket.socketpair()
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", FORK_SERVER_MODULE, str(theirs.fileno()), str(root), "fork"],
            pass_fds=(theirs.fileno(),),
        )
    with ours, ours.makefile() as answers:
        ours.sendall(to_json(MeasureSlowness(1)).encode() + b"\n")
        reply = any_of(REPLIES, json.loads(answers.readline()))
        assert isinstance(reply, Measured)
        assert reply.slowness >= 1
    assert server.wait(DEADLINE_S) == 0


def test_a_process_gets_more_time_only_while_it_records_what_it_does(tmp_path: Path) -> None:
    record = tmp_path / "record"
    more = MoreTime(record, 3)
    assert not more.is_granted()  # it has not begun
    for line in "ab":
        with record.open("a") as file:
            file.write(line)
        assert more.is_granted()
    assert not more.is_granted()  # it records nothing more
    record.write_text("abc")
    assert not MoreTime(record, 0).is_granted()
    last = MoreTime(record, 1)
    assert last.is_granted()
    record.write_text("abcd")
    assert not last.is_granted()  # it has had all
