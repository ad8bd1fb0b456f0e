"""Start resumectl and pytest in forks of one process that has imported the modules already.

Importing DBOS, SQLAlchemy, typer and rich, and the modules of resumectl, is most of what a short
command costs. The commands of a test are still processes of their own: none has run before, its
environment, directory and streams are its own, and it ends as an interpreter ends. Modules that register
workflows with DBOS are imported by the commands that need them. The fork servers
that such a command starts are forked in the same way, from one process for each hash seed, which is
warmed up already for trials on SQLite.

Run as a script, this file is such a server.
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
import tempfile
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Self

COMMAND = "resumectl"
FORK_SERVER = "resumectl.probe.fork_server"
HASH_SEED = "PYTHONHASHSEED"
_MODULES = {
    COMMAND: (
        "alembic.command", "dbos", "psycopg", "pytest", "pythonjsonlogger.json", "rich.console",
        "rich.progress", "rich.table", "sqlalchemy.dialects.postgresql.psycopg",
        "sqlalchemy.dialects.sqlite", "sqlalchemy.orm", "typer", "typer.testing", "yaml",
        "resumectl.testing.session",
        *(f"resumectl.cli.flows.{each}" for each in ("doctor", "init", "list_workflows", "replay", "report")),
    ),
    # Without what a program under test may import itself.
    FORK_SERVER: (
        "dbos", "psycopg", "sqlalchemy.dialects.postgresql.psycopg", "sqlalchemy.dialects.sqlite",
        "resumectl.probe.entry",
    ),
}  # fmt: skip
# What some releases of typer, and plugins of pytest, import when they are used.
_MODULES_IF_INSTALLED = ("typer._adapters", "trio")
# They register workflows with DBOS, and a process registers only what its command runs.
_REGISTERING = {"resumectl.publishing.publisher", "resumectl.runner.sweep_workflow"}
# Duration of the start of a forked fork server on a quiet machine, in seconds: see `probe.pace`. It
# counts to a number, since a fork alone takes too little time to show that the machine is busy.
_FORKED_START_UP_S = 0.1
_COUNTED_TO = 500_000
# The interpreter, the C library and DBOS read these once, before a command could set them.
_READ_AT_START = ("PYTHON", "LC_", "LANG", "TZ", "DBOS__")
_REQUEST_MAX = 1 << 20  # bytes; an environment is a few thousand


class Forked:
    """A process that a server has forked, with what tests use of `subprocess.Popen`.

    Args:
        reply: Socket on which the server sends the pid and, later, the exit code.
        stdin: Writing end of its standard input; None if the test has none.
        stdout: Reading end of its standard output; None if the test has none.
        stderr: Reading end of its standard error; None if the test has none.
    """

    def __init__(
        self,
        reply: socket.socket,
        stdin: IO[str] | None = None,
        stdout: IO[str] | None = None,
        stderr: IO[str] | None = None,
    ) -> None:
        self._reply = reply
        self.stdin, self.stdout, self.stderr = stdin, stdout, stderr
        self.pid = int(reply.recv(64))
        self.returncode: Any = None
        self._reads: list[_Reading | None] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        for stream in (self.stdin, self.stdout, self.stderr):
            if stream is not None:
                stream.close()
        self.wait()

    def poll(self) -> int | None:
        """Return its exit code, as `subprocess` counts it; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            return self.wait(0)
        return None

    def wait(self, timeout: float | None = None) -> int:
        """Return its exit code; TimeoutExpired if it still runs after so many seconds."""
        if self.returncode is None:
            if not select.select([self._reply], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(str(self.pid), timeout or 0)
            with self._reply:
                self.returncode = int(self._reply.recv(64))
        return int(self.returncode)

    def communicate(
        self, stdin: str | None = None, timeout: float | None = None
    ) -> tuple[str, str]:
        """Return what it has written, when it has ended and every process that inherited a stream."""
        if self._reads is None:
            self._reads = [_Reading(s) if s else None for s in (self.stdout, self.stderr)]
            if self.stdin is not None:
                # A command may end without reading it.
                with suppress(BrokenPipeError), self.stdin:
                    self.stdin.write(stdin or "")
        self.wait(timeout)
        out, err = (each.result() if each else "" for each in self._reads)
        return out, err

    def send_signal(self, number: int) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Send SIGTERM."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Send SIGKILL."""
        self.send_signal(signal.SIGKILL)


class CommandServer:
    """The test's side: one server, begun at the first command."""

    def __init__(self) -> None:
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._environ = dict(os.environ)
        with theirs:
            self._process = _start_server(COMMAND, theirs, os.environ)

    def can_run(self, environ: Mapping[str, str]) -> bool:
        """Return whether a fork would read this environment as a new interpreter does."""
        return _read_at_start(environ) == _read_at_start(self._environ)

    def start(
        self,
        arguments: Sequence[str],
        *,
        module: str,
        directory: Path,
        environ: Mapping[str, str],
        **streams: int | IO[Any],
    ) -> Forked:
        """Start a command.

        Args:
            arguments: What follows the command's name.
            module: Module that `python -m` would run.
            directory: The command's working directory.
            environ: The command's whole environment.
            streams: Its `stdin`, `stdout` and `stderr`, as `subprocess` takes them; without one of
                these an empty input, and pipes to the test.
        """
        order = {
            "module": module,
            "arguments": list(arguments),
            "directory": str(directory),
            "environ": dict(environ),
        }
        ends = [_Stream(name, streams.get(name)) for name in ("stdin", "stdout", "stderr")]
        try:
            reply = _send_order(self._control, order, [end.theirs for end in ends])
        finally:
            for end in ends:
                end.close_theirs()
        return Forked(reply, *(end.ours for end in ends))

    def close(self) -> None:
        """End the server."""
        self._control.close()
        self._process.wait()


class _Stream:
    """A standard stream of a command: their end of it, and the test's if it has one."""

    def __init__(self, name: str, given: int | IO[Any] | None) -> None:
        self.ours: IO[str] | None = None
        self._opened = True
        if given is None and name != "stdin":
            given = subprocess.PIPE
        if given == subprocess.PIPE:
            read, write = os.pipe()
            self.theirs, mine = (read, write) if name == "stdin" else (write, read)
            self.ours = os.fdopen(mine, "w" if name == "stdin" else "r")
        elif given in (None, subprocess.DEVNULL):
            self.theirs = os.open(os.devnull, os.O_RDWR)
        else:
            self._opened = False
            self.theirs = given if isinstance(given, int) else given.fileno()

    def close_theirs(self) -> None:
        if self._opened:
            os.close(self.theirs)


class _Reading:
    """Reads a stream to its end, in a thread."""

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._text = ""
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        with suppress(ValueError), self._stream:  # the test may have closed it
            self._text = self._stream.read()

    def result(self) -> str:
        self._thread.join()
        return self._text


def _read_at_start(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: text for name, text in environ.items() if name.startswith(_READ_AT_START)}


def _send_order(
    server: socket.socket, order: Mapping[str, Any], descriptors: Sequence[int]
) -> socket.socket:
    """Send an order with its descriptors; return the socket on which the server replies."""
    reply, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        passed = [theirs.fileno(), *descriptors]
        socket.send_fds(server, [json.dumps(order).encode()], passed)
    return reply


def _start_server(
    module: str, control: socket.socket, environ: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, __file__, module, str(control.fileno())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        env=environ,
        pass_fds=(control.fileno(),),
    )


# --- the server


class _Seeds:
    """Servers of fork servers, one for each hash seed, which begin when the first order comes."""

    def __init__(self) -> None:
        pairs = {
            seed: socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET) for seed in ("1", "2")
        }
        self.clients = {seed: ours for seed, (ours, _) in pairs.items()}
        self._not_begun = {theirs.fileno(): (seed, theirs) for seed, (_, theirs) in pairs.items()}

    def descriptors(self) -> Sequence[int]:
        """Return the sockets on which an order means that a server is to begin."""
        return list(self._not_begun)

    def begin(self, descriptor: int) -> None:
        """Begin the server that takes the orders of this socket, the one that waits there included."""
        seed, control = self._not_begun.pop(descriptor)
        with control:
            _start_server(FORK_SERVER, control, {**os.environ, HASH_SEED: seed})

    def be_fork(self) -> None:
        """Let this process, a fork of the server, have its fork servers forked."""
        for _, control in self._not_begun.values():
            control.close()
        clients, original = self.clients, subprocess.Popen

        class Popen(original):  # type: ignore[valid-type, misc]
            """Starts every process but a fork server."""

            def __new__(cls, args: Sequence[str], **options: Any) -> Any:
                # Of resumectl's own interpreter: without a directory.
                if list(args[2:4]) == ["", FORK_SERVER] and args[-1] == "fork":
                    return _forked_server(clients[options["env"][HASH_SEED]], args, options)
                return super().__new__(cls)

        subprocess.Popen = Popen  # type: ignore[assignment, misc]


