"""The lab's own limits on a machine that is slow or busy."""

import json
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import DEADLINE_S
from observations import run

from resumectl.judge.experiment import Experiment
from resumectl.model.observation import BASELINE
from resumectl.model.target import Subject
from resumectl.probe import pace
from resumectl.runner.fork_server_client import ZYGOTE_MODULE
from resumectl.runner.trial_runner import BASELINE_TIMEOUT_S, MoreTime, Runner


def on_machine(slowness: float) -> Runner:
    """A runner whose fork servers have started on such a machine."""
    lab: Any = SimpleNamespace(slowness=slowness)
    return Runner(lab, Subject())


def experiment(slowness: float) -> Experiment:
    """An experiment whose uninterrupted runs have taken a second each."""
    return Experiment(on_machine(slowness), {}, [run([("charge", "1")], plan=BASELINE)] * 2)


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
        on_it = experiment(slowness)
        on_it.set_limits(None)
        runners.append(on_it.runner)
    quiet, slow = runners
    assert quiet is not None
    assert slow is not None
    assert (quiet.timeout_s, slow.timeout_s) == (5 + 10, 20 * 5 + 10)
    assert (quiet.patience_s, slow.patience_s) == (1, 20 * 0.3)


def test_limit_of_the_user_is_kept() -> None:
    on_it = experiment(20)
    on_it.set_limits(3)
    assert on_it.runner is not None
    assert on_it.runner.timeout_s == 3


def test_fork_server_measures_its_own_start(tmp_path: Path) -> None:
    root = tmp_path / "root"
    root.mkdir()
    ours, theirs = socket.socketpair()
    with theirs:
        server = subprocess.Popen(
            [sys.executable, "-m", ZYGOTE_MODULE, str(theirs.fileno()), str(root), "fork"],
            pass_fds=(theirs.fileno(),),
        )
    with ours, ours.makefile() as answers:
        ours.sendall(b'{"id": 1, "measure": true}\n')
        assert json.loads(answers.readline())["slowness"] >= 1
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
