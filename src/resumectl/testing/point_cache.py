"""Keep the crash points of targets, so that collecting an unchanged target runs nothing."""

import fcntl
import hashlib
import json
import os
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from resumectl import __version__
from resumectl.errors import Refusal
from resumectl.model.codec import to_plain
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.events import EVENT_SCHEMA
from resumectl.model.sweep_spec import SweepSpec
from resumectl.runner.lab_directory import make_lab_directory

_METADATA = (".dist-info", ".egg-info")


class PointCache:
    """Files with crash points, one for each target.

    Args:
        directory: Directory of resumectl's files in the project.

    Attributes:
        is_writable: Whether something can be kept there; known once it was `locked`.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.is_writable = True

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Let only one process find crash points at a time; the others read what it has found."""
        descriptor = self._open_lock()
        if descriptor is None:
            yield
            return
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _open_lock(self) -> int | None:
        """Return the descriptor of the lock file; None if nothing can be kept here."""
        try:
            make_lab_directory(self._directory)
            flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
            return os.open(self._directory / "lock", flags, 0o600)
        except OSError as error:
            self.is_writable = False
            warnings.warn(
                f"crash points are found in each session, since {self._directory} cannot be "
                f"written: {error.strerror}",
                stacklevel=2,
            )
            return None

    def get(self, spec: SweepSpec) -> list[CrashPlan] | None:
        """Return the crash points of a target; None if they are unknown, or its sources have changed.

        Args:
            spec: Sweep spec of the target.
        """
        try:
            stored = json.loads(self._file(spec).read_text(encoding="utf-8"))
            if not all(_digest(Path(file)) == digest for file, digest in stored["sources"].items()):
                return None
            return [CrashPlan.parse(plan) for plan in stored["plans"]]
        except (OSError, ValueError, KeyError, TypeError, Refusal):
            return None  # missing, or damaged: they are found again

    def put(self, spec: SweepSpec, plans: Sequence[CrashPlan], sources: Mapping[str, str]) -> None:
        """Keep the crash points of a target, if something can be kept here.

        Args:
            spec: Sweep spec of the target.
            plans: One plan for each crash point.
            sources: Imported files of the program, with their digests.
        """
        file = self._file(spec)
        if not self.is_writable:
            return
        file.parent.mkdir(exist_ok=True)
        # Written beside it and renamed: a reader, or a kill, never meets half a file.
        part = file.with_suffix(f".{os.getpid()}")
        content = {"target": str(spec.target), "plans": list(map(str, plans)), "sources": sources}
        part.write_text(json.dumps(content, indent=1), encoding="utf-8")
        part.replace(file)

    def _file(self, spec: SweepSpec) -> Path:
        # Neither promises nor the choice of trials change the crash points.
        own = replace(spec, promises={}, trials_max=None, seed=0, timeout_s=None)
        parts = [__version__, EVENT_SCHEMA, to_plain(own), _installed()]
        key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:24]
        return self._directory / "crash-points" / f"{key}.json"


def _digest(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _installed() -> list[str]:
    """Return the installed libraries with their releases.

    These are in the names of the directories of their metadata. Reading the metadata itself, as
    `importlib.metadata` does, takes 0.1 s for a hundred libraries, in each session and for each target.
    """
    found: set[str] = set()
    for place in sys.path:
        with suppress(OSError):  # as for imports: a path may be missing, or an archive
            found |= {each.name for each in Path(place).iterdir() if each.suffix in _METADATA}
    return sorted(found)