def _forked_server(
    server: socket.socket, args: Sequence[str], options: Mapping[str, Any]
) -> Forked:
    order = {
        "module": FORK_SERVER,
        "arguments": ["{descriptor}", *args[5:]],
        "directory": str(Path.cwd()),
        "environ": dict(options["env"]),
    }
    with Path(os.devnull).open() as empty:
        reply = _send_order(server, order, [empty.fileno(), 2, 2, *options["pass_fds"]])
    return Forked(reply)


def _serve(control: socket.socket, seeds: _Seeds | None) -> dict[str, Any]:
    """Fork for each order until nobody can send one; return the order, in the fork."""
    running: dict[int, tuple[int, socket.socket]] = {}  # of each pidfd: pid, and who waits for it
    while True:
        watched = [control.fileno(), *running, *(seeds.descriptors() if seeds else ())]
        ready: list[int] = select.select(watched, [], [])[0]
        for descriptor in ready:
            if descriptor in running:
                pid, reply = running.pop(descriptor)
                os.close(descriptor)
                with reply, suppress(BrokenPipeError):  # the test may be gone
                    _, status = os.waitpid(pid, 0)
                    reply.send(str(os.waitstatus_to_exitcode(status)).encode())
                continue
            if descriptor != control.fileno():
                assert seeds is not None
                seeds.begin(descriptor)
                continue
            message, descriptors, _, _ = socket.recv_fds(control, _REQUEST_MAX, 8)
            if not message:
                sys.exit()
            pid = os.fork()
            if pid == 0:
                _take_streams(descriptors)
                for open_here in running:
                    os.close(open_here)
                for _, reply in running.values():
                    reply.close()
                control.close()
                if seeds is not None:
                    seeds.be_fork()
                order: dict[str, Any] = json.loads(message)
                if len(descriptors) > 4:
                    order["arguments"][0] = str(descriptors[4])
                return order
            reply = socket.socket(fileno=descriptors[0])
            for stream in descriptors[1:]:
                os.close(stream)
            running[os.pidfd_open(pid)] = pid, reply
            reply.send(str(pid).encode())


