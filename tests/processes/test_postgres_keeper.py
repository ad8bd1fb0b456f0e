"""The PostgreSQL server of the tests ends with its last user, however that ends."""

import os
import signal
import subprocess
import sys
import uuid
from pathlib import Path

import pytest
from conftest import wait_for

TESTS = Path(__file__).parents[1]
USER = """
import sys
import psycopg
from postgres_keeper import shared_postgres
with shared_postgres(sys.argv[1]) as url:
    with psycopg.connect(url) as connection:
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
        print(*connection.execute("SHOW data_directory").fetchone(), flush=True)
    sys.stdin.read()
"""


def start_user(name: str) -> tuple["subprocess.Popen[str]", Path]:
    """Return a process that uses the server of a name, and the server's directory."""
    process = subprocess.Popen(
        [sys.executable, "-c", USER, name],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(TESTS)},
    )  # fmt: skip
    assert process.stdout is not None
    return process, Path(process.stdout.readline().strip())


def server_pid(directory: Path) -> int:
    return int((directory / "postmaster.pid").read_text().split()[0])


def is_running(pid: int) -> bool:
    return Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_server_ends_when_its_last_user_is_killed(end: signal.Signals) -> None:
    name = uuid.uuid4().hex
    (starter, directory), (second, same_directory) = start_user(name), start_user(name)
    pid = server_pid(directory)
    assert same_directory == directory
    starter.send_signal(end)
    starter.wait()
    assert second.poll() is None
    assert is_running(pid)
    second.send_signal(end)
    second.wait()
    wait_for("the server has ended", lambda: not is_running(pid))
    wait_for("its directory is removed", lambda: not directory.exists())


def test_server_has_ended_when_its_starter_returns() -> None:
    process, directory = start_user(uuid.uuid4().hex)
    pid = server_pid(directory)
    process.communicate("")
    assert process.returncode == 0
    assert not directory.exists()
    wait_for("the kernel has forgotten it", lambda: not is_running(pid))
