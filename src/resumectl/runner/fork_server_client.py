"""Start a fork server, send it requests, and wait for its replies.

Knows only processes and sockets; does not import dbos.
"""

import json
import os
import socket
import subprocess
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from resumectl.errors import MachineFailure
from resumectl.model.codec import any_of, to_json
from resumectl.model.orders import (
    REPLIES,
    Exited,
    KillProcess,
    MakeTemplate,
    Measured,
    MeasureSlowness,
    OwnDatabases,
    Preload,
    ProcessOrder,
    Reply,
    Request,
    Started,
    StartProcess,
    WarmedUp,
    WarmUp,
)
from resumectl.model.process_exit import ProcessExit
from resumectl.text import shell_word

FORK_SERVER_MODULE = "resumectl.probe.fork_server"
_END_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class ProbeStart:
    """How an interpreter starts a module of the probe.

    Attributes:
        command: Command without the module's name; its first word is the interpreter.
        import_error: File to which an interpreter that cannot import dbos writes the error; None for
            resumectl's own interpreter.
    """

    command: Sequence[str]
    import_error: Path | None


class ForkServerClient:
    """Client of one fork server.

    Args:
        start: How its interpreter starts a module of the probe.
        root: Directory of all sandboxes; the fork server deletes it when it ends.
        hash_seed: PYTHONHASHSEED of the fork server: sets iterate in another order under another seed.
        isolation: `fork`, or `spawn` for a new interpreter for each process.
    """

    def __init__(self, start: ProbeStart, root: Path, hash_seed: int, isolation: str) -> None:
        self._start = start
        self._control, theirs = socket.socketpair()
        environ = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        with theirs:
            self._process = subprocess.Popen(
                [*start.command, FORK_SERVER_MODULE, str(theirs.fileno()), str(root), isolation],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=environ,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # only the runner handles a Ctrl-C at the terminal
            )
        self._lock = threading.Lock()
        self._number = 0
        self._has_exited = False
        self._slowness = 1.0
        self._pids: dict[int, int] = {}  # of each request: its process, and its reply
        self._replies: dict[int, Future[Reply]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True, name="fork-server-reader")
        self._reader.start()

    def _read(self) -> None:
        rest = b""
        with suppress(ConnectionResetError):  # a socket raises these when its other end is closed
            while part := self._control.recv(1 << 16):
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    reply: Reply = any_of(REPLIES, json.loads(line))
                    if isinstance(reply, Started):
                        self._pids[reply.number] = reply.pid
                    else:
                        self._replies.pop(reply.number).set_result(reply)
        with self._lock:
            self._has_exited = True
            for future in self._replies.values():
                future.set_exception(self._failure())

    def run(
        self,
        order: ProcessOrder,
        timeout_s: float,
        has_more_time: Callable[[], bool] = lambda: False,
    ) -> ProcessExit:
        """Start a target process, and wait until it has ended.

        Args:
            order: Order for the process.
            timeout_s: Maximum duration, in seconds.
            has_more_time: Function to call at the time limit; it returns whether to extend the limit by
                the same duration.

        Raises:
            MachineFailure: The fork server has exited.
        """
        return self._run_child(lambda number: StartProcess(number, order), timeout_s, has_more_time)

    def make_template(
        self, database_url: str, timeout_s: float, *, has_publisher: bool, error_file: Path
    ) -> ProcessExit:
        """Migrate an empty database in a child process, and wait until the child has ended.

        Args:
            database_url: URL of the database, with its password.
            timeout_s: Maximum duration, in seconds.
            has_publisher: Whether it gets the publisher's tables.
            error_file: Path of the file to which the child writes its error.

        Raises:
            MachineFailure: The fork server has exited.
        """
        return self._run_child(
            lambda number: MakeTemplate(number, database_url, has_publisher, str(error_file)),
            timeout_s,
            lambda: False,
        )

    def _run_child(
        self,
        request: Callable[[int], Request],
        timeout_s: float,
        has_more_time: Callable[[], bool],
    ) -> ProcessExit:
        number, future = self._request(request)
        while not future.done():
            try:
                future.result(timeout_s)
            except FutureTimeoutError:
                if not has_more_time():
                    break
        in_time = future.done()
        if not in_time:
            with self._lock:
                self._send(KillProcess(number))
        exited = cast(Exited, future.result())
        pid = self._pids.pop(number)
        return ProcessExit.reported(pid, exited.code, exited.status, in_time=in_time)

    def warm_up(
        self, database_url: str, directory: Path, *, publisher_queue: str | None, migrates: bool
    ) -> Callable[[], WarmedUp]:
        """Make the fork server run small workflows itself, before any target process.

        Args:
            database_url: URL of a copy of the template, with its password.
            directory: Working directory during the warm-up.
            publisher_queue: Queue of resumectl's publisher, if the publisher runs too; else None.
            migrates: Whether DBOS migrates the database, since another release has made it.

        Returns:
            A function that waits for the end of the warm-up, and returns how it ended.
        """
        _, future = self._request(
            lambda number: WarmUp(number, database_url, str(directory), publisher_queue, migrates)
        )
        return lambda: cast(WarmedUp, future.result())

    def slowness(self) -> float:
        """Wait until the fork server has started; return the factor by which that took longer than usual."""
        _, future = self._request(MeasureSlowness)
        self._slowness = cast(Measured, future.result()).slowness
        return self._slowness

    def preload(self, modules: Sequence[str], environ: Mapping[str, str]) -> Callable[[], None]:
        """Make the fork server import libraries for all later target processes.

        Args:
            modules: Full names of the modules.
            environ: Environment variables of those processes.

        Returns:
            A function that waits for the end of the imports.
        """
        _, future = self._request(lambda number: Preload(number, tuple(modules), dict(environ)))

        def wait() -> None:
            future.result()

        return wait

    def own_databases(self, order: OwnDatabases) -> None:
        """Make the fork server drop databases when it ends, in whatever way the runner ends.

        Args:
            order: Owner of the databases.
        """
        with self._lock:
            self._send(order)

    def _request(self, request: Callable[[int], Request]) -> tuple[int, "Future[Reply]"]:
        future: Future[Reply] = Future()
        with self._lock:
            if self._has_exited:
                raise self._failure()
            self._number += 1
            self._replies[self._number] = future
            self._send(request(self._number))
            return self._number, future

    def _send(self, request: Request) -> None:
        try:
            self._control.sendall(to_json(request).encode() + b"\n")
        except OSError as error:
            raise self._failure() from error

    def _failure(self) -> MachineFailure:
        error = self._start.import_error
        if error is not None and error.exists():
            python = self._start.command[0]
            return MachineFailure(
                f"{python} cannot import dbos: {error.read_text()}",
                next_step=f"see why:  {shell_word(python)} -c 'import dbos'",
            )
        try:
            ending = f"status {self._process.wait(_END_MAX_S)}"
        except subprocess.TimeoutExpired:
            ending = "its socket is closed"
        return MachineFailure(
            f"the fork server exited ({ending})",
            next_step="its error output is above; run the command again",
        )

    def close(self) -> None:
        """End the fork server, and all processes that it has started."""
        with suppress(OSError):  # it may have ended already
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_END_MAX_S * self._slowness)
        except subprocess.TimeoutExpired:  # during a warm-up
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._control.close()
