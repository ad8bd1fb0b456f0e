"""The experimenter's side of the zygotes: orders go out, the kernel's word comes back.

Knows processes and sockets; imports neither dbos nor a scenario.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from resumectl.errors import MachineFailure

ZYGOTE_MODULE = "resumectl.probe.fork_server"
_END_MAX_S = 5.0


@dataclass(frozen=True, slots=True)
class Ending:
    """How a life ended, as the kernel reports it."""

    pid: int
    signal: int | None
    exit_status: int | None
    in_time: bool  # False: it was ended by the experimenter, whose patience was at an end

    def __str__(self) -> str:
        if not self.in_time:
            return "ended by the experimenter: time was up"
        if self.signal is not None:
            return f"killed by {signal.Signals(self.signal).name}"
        return f"exit status {self.exit_status}"


class Zygote:
    """One zygote: begins lives, and waits for their ends.

    Args:
        root: The directory of all places, which goes when the zygote does.
        hash_seed: Its PYTHONHASHSEED: a set iterates differently in another one.
        isolation: `fork`, or `spawn` for an interpreter of its own for each life.
    """

    def __init__(self, root: Path, hash_seed: int, isolation: str = "fork") -> None:
        self._control, theirs = socket.socketpair()
        environ = {**os.environ, "PYTHONHASHSEED": str(hash_seed)}
        with theirs:
            self._process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    ZYGOTE_MODULE,
                    str(theirs.fileno()),
                    str(root),
                    isolation,
                ],
                stdin=subprocess.DEVNULL,
                stdout=2,
                env=environ,
                pass_fds=(theirs.fileno(),),
                start_new_session=True,  # a Ctrl-C at the terminal is for the experimenter
            )
        self._lock = threading.Lock()
        self._number = 0
        self._is_gone = False
        self._slowness = 1.0
        self._begun: dict[int, int] = {}  # order to pid
        self._ends: dict[int, Future[dict[str, Any]]] = {}
        self._reader = threading.Thread(target=self._read, daemon=True, name="zygote-reader")
        self._reader.start()

    def _read(self) -> None:
        rest = b""
        with suppress(ConnectionResetError):  # how a socket says that its other end is gone
            while part := self._control.recv(1 << 16):
                *lines, rest = (rest + part).split(b"\n")
                for line in lines:
                    answer = json.loads(line)
                    if "pid" in answer:
                        self._begun[answer["id"]] = answer["pid"]
                    else:
                        self._ends.pop(answer["id"]).set_result(answer)
        with self._lock:
            self._is_gone = True
            for end in self._ends.values():
                end.set_exception(_gone())

    def run(
        self,
        told: Mapping[str, Any],
        timeout_s: float,
        has_more_time: Callable[[], bool] = lambda: False,
    ) -> Ending:
        """Begin what is told in a child, and wait until it has ended.

        Args:
            told: What the child is to do.
            timeout_s: Maximum duration, in seconds.
            has_more_time: Asked when that is over: whether it may go on for as long again.

        Raises:
            MachineFailure: The zygote died.
        """
        number, end = self._ask(told)
        while not end.done():
            try:
                end.result(timeout_s)
            except FutureTimeoutError:
                if not has_more_time():
                    break
        in_time = end.done()
        if not in_time:
            with self._lock:
                self._send({"id": number, "kill": True})
        answer = end.result()
        by_signal = answer["code"] in (os.CLD_KILLED, os.CLD_DUMPED)
        return Ending(
            pid=self._begun.pop(number),
            signal=answer["status"] if by_signal else None,
            exit_status=None if by_signal else answer["status"],
            in_time=in_time,
        )

    def rehearse(
        self, database_url: str, directory: Path, *, with_publisher: bool
    ) -> Callable[[], str]:
        """Have it live small lives itself, in its own time; before any other.

        Args:
            database_url: Of a copy of the template.
            directory: Where to be meanwhile.
            with_publisher: Whether resumectl's publisher is to be known in every life.

        Returns:
            What waits for the end of it, and gives what went wrong: nothing, if empty.
        """
        _, end = self._ask(
            {
                "rehearse": database_url,
                "directory": str(directory),
                "publisher": with_publisher,
            }
        )
        return lambda: str(end.result()["error"])

    def slowness(self) -> float:
        """Return how many times slower than on a quiet machine it has started; wait until it has."""
        _, end = self._ask({"measure": True})
        self._slowness = float(end.result()["slowness"])
        return self._slowness

    def preload(self, names: Sequence[str], environ: Mapping[str, str]) -> Callable[[], None]:
        """Have it import libraries, from now on for every life.

        Args:
            names: Of modules.
            environ: What those lives have in their environment.

        Returns:
            What waits for the end of it.
        """
        _, end = self._ask({"preload": list(names), "environ": dict(environ)})

        def wait() -> None:
            end.result()

        return wait

    def _ask(self, told: Mapping[str, Any]) -> tuple[int, Future[dict[str, Any]]]:
        end: Future[dict[str, Any]] = Future()
        with self._lock:
            if self._is_gone:
                raise _gone()
            self._number += 1
            self._ends[self._number] = end
            self._send({**told, "id": self._number})
            return self._number, end

    def take_along(self, databases: Mapping[str, str]) -> None:
        """Have it drop these databases when it ends, however the experimenter dies.

        Args:
            databases: As `Databases.at_death` says.
        """
        with self._lock:
            self._send(databases)

    def _send(self, document: Mapping[str, Any]) -> None:
        try:
            self._control.sendall(json.dumps(document).encode() + b"\n")
        except OSError as error:
            raise _gone() from error

    def close(self) -> None:
        """End it, and every life that it has begun."""
        with suppress(OSError):  # it may be gone already
            self._control.shutdown(socket.SHUT_RDWR)
        try:
            self._process.wait(_END_MAX_S * self._slowness)
        except subprocess.TimeoutExpired:  # in the middle of a rehearsal
            self._process.kill()
            self._process.wait()
        self._reader.join()
        self._control.close()


def _gone() -> MachineFailure:
    return MachineFailure("the process that begins the lives has died", next_step="see above")
