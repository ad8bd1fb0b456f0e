"""Find out which processes are running, by a lock that ends with its process.

A process holds one lock for its executor id. On SQLite the lock is `flock` on a file beside the
database: the kernel releases it with the process. On PostgreSQL it is a session's advisory lock: the
server releases it with the connection, so it works across hosts. A stopped process still holds its
lock, as it should. There is no heartbeat, and no guess by pid.
"""

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from resumectl.database import open_engine
from resumectl.settings import Settings


@dataclass(frozen=True, slots=True)
class Held:
    """The executor ids that were held at one moment, and their processes."""

    # Id of each holder in the table `processes`; None while the holder has no row there.
    _processes: Mapping[str | int, int | None]
    _key: Callable[[str], str | int]

    def __contains__(self, executor_id: object) -> bool:
        return isinstance(executor_id, str) and self._key(executor_id) in self._processes

    def process(self, executor_id: str) -> int | None:
        """Return the id of the process that holds the executor id; None if it has none yet."""
        return self._processes.get(self._key(executor_id))

    @property
    def is_empty(self) -> bool:
        """Whether no process holds a lock; a reset does not count."""
        return not self._processes.keys() - {self._key(RESET)}


# Held by a reset, in place of an executor id; no executor id has a colon.
RESET = "reset:"


class ExecutorLocks(Protocol):
    """The locks of one database: at most one process holds the lock of an executor id."""

    def acquire(self, executor_id: str) -> bool:
        """Take the lock of an executor id, until `release` or until this process ends.

        Returns:
            False if the lock is held already.
        """

    def set_process(self, executor_id: str, process_id: int) -> None:
        """Publish which row of `processes` this holder of the executor id has.

        It is called before that row is committed. A process that only takes over work of an
        executor id holds the lock too, and never calls this.
        """

    def release(self, executor_id: str) -> None:
        """Release the lock of an executor id."""

    def holds(self, executor_id: str) -> bool:
        """Return whether this process certainly still has the lock: a connection can be lost."""

    def held(self) -> Held:
        """Return which locks are held, those of this process included; take none."""

    def close(self) -> None:
        """Release all locks."""


def executor_locks(settings: Settings) -> ExecutorLocks:
    """Return the locks of the database that the settings name."""
    if settings.is_sqlite:
        return FileLocks(settings.sqlite_path)
    return AdvisoryLocks(settings)


_SUFFIX = ".lock"