def _take_streams(descriptors: Sequence[int]) -> None:
    for number, descriptor in enumerate(descriptors[1:4]):
        os.dup2(descriptor, number)
    for descriptor in descriptors[:4]:
        os.close(descriptor)


def _warm_up() -> None:
    """Warm up for all fork servers that are forked from this process.

    One whose trials are on PostgreSQL, or run the publisher, is still warmed up itself.
    """
    # The names are looked up when a fork server starts: after this.
    from resumectl.probe import template_database, trial_environment, warm_up

    original = warm_up.warm_up
    with tempfile.TemporaryDirectory() as directory:
        url = f"sqlite:///{directory}/warm-up.sqlite"
        template_database.make_template(url, has_publisher=False)
        config = trial_environment.dbos_config(url, None, migrates=False)
        original(Path(directory), url, config)

    def warm_up_for(
        directory: Path, url: str, config: Mapping[str, object], *, queues: Sequence[str] = ()
    ) -> None:
        if queues or not url.startswith("sqlite"):
            warm_up._engine = None
            original(directory, url, config, queues=queues)

    setattr(warm_up, "warm_up", warm_up_for)  # noqa: B010


def main() -> None:
    """Import the modules, serve, and become the ordered module in each fork."""
    kind, control = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))
    for each in _MODULES[kind]:
        importlib.import_module(each)
    if kind == COMMAND:
        for each in filter(find_spec, _MODULES_IF_INSTALLED):
            importlib.import_module(each)
    assert kind != COMMAND or not _REGISTERING & sys.modules.keys()
    if kind == FORK_SERVER:
        _warm_up()
    gc.freeze()  # what is here stays; a fork's collections need not look at it
    order = _serve(control, _Seeds() if kind == COMMAND else None)
    if kind == COMMAND:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    else:
        os.setsid()
    os.chdir(order["directory"])
    os.environ.clear()
    os.environ.update(order["environ"])
    sys.path[0] = order["directory"]  # as `python -m` has it
    sys.argv[:] = [order["module"], *order["arguments"]]
    if kind == FORK_SERVER:
        importlib.import_module("resumectl.probe.pace").START_UP_S = _FORKED_START_UP_S  # type: ignore[attr-defined]
        sum(number * number for number in range(_COUNTED_TO))
    runpy.run_module(order["module"], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
