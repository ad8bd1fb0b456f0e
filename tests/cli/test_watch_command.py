"""`watch` shows what processes do now: once, and live on a terminal of any size."""

import codecs
import fcntl
import os
import pty
import re
import select
import signal
import sqlite3
import struct
import subprocess
import sys
import termios
import time
from contextlib import closing
from dataclasses import replace

import make_docs
import psycopg
import pytest
import sqlalchemy as sa
from conftest import DEADLINE_S, Workspace, wait_for
from in_process import look, seen
from schema_validation import validate

from resumectl.cli.flows.live import Frames
from resumectl.database import open_engine
from resumectl.errors import ExitCode, MachineFailure
from resumectl.publishing.store import live_counts
from resumectl.publishing.store.live_counts import NOTHING, Live, LiveReader
from resumectl.publishing.store.view import viewing
from resumectl.settings import Settings


def test_nothing_is_there_yet(sqlite_workspace: Workspace) -> None:
    assert look(sqlite_workspace, "watch", "--once").out.splitlines()[2:] == [
        "nothing has been published or swept yet"
    ]
    assert not (sqlite_workspace.directory / "resumectl.sqlite").exists()


def test_one_frame_shows_processes_batches_queues_and_sweeps(workspace: Workspace) -> None:
    workspace.ok("publish", "--name", "alpha", "--count", "3")
    assert workspace.run("crash-after", "2", "--count", "9").code == ExitCode.DONE
    found = seen(workspace, "watch", "--once")
    validate("watch", found)
    killed, ended = found["processes"]
    assert (killed["command"], killed["state"], killed["durable"]) == ("crash-after", "killed", 2)
    assert (ended["command"], ended["state"], ended["durable"]) == ("publish", "done", 3)
    assert [
        (b["batch"], b["status"], b["messages"], b["deliveries"]) for b in found["batches"]
    ] == [
        ("alpha-2", "PENDING", 9, 2),
        ("alpha-1", "SUCCESS", 3, 3),
    ]
    (queue,) = [each for each in found["queues"] if each["queue"] == "publisher_queue"]
    assert 1 <= queue["waiting"] + queue["running"] <= 9
    newest = [
        (each["workflow"].rpartition("-")[0], each["process"])
        for each in found["newest_deliveries"]
    ]
    assert newest == [("alpha-2", killed["process"])] * 2 + [("alpha-1", ended["process"])] * 3
    assert killed["in_memory"] >= 2  # a delivery may be counted in memory, and end uncommitted
    text = look(workspace, "watch", "--once").out
    assert re.search(rf"crash-after +killed +{killed['in_memory']} +2 ", text)
    assert "Newest deliveries" in text


def test_process_that_is_stopped_is_frozen(sqlite_workspace: Workspace) -> None:
    process = sqlite_workspace.start("publish", "--count", "50", "--delay", "0.2")

    def state() -> str:
        found = seen(sqlite_workspace, "watch", "--once")["processes"]
        return str(found[0]["state"]) if found and found[0]["in_memory"] else ""

    wait_for("a delivery", lambda: state() == "running")
    os.kill(process.pid, signal.SIGSTOP)
    try:
        wait_for("the stop", lambda: state() == "frozen")
    finally:
        os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert state() == "killed"


