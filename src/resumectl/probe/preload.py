"""Import a program's libraries once, in the fork server, instead of in every target process.

A target process reports which libraries the program has imported. Without this, each process of a
program on a web framework spends most of its time importing the framework. The program's own files
and packages that use DBOS are left out: each process imports them under its own configuration.
"""

import gc
import importlib
import json
import math
import os
import signal
import sys
import types
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from resumectl.probe import pace
from resumectl.probe.user_code import INSTALLED

_IMPORT_MAX_S = 120


def libraries_since(before: Collection[str]) -> list[str]:
    """Return the library modules imported since an earlier moment, in the order of their import.

    Args:
        before: Names of the modules that were imported at that moment.
    """
    found = [name for name in list(sys.modules) if name not in before]
    of_dbos = {name.partition(".")[0] for name in found if _knows_dbos(sys.modules[name])}
    return [n for n in found if n.partition(".")[0] not in of_dbos and _is_installed(n)]


def _knows_dbos(module: object) -> bool:
    for value in list(getattr(module, "__dict__", {}).values()):
        name = None
        if isinstance(value, types.ModuleType):
            name = value.__name__
        elif isinstance(value, type | types.FunctionType):
            name = value.__module__
        if isinstance(name, str) and name.partition(".")[0] in ("dbos", "resumectl"):
            return True
    return False


def _is_installed(name: str) -> bool:
    spec = getattr(sys.modules[name], "__spec__", None)
    return spec is not None and spec.name == name and str(spec.origin).startswith(INSTALLED)


def preload(names: Sequence[str], environ: Mapping[str, str]) -> None:
    """Import libraries in this process, from which target processes are forked.

    A discarded child process tries first. A library that cannot be imported here, or that starts a
    thread which a fork would lose, is left to the target processes.

    Args:
        names: Full names of the modules.
        environ: Environment variables of the target processes.
    """
    wanted = [name for name in names if name not in sys.modules]
    with _with(environ):
        for name in _harmless(wanted):
            with suppress(Exception):
                importlib.import_module(name)
    gc.collect()
    gc.freeze()


@contextmanager
def _with(environ: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _harmless(names: Sequence[str]) -> list[str]:
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(reader)
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(math.ceil(pace.stretched(_IMPORT_MAX_S)))
            silent = os.open(os.devnull, os.O_WRONLY)
            os.dup2(silent, 1)
            os.dup2(silent, 2)
            with os.fdopen(writer, "w") as pipe:
                json.dump(list(_imported(names)), pipe)
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        text = pipe.read()
    os.waitpid(pid, 0)
    return list(json.loads(text)) if text else []


def _imported(names: Sequence[str]) -> Iterator[str]:
    for name in names:
        is_there = _can_be_imported(name)
        if len(list(Path("/proc/self/task").iterdir())) > 1:
            return
        if is_there:
            yield name


def _can_be_imported(name: str) -> bool:
    try:
        importlib.import_module(name)
    except BaseException:  # noqa: BLE001 (the target processes import it, and report the error)
        return False
    return True
