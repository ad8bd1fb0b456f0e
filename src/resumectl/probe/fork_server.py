"""Import everything once, and fork one target process for each run.

Run by start.py, as `resumectl.probe.fork_server SOCKET ROOT ISOLATION`. While it forks, it runs no thread
and has no database open. It imports nothing of the program: its children do. It ends when the runner
ends, in any way, and then removes all children, the directory of all sandboxes and their databases.

Requests and replies are lines of JSON on the socket: see `model.orders`.
"""

import ctypes
import gc
import importlib
import json
import math
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

import psycopg

from resumectl.model.codec import any_of, to_json
from resumectl.model.orders import (
    REQUESTS,
    ChildRequest,
    Exited,
    KillProcess,
    Measured,
    MeasureSlowness,
    OwnDatabases,
    Preload,
    Preloaded,
    Reply,
    Request,
    Started,
    WarmedUp,
    WarmUp,
)
from resumectl.model.target import BUILTIN_MODULE
from resumectl.probe import pace
from resumectl.probe.entry import run_request
from resumectl.probe.preload import preload
from resumectl.probe.trial_environment import dbos_config
from resumectl.probe.warm_up import ThreadsLeft, warm_up
from resumectl.storage.owned_databases import drop_owned_by, stop_embedded
from resumectl.text import one_line

_MODULE = "resumectl.probe.fork_server"
_PR_SET_PDEATHSIG = 1  # prctl(2)
# DBOS retries for ever when the disk is full, and reports nothing.
_WARM_UP_MAX_S = 30


class ForkServer:
    """Server that starts target processes on request and reports how they end.

    Args:
        control: Socket to the runner.
        is_forking: Whether a child continues as a copy of this process; else it starts a new interpreter.
    """

    def __init__(self, control: socket.socket, *, is_forking: bool) -> None:
        self._control = control
        self._is_forking = is_forking
        self._owned: OwnDatabases | None = None
        self._children: dict[int, int] = {}  # pid to the request's number

    def serve(self) -> None:
        """Carry out requests until the runner ends."""
        wakeup, signalled = os.pipe()
        os.set_blocking(signalled, False)
        signal.set_wakeup_fd(signalled)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        selector = selectors.DefaultSelector()
        selector.register(self._control, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        rest = b""
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if wakeup in ready:
                os.read(wakeup, 4096)
                self._reap()
            if self._control in ready:
                part = self._received()
                if not part:
                    break
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    self._carry_out(any_of(REQUESTS, json.loads(line)))
        for pid in self._children:
            _kill(pid)
        if self._owned is not None:
            # The database server may have ended with its own owner.
            with suppress(psycopg.OperationalError):
                drop_owned_by(self._owned.owner, self._owned.server_url)

    def _received(self) -> bytes:
        """Return the bytes that the runner sent; empty when it has ended."""
        # The kernel resets the connection if the runner was killed before it read a reply.
        with suppress(ConnectionError):
            return self._control.recv(1 << 16)
        return b""

    def _carry_out(self, request: Request) -> None:
        if isinstance(request, KillProcess):
            self._kill_child(request.number)
        elif isinstance(request, OwnDatabases):
            self._owned = request
        elif isinstance(request, MeasureSlowness):
            self._reply(Measured(request.number, pace.slowness()))
        elif isinstance(request, Preload):
            if self._is_forking:
                preload(request.modules, request.environ)
            self._reply(Preloaded(request.number))
        elif isinstance(request, WarmUp):
            self._reply(self._warmed_up(request))
        else:
            self._start_child(request)

    def _kill_child(self, number: int) -> None:
        for pid, child_number in self._children.items():
            if child_number == number:
                _kill(pid)

    def _start_child(self, request: ChildRequest) -> None:
        pid = os.fork()
        if pid == 0:
            self._be_child(request)
        self._children[pid] = request.number
        self._reply(Started(request.number, pid))

    def _warmed_up(self, request: WarmUp) -> WarmedUp:
        """Run the warm-up; this process must end after an error."""
        if not self._is_forking:
            return WarmedUp(request.number, error="", threads=())
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(math.ceil(pace.stretched(_WARM_UP_MAX_S)))
        # DBOS computes the version, as usual.
        config = dbos_config(request.database_url, None, migrates=request.migrates)
        directory = Path(request.directory)
        try:
            queue = request.publisher_queue
            warm_up(directory, request.database_url, config, queues=[queue] if queue else [])
            if queue:
                # This registers the publisher with DBOS; a target may have a class of its name.
                builtin = importlib.import_module(BUILTIN_MODULE)
                builtin.warm_up_publisher(directory, request.database_url, config)
        except ThreadsLeft as error:
            return WarmedUp(request.number, error="", threads=error.names)
        except Exception as error:  # noqa: BLE001 (reported by the runner)
            return WarmedUp(request.number, error=one_line(error), threads=())
        finally:
            signal.alarm(0)
        gc.collect()
        gc.freeze()  # a child's garbage collector must not touch, and so copy, the shared objects
        return WarmedUp(request.number, error="", threads=())

    def _be_child(self, request: ChildRequest) -> NoReturn:
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            if self._is_forking:
                run_request(request)
            with tempfile.TemporaryFile("w", encoding="utf-8") as file:
                file.write(to_json(request))
                file.seek(0)
                os.set_inheritable(file.fileno(), True)
                # As this process was started, by start.py.
                start = sys.orig_argv[1 : sys.orig_argv.index(_MODULE)]
                command = [sys.executable, *start, "resumectl.probe.entry", str(file.fileno())]
                os.execv(sys.executable, command)
        except BaseException:  # noqa: BLE001 (never back into the loop of `serve`)
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def _reap(self) -> None:
        while True:
            try:
                exited = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if exited is None:
                return
            # Read the kernel's report before the process is reaped; then kill the processes that it started.
            _kill(exited.si_pid)
            os.waitpid(exited.si_pid, 0)
            number = self._children.pop(exited.si_pid)
            self._reply(Exited(number, exited.si_code, exited.si_status))

    def _reply(self, reply: Reply) -> None:
        with suppress(ConnectionError):  # the runner has ended: the next read reports it
            self._control.sendall(to_json(reply).encode() + b"\n")


def _kill(pid: int) -> None:
    # The child leads its own session and process group from its first line on.
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _too_long(_number: int, _frame: object) -> NoReturn:
    raise TimeoutError(f"the warm-up has not ended within {pace.stretched(_WARM_UP_MAX_S):.0f} s")


def main() -> None:
    """Serve the socket of a given descriptor, then delete everything."""
    descriptor, root, isolation = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the runner handles it
    pace.measure()
    try:
        ForkServer(socket.socket(fileno=descriptor), is_forking=isolation == "fork").serve()
    finally:
        stop_embedded(root)
        shutil.rmtree(root, ignore_errors=True)
    os._exit(0)  # a failed warm-up leaves threads; do not wait for them


if __name__ == "__main__":
    main()
