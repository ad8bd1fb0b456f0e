"""Start commands of resumectl in forks of one process that has imported the libraries already.

Importing DBOS, SQLAlchemy, typer and rich is most of what a short command costs. The commands of
a test are still processes of their own: resumectl's own modules are imported anew in each, its
environment, directory and streams are its own, and it ends as an interpreter ends.

Run as a script, this file is the server. It imports nothing of resumectl.
"""

import gc
import importlib
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, NamedTuple

LIBRARIES = (
    "alembic.command", "dbos", "psycopg", "pythonjsonlogger.json", "rich.console", "rich.progress",
    "rich.table", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite",
    "sqlalchemy.orm", "typer", "typer.testing", "yaml",
)  # fmt: skip
# The interpreter, the C library and DBOS read these once, before a command could set them.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "DBOS")
_REQUEST_MAX = 1 << 20  # bytes; an environment is a few thousand


class Ended(NamedTuple):
    """What a command left behind."""

    code: int
    out: str
    err: str


class CommandServer:
    """The test's side: one server, begun at the first command."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._environ = dict(os.environ)
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                pass_fds=(theirs.fileno(),),
            )

    def can_run(self, environ: Mapping[str, str]) -> bool:
        """Return whether a fork would read this environment as a new interpreter does."""
        return _read_at_start(environ) == _read_at_start(self._environ)

    def run(
        self,
        arguments: Sequence[str],
        *,
        directory: Path,
        environ: Mapping[str, str],
        stdin: str | None,
        timeout_s: float,
    ) -> Ended:
        """Run a command to its end.

        Args:
            arguments: What follows `resumectl`.
            directory: The command's working directory.
            environ: The command's whole environment.
            stdin: Text of its standard input; None for an empty one.
            timeout_s: Longest duration, in seconds; TimeoutError behind it.
        """
        reply, theirs = socket.socketpair()
        pipes = [os.pipe() for _ in range(3)]
        (read_in, write_in), (read_out, write_out), (read_err, write_err) = pipes
        with reply, theirs:
            order = {"arguments": arguments, "directory": str(directory), "environ": dict(environ)}
            descriptors = [read_in, write_out, write_err, theirs.fileno()]
            socket.send_fds(self._control, [json.dumps(order).encode()], descriptors)
            for descriptor in descriptors[:3]:
                os.close(descriptor)
            theirs.close()
            reads = [_Reading(os.fdopen(read)) for read in (read_out, read_err)]
            # A command may end without reading it.
            with suppress(BrokenPipeError), os.fdopen(write_in, "w") as stream:
                stream.write(stdin or "")
            reply.settimeout(timeout_s)
            code = int(reply.recv(64))
            return Ended(code, *(each.result() for each in reads))

    def close(self) -> None:
        """End the server."""
        self._control.close()
        self._process.wait()


class _Reading:
    """Reads a stream to its end, in a thread."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with self._stream:
            self._text = self._stream.read()

    def result(self) -> str:
        self._thread.join()
        return self._text


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environ.items() if name.startswith(_READ_AT_START)}


def _serve(control: socket.socket) -> dict[str, Any]:
    """Fork for each order until the test is gone; return the order, in the fork."""
    running: dict[int, tuple[int, socket.socket]] = {}  # of each pidfd: pid, and who waits for it
    while True:
        ready: list[int] = select.select([control.fileno(), *running], [], [])[0]
        for descriptor in ready:
            if descriptor in running:
                pid, reply = running.pop(descriptor)
                os.close(descriptor)
                with reply:
                    _, status = os.waitpid(pid, 0)
                    reply.send(str(os.waitstatus_to_exitcode(status)).encode())
                continue
            message, descriptors, _, _ = socket.recv_fds(control, _REQUEST_MAX, 4)
            if not message:
                sys.exit()
            *streams, replies = descriptors
            pid = os.fork()
            if pid == 0:
                for number, descriptor in enumerate(streams):
                    os.dup2(descriptor, number)
                for open_here in (*descriptors, *running):
                    os.close(open_here)
                for _, reply in running.values():
                    reply.close()
                control.close()
                order: dict[str, Any] = json.loads(message)
                return order
            for stream in streams:
                os.close(stream)
            running[os.pidfd_open(pid)] = pid, socket.socket(fileno=replies)


def main() -> None:
    """Import the libraries, serve, and become the command in each fork."""
    for library in LIBRARIES:
        importlib.import_module(library)
    gc.freeze()  # what is here stays; a fork's collections need not look at it
    order = _serve(socket.socket(fileno=int(sys.argv[1])))
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environ"])
    sys.path[0] = order["directory"]  # as `python -m` has it
    sys.argv[:] = ["resumectl", *order["arguments"]]
    runpy.run_module("resumectl", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