class FileLocks:
    """`flock` on one file for each executor id, in the directory FILE-processes beside the database."""

    def __init__(self, database: Path) -> None:
        self._directory = database.with_name(database.name + "-processes")
        self._held: dict[str, int] = {}

    def acquire(self, executor_id: str) -> bool:
        if executor_id in self._held:
            return False
        self._directory.mkdir(exist_ok=True)
        with self._guard():
            descriptor = os.open(self._path(executor_id), os.O_RDWR | os.O_CREAT, 0o644)
            if _try_flock(descriptor):
                os.truncate(descriptor, 0)  # the id of the process that held it before
                self._held[executor_id] = descriptor
                return True
            os.close(descriptor)
            return False

    def set_process(self, executor_id: str, process_id: int) -> None:
        os.pwrite(self._held[executor_id], f"{process_id}\n".encode(), 0)

    def release(self, executor_id: str) -> None:
        os.close(self._held.pop(executor_id))

    def holds(self, executor_id: str) -> bool:
        descriptor = self._held.get(executor_id)
        # A lock on a deleted file excludes nobody.
        return descriptor is not None and os.fstat(descriptor).st_nlink > 0

    def held(self) -> Held:
        found: dict[str | int, int | None] = {}
        if self._directory.is_dir():
            with self._guard():
                for path in self._directory.glob(f"*{_SUFFIX}"):
                    text = _read_if_locked(path)
                    if text is not None:
                        number = text.strip()
                        found[path.name.removesuffix(_SUFFIX)] = int(number) if number else None
        return Held(found, lambda executor_id: executor_id)

    def close(self) -> None:
        for executor_id in list(self._held):
            self.release(executor_id)

    def _path(self, executor_id: str) -> Path:
        return self._directory / f"{executor_id}{_SUFFIX}"

    @contextmanager
    def _guard(self) -> Iterator[None]:
        # Reading a lock means taking it for a moment. A process that begins in that moment would
        # see its executor id held. So only one process at a time reads or takes locks.
        descriptor = os.open(self._directory / "guard", os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _read_if_locked(path: Path) -> str | None:
    """Return the text in a lock file; None if nobody holds the lock."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return None
    try:
        return None if _try_flock(descriptor) else os.read(descriptor, 32).decode()
    finally:
        os.close(descriptor)


def _try_flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class AdvisoryLocks:
    """`pg_try_advisory_lock` with one key for each executor id, on a connection of its own."""

    def __init__(self, settings: Settings) -> None:
        # Outside any transaction: a session that is idle in one may be ended by the server.
        engine = open_engine(settings).execution_options(isolation_level="AUTOCOMMIT")
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._held: set[str] = set()
        self._processes: dict[str, int] = {}

    def acquire(self, executor_id: str) -> bool:
        if executor_id in self._held:
            return False  # PostgreSQL would grant it again to the same session
        taken = self._ask(sa.func.pg_try_advisory_lock(_lock_key(executor_id)))
        if taken:
            self._held.add(executor_id)
        return bool(taken)

    def set_process(self, executor_id: str, process_id: int) -> None:
        # Two integers are another lock than one bigint (PostgreSQL documentation, advisory locks).
        self._processes[executor_id] = process_id
        self._ask(sa.func.pg_try_advisory_lock(*_process_keys(executor_id, process_id)))

    def release(self, executor_id: str) -> None:
        self._held.remove(executor_id)
        process_id = self._processes.pop(executor_id, None)
        if process_id is not None:
            self._ask(sa.func.pg_advisory_unlock(*_process_keys(executor_id, process_id)))
        self._ask(sa.func.pg_advisory_unlock(_lock_key(executor_id)))

    def holds(self, executor_id: str) -> bool:
        if executor_id not in self._held or self._connection is None:
            return False
        try:
            # On the connection that holds the lock: another one cannot see that its session is lost.
            return executor_id in self._locked(mine_only=True)
        except SQLAlchemyError:
            return False

    def held(self) -> Held:
        return self._locked(mine_only=False)

    def close(self) -> None:
        if self._connection is not None:
            # Closed, not returned to the pool: the server releases the locks with the connection.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
        self._held.clear()
        self._processes.clear()
        self._engine.dispose()

    def _ask(self, question: Any) -> Any:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection.scalar(sa.select(question))

    def _locked(self, *, mine_only: bool) -> Held:
        if self._connection is None:
            self._connection = self._engine.connect()
        # A bigint key is shown as two halves, objsubid 1; two integers are shown as they are,
        # objsubid 2 (PostgreSQL documentation, pg_locks).
        rows = self._connection.execute(
            sa.text(
                "SELECT objsubid, classid::bigint, objid::bigint FROM pg_locks"
                " WHERE locktype = 'advisory' AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND (NOT :mine_only OR pid = pg_backend_pid())"
            ),
            {"mine_only": mine_only},
        ).all()
        processes = {high: low for kind, high, low in rows if kind == 2}
        found: dict[str | int, int | None] = {
            low: processes.get(low) for kind, high, low in rows if kind == 1 and high == _OURS
        }
        return Held(found, _number)


_OURS = 0x72657375  # "resu": an application that shares the database has locks of its own


def _number(executor_id: str) -> int:
    digest = hashlib.sha256(f"resumectl process {executor_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _lock_key(executor_id: str) -> int:
    return _OURS << 32 | _number(executor_id)


def _process_keys(executor_id: str, process_id: int) -> tuple[sa.ColumnElement[int], ...]:
    """Return the keys of the lock that tells which process holds an executor id."""
    signed = (_number(executor_id) ^ 1 << 31) - (1 << 31)  # PostgreSQL's integers are signed
    return sa.cast(signed, sa.Integer), sa.cast(process_id, sa.Integer)
