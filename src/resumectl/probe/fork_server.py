"""A process that has imported everything, and begins one child for every life.

Run as `python -m resumectl.probe.fork_server SOCKET ROOT ISOLATION`. Where it forks its children, it
runs no thread and has no database open; and it imports no scenario: that is the child's. It
ends with its experimenter, however that dies, and takes every child, the directory of all
places and their databases with it.

Orders and answers are lines of JSON on the socket:

    {"id": 1, "order": {…}}           begin a life;    answered by {"id": 1, "pid": …}
    {"id": 1, "kill": true}           end it
    {"id": 1, "measure": true}        answered by {"id": 1, "slowness": …}; see `pace`
    {"id": 1, "template": URL}        migrate a database in a child of its own
    {"id": 1, "rehearse": URL, "directory": …, "publisher": …}  live small lives itself, before
                                      all others, the publisher's among them or not;
                                      answered by {"id": 1, "error": …}, empty if it went well
    {"id": 1, "preload": [name, …], "environ": {…}}  import these libraries itself;
                                      answered by {"id": 1}
    {"id": 1, "code": …, "status": …}  what the kernel says of a child's end
    {"server": URL, "owner": …}       whose databases are to go in the end
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
from typing import Any, NoReturn

import psycopg

from resumectl.probe import pace
from resumectl.probe.entry import become
from resumectl.probe.preload import preload
from resumectl.probe.target_process import config_of
from resumectl.probe.warm_up import rehearse
from resumectl.publishing.dbos_tables import QUEUE_NAME
from resumectl.runner.postgres_sandbox import drop_owned_by, stop_embedded
from resumectl.text import one_line

_PR_SET_PDEATHSIG = 1  # prctl(2)
_PUBLISHER_MODULE = "resumectl.publishing.scenario"
# DBOS tries again for ever where the disk is full, and nobody would hear of it.
_REHEARSAL_MAX_S = 30


class Zygote:
    """Begins lives as it is told, and tells how they end.

    Args:
        control: Its end of the experimenter's socket.
        is_forking: Whether a child goes on as a copy of this process, or as a new interpreter.
    """

    def __init__(self, control: socket.socket, *, is_forking: bool) -> None:
        self._control = control
        self._is_forking = is_forking
        self._owned: tuple[str, str] | None = None  # the server's URL, and the owner there
        self._children: dict[int, int] = {}  # pid to the order's id

    def serve(self) -> None:
        """Until the experimenter is gone."""
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
                    self._obey(json.loads(line))
        for pid in self._children:
            _kill(pid)
        if self._owned is not None:
            with suppress(psycopg.OperationalError):  # the server has ended, as its own has
                drop_owned_by(self._owned[1], self._owned[0])

    def _received(self) -> bytes:
        """Return what the experimenter sent; empty once it is gone."""
        # Where it was killed with an answer unread, the kernel resets the connection.
        with suppress(ConnectionError):
            return self._control.recv(1 << 16)
        return b""

    def _obey(self, told: dict[str, Any]) -> None:
        if told.get("kill"):
            for pid, number in self._children.items():
                if number == told["id"]:
                    _kill(pid)
            return
        if "owner" in told:
            self._owned = told["server"], told["owner"]
            return
        if "measure" in told:
            self._answer({"id": told["id"], "slowness": pace.slowness()})
            return
        if "preload" in told:
            if self._is_forking:
                preload(told["preload"], told["environ"])
            self._answer({"id": told["id"]})
            return
        if "rehearse" in told:
            error = self._rehearse(
                told["rehearse"], Path(told["directory"]), with_publisher=told["publisher"]
            )
            self._answer({"id": told["id"], "error": error})
            return
        pid = os.fork()
        if pid == 0:
            self._be_child(told)
        self._children[pid] = told["id"]
        self._answer({"id": told["id"], "pid": pid})

    def _rehearse(self, database_url: str, directory: Path, *, with_publisher: bool) -> str:
        """What went wrong; after that, this process is good for nothing but its end."""
        if not self._is_forking:
            return ""
        signal.signal(signal.SIGALRM, _too_long)
        signal.alarm(math.ceil(pace.stretched(_REHEARSAL_MAX_S)))
        config = config_of(database_url, "rehearsal")
        try:
            rehearse(directory, database_url, config, queues=[QUEUE_NAME] if with_publisher else [])
            if with_publisher:
                # Registers the publisher with DBOS: a program under test may have one of its own.
                importlib.import_module(_PUBLISHER_MODULE).rehearse_publisher(
                    directory, database_url, config
                )
        except Exception as error:  # noqa: BLE001 (told by whoever gave the order)
            return one_line(error)
        finally:
            signal.alarm(0)
        gc.collect()
        gc.freeze()  # so that no child's collector touches, and copies, what all have in common
        return ""

    def _be_child(self, told: dict[str, Any]) -> NoReturn:
        try:
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            os.setsid()
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._control.close()
            if self._is_forking:
                become(told)
            with tempfile.TemporaryFile("w", encoding="utf-8") as file:
                json.dump(told, file)
                file.seek(0)
                os.set_inheritable(file.fileno(), True)
                command = [sys.executable, "-m", "resumectl.probe.entry", str(file.fileno())]
                os.execv(sys.executable, command)
        except BaseException:  # noqa: BLE001 (never back into the loop of `serve`)
            sys.excepthook(*sys.exc_info())
            os._exit(1)

    def _reap(self) -> None:
        while True:
            try:
                seen = os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            except ChildProcessError:
                return
            if seen is None:
                return
            # What the kernel says, before anything collects it; then whatever it had begun.
            _kill(seen.si_pid)
            os.waitpid(seen.si_pid, 0)
            number = self._children.pop(seen.si_pid)
            self._answer({"id": number, "code": seen.si_code, "status": seen.si_status})

    def _answer(self, document: dict[str, Any]) -> None:
        with suppress(ConnectionError):  # nobody is there to hear it: the next read says so
            self._control.sendall(json.dumps(document).encode() + b"\n")


def _kill(pid: int) -> None:
    # The child leads a session and a group of its own, from its first line on.
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def _too_long(_number: int, _frame: object) -> NoReturn:
    raise TimeoutError(f"a rehearsal has not ended within {pace.stretched(_REHEARSAL_MAX_S):.0f} s")


def main() -> None:
    """Serve the socket whose descriptor is given, then leave nothing behind."""
    descriptor, root, isolation = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the experimenter decides
    pace.measure()
    try:
        Zygote(socket.socket(fileno=descriptor), is_forking=isolation == "fork").serve()
    finally:
        stop_embedded(root)
        shutil.rmtree(root, ignore_errors=True)
    os._exit(0)  # a rehearsal that failed has left threads, for which nobody waits


if __name__ == "__main__":
    main()