def test_counts_of_a_reader_are_those_of_a_new_one(
    sqlite_workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    sqlite_workspace.ok("publish", "--name", "alpha", "--count", "2")
    settings = Settings.resolve(db_url=sqlite_workspace.url)
    engine = open_engine(settings)
    reader = LiveReader(settings)

    def read(by: LiveReader) -> Live:
        with viewing(settings, engine) as view:
            return by.read(view)

    assert read(reader).deliveries == 2
    sqlite_workspace.ok("publish", "--name", "alpha", "--count", "3")
    more = read(reader)
    assert more == read(LiveReader(settings))
    assert (more.deliveries, [b.deliveries for b in more.batches]) == (5, [3, 2])
    # What became visible late is counted when everything is counted again.
    sqlite_workspace.execute("UPDATE deliveries SET id = -1 WHERE id = 1")
    sqlite_workspace.execute("DELETE FROM deliveries WHERE id = 2")
    assert read(reader).deliveries == 5
    monkeypatch.setattr(live_counts, "_COUNT_ALL_EVERY_S", 0.0)
    assert read(reader).deliveries == 3  # an id is never below zero
    engine.dispose()


def test_database_that_is_reset_or_replaced_is_counted_anew(sqlite_workspace: Workspace) -> None:
    workspace = sqlite_workspace
    frames = Frames(Settings.resolve(db_url=workspace.url))
    with frames.opened():
        assert frames.read().live == NOTHING
        workspace.ok("publish", "--name", "alpha", "--count", "3")
        assert frames.read().live.deliveries == 3
        workspace.ok("reset", "--yes")
        workspace.ok("publish", "--name", "alpha", "--count", "5")
        assert [each.deliveries for each in frames.read().live.batches] == [5]
        for file in workspace.directory.glob("*.sqlite*"):
            if file.is_file():
                file.unlink()
        with pytest.raises(MachineFailure, match=r"resumectl\.sqlite is gone"):
            frames.read()
        workspace.ok("publish", "--name", "beta", "--count", "2")
        assert [(b.id, b.deliveries) for b in frames.read().live.batches] == [("beta-1", 2)]


def test_sweep_that_was_killed_is_unfinished_and_repetitions_are_no_trials(
    sqlite_workspace: Workspace,
) -> None:
    (sqlite_workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    target = ("shop.py:checkout", "--args", '["a"]', "--promise", "charge=exactly-once")
    sqlite_workspace.run("sweep", *target)
    (sweep,) = seen(sqlite_workspace, "watch", "--once")["sweeps"]
    assert (sweep["planned"], sweep["verdicts"]["BROKEN"], sweep["state"]) == (8, 1, "ended")
    sqlite_workspace.execute("UPDATE sweeps SET seconds = NULL")
    (sweep,) = seen(sqlite_workspace, "watch", "--once")["sweeps"]
    assert sweep["state"] == "unfinished"


@pytest.mark.parametrize(
    ("options", "error"),
    [
        (("watch",), "watch needs a terminal"),
        (("watch", "--json"), "watch needs a terminal"),
        (("watch", "--every", "0"), "--every 0.0 is not 0.1 to 3600"),
    ],
)
def test_what_cannot_be_watched_is_refused(
    sqlite_workspace: Workspace, options: tuple[str, ...], error: str
) -> None:
    ran = sqlite_workspace.run(*options)
    assert ran.code == ExitCode.REFUSED
    assert error in ran.err or error in ran.out


class Terminal:
    """A terminal on which a command runs, and what it shows."""

    def __init__(self, workspace: Workspace, *arguments: str) -> None:
        self._reader, writer = pty.openpty()
        self.resize(80, 24)
        self.process = workspace.start(*arguments, stdout=writer, stderr=writer)
        os.close(writer)
        self.text = ""
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def resize(self, columns: int, lines: int) -> None:
        size = struct.pack("HHHH", lines, columns, 0, 0)
        fcntl.ioctl(self._reader, termios.TIOCSWINSZ, size)

    def read_until(self, pattern: str) -> str:
        """Return what is shown from now on until it matches."""
        self.text = raw = ""
        deadline = time.monotonic() + DEADLINE_S
        while not re.search(pattern, self.text):
            assert time.monotonic() < deadline, self.text
            if select.select([self._reader], [], [], 1.0)[0]:
                try:
                    part = os.read(self._reader, 1 << 16)
                except OSError:  # nobody holds the other end any longer
                    assert re.search(pattern, self.text), self.text
                    break
                # A sequence may come in two parts. Each frame begins with a move of the cursor to the
                # first line.
                raw += self._decoder.decode(part)
                self.text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", raw.replace("\x1b[H", "\n"))
        return self.text

    def close(self) -> None:
        os.close(self._reader)


def test_lock_of_another_process_is_no_long_wait(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("publish", "--count", "1")
    with closing(sqlite3.connect(sqlite_workspace.directory / "resumectl.sqlite")) as locking:
        locking.execute("PRAGMA locking_mode = EXCLUSIVE")
        locking.execute("BEGIN EXCLUSIVE")
        locking.execute("CREATE TABLE locked (id INTEGER)")
        ran = sqlite_workspace.run("watch", "--once")
        assert ran.code == ExitCode.MACHINE_FAILED
        assert "database is locked" in ran.err
        assert locking.in_transaction


def test_server_may_go_away_and_come_back(postgres_workspace: Workspace) -> None:
    workspace = postgres_workspace
    workspace.ok("publish", "--name", "alpha", "--count", "2")
    terminal = Terminal(workspace, "watch", "--every", "0.2")
    terminal.read_until(r"alpha-1 +SUCCESS +2 +2")
    url = sa.make_url(workspace.url)
    server = url.set(drivername="postgresql", database="postgres")
    admin = server.render_as_string(hide_password=False)
    with psycopg.connect(admin, autocommit=True) as connection:
        allow = f"ALTER DATABASE {url.database} WITH ALLOW_CONNECTIONS"
        connection.execute(f"{allow} false".encode())
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s",
            [url.database],
        )
        shown = terminal.read_until(
            r"(?s)nothing new since then.*not currently\s+accepting\s+connections"
        )
        assert re.search(r"alpha-1 +SUCCESS +2 +2", terminal.read_until("Newest deliveries"))
        assert "Traceback" not in shown
        connection.execute(f"{allow} true".encode())
    workspace.ok("publish", "--name", "alpha", "--count", "3")
    terminal.read_until(r"alpha-2 +SUCCESS +3 +3")
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait() == ExitCode.DONE
    terminal.close()


SIGNALS = f"""
import itertools, os, random, signal, threading, time
from resumectl.cli.flows.live import _until_a_signal

signal.alarm({DEADLINE_S:.0f} // 30)  # its default action ends the process
for _ in range(300):
    with _until_a_signal() as has_come:
        delay_s = random.random() / 1e4
        sender = threading.Thread(
            target=lambda: (time.sleep(delay_s), os.kill(os.getpid(), signal.SIGINT))
        )
        sender.start()
        next(n for n in itertools.count() if has_come(0))
        sender.join()
"""


def test_signal_at_any_moment_is_noticed() -> None:
    ran = subprocess.run([sys.executable, "-c", SIGNALS], check=False)
    assert ran.returncode == 0


def test_database_that_is_gone_leaves_the_last_frame(sqlite_workspace: Workspace) -> None:
    workspace = sqlite_workspace
    workspace.ok("publish", "--name", "alpha", "--count", "2")
    terminal = Terminal(workspace, "watch", "--every", "0.2")
    terminal.read_until(r"alpha-1 +SUCCESS +2 +2")
    file = workspace.directory / "resumectl.sqlite"
    file.rename(workspace.directory / "away")
    terminal.read_until("nothing new since then: resumectl.sqlite is gone")
    shown = terminal.read_until("Newest deliveries")
    assert re.search(r"alpha-1 +SUCCESS +2 +2", shown)
    assert not re.search(r"-\d+\.\d deliveries", shown)
    terminal.process.send_signal(signal.SIGINT)
    assert terminal.process.wait() == ExitCode.DONE
    terminal.close()


def test_terminal_of_any_size_shows_what_comes_until_ctrl_c(sqlite_workspace: Workspace) -> None:
    # COLUMNS would hide the size of the terminal.
    environ = {k: v for k, v in sqlite_workspace.environ.items() if k != "COLUMNS"}
    terminal = Terminal(replace(sqlite_workspace, environ=environ), "watch", "--every", "0.2")
    terminal.read_until("nothing has been published")
    sqlite_workspace.ok("publish", "--name", "alpha", "--count", "3")
    shown = terminal.read_until(r"alpha-1 +SUCCESS +3 +3")
    assert max(len(line) for line in shown.splitlines()) <= 80
    terminal.resize(40, 6)
    terminal.process.send_signal(signal.SIGWINCH)
    # On six lines, one frame after the other shows its first lines. One frame may be of both sizes.
    terminal.read_until("more lines: watch --once")
    frames = terminal.read_until("(?s)more lines: watch --once.*more lines: watch --once")
    _, last = re.split("more lines: watch --once", frames)[:2]
    assert max(len(line) for line in last.splitlines()) <= 40
    assert "3 deliveries" in last
    assert "Newest deliveries" not in last
    terminal.process.send_signal(signal.SIGINT)
    shown = terminal.read_until("Newest deliveries")
    assert terminal.process.wait() == ExitCode.DONE
    terminal.close()
