"""Who is alive: an executor id is held by a lock that dies with its holder.

On SQLite the lock is `flock` on a file beside the database: the kernel releases it with
the process. On PostgreSQL it is a session's advisory lock: the server releases it with the
connection, so it works across hosts. A stopped process still holds its lock, as it should.
No heartbeat, no guess by pid.
"""

import fcntl
import hashlib
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from resumectl.database import open_engine
from resumectl.settings import Settings


class ExecutorLocks(Protocol):
    """The locks of one database. Each is held by one life, under an executor id."""

    def acquire(self, executor_id: str) -> bool:
        """Hold the executor id until `release`, or until this process dies; False if held."""

    def release(self, executor_id: str) -> None:
        """Give it up."""

    def holds(self, executor_id: str) -> bool:
        """Whether the lock is certainly still this process's (a connection can be lost)."""

    def alive(self, executor_ids: Iterable[str]) -> set[str]:
        """Those that a living life holds, this process included; takes none of them."""

    def close(self) -> None:
        """Release everything."""


def executor_locks(settings: Settings) -> ExecutorLocks:
    """The locks that go with the database of the settings."""
    if settings.is_sqlite:
        return FileLocks(settings.sqlite_path)
    return AdvisoryLocks(settings)


class FileLocks:
    """`flock` on one file an executor id, in the directory FILE-lives beside the database."""

    def __init__(self, database: Path) -> None:
        self._directory = database.with_name(database.name + "-lives")
        self._held: dict[str, int] = {}

    def acquire(self, executor_id: str) -> bool:
        if executor_id in self._held:
            return False
        self._directory.mkdir(exist_ok=True)
        with self._guard():
            descriptor = os.open(self._path(executor_id), os.O_RDWR | os.O_CREAT, 0o644)
            if _try_flock(descriptor):
                self._held[executor_id] = descriptor
                return True
            os.close(descriptor)
            return False

    def release(self, executor_id: str) -> None:
        os.close(self._held.pop(executor_id))

    def holds(self, executor_id: str) -> bool:
        descriptor = self._held.get(executor_id)
        # A lock on a file that somebody has deleted keeps nobody out any more.
        return descriptor is not None and os.fstat(descriptor).st_nlink > 0

    def alive(self, executor_ids: Iterable[str]) -> set[str]:
        if not self._directory.is_dir():
            return set()
        with self._guard():
            return {each for each in executor_ids if self._is_locked(each)}

    def close(self) -> None:
        for executor_id in list(self._held):
            self.release(executor_id)

    def _path(self, executor_id: str) -> Path:
        return self._directory / f"{executor_id}.lock"

    def _is_locked(self, executor_id: str) -> bool:
        try:
            descriptor = os.open(self._path(executor_id), os.O_RDONLY)
        except FileNotFoundError:
            return False
        try:
            return not _try_flock(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def _guard(self) -> Iterator[None]:
        # To look at a lock is to take it for a moment, and a life that begins in that moment
        # would see its executor id held. So whoever looks or takes does it one at a time.
        descriptor = os.open(self._directory / "guard", os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _try_flock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class AdvisoryLocks:
    """`pg_try_advisory_lock`, one key an executor id, all on one connection of their own."""

    def __init__(self, settings: Settings) -> None:
        # Outside any transaction: a session that is idle in one may be ended by the server.
        engine = open_engine(settings).execution_options(isolation_level="AUTOCOMMIT")
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._held: set[str] = set()

    def acquire(self, executor_id: str) -> bool:
        if executor_id in self._held:
            return False  # PostgreSQL would grant it again to the same session
        taken = self._ask(sa.func.pg_try_advisory_lock(_lock_key(executor_id)))
        if taken:
            self._held.add(executor_id)
        return bool(taken)

    def release(self, executor_id: str) -> None:
        self._held.remove(executor_id)
        self._ask(sa.func.pg_advisory_unlock(_lock_key(executor_id)))

    def holds(self, executor_id: str) -> bool:
        if executor_id not in self._held or self._connection is None:
            return False
        try:
            # On the connection that holds it: another one could not tell a lost session.
            return executor_id in self._locked_keys([executor_id], mine_only=True)
        except SQLAlchemyError:
            return False

    def alive(self, executor_ids: Iterable[str]) -> set[str]:
        return self._locked_keys(executor_ids, mine_only=False)

    def close(self) -> None:
        if self._connection is not None:
            # Not back to a pool: the server releases the locks with the connection.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
        self._held.clear()
        self._engine.dispose()

    def _ask(self, question: Any) -> Any:
        if self._connection is None:
            self._connection = self._engine.connect()
        return self._connection.scalar(sa.select(question))

    def _locked_keys(self, executor_ids: Iterable[str], *, mine_only: bool) -> set[str]:
        if self._connection is None:
            self._connection = self._engine.connect()
        # A bigint key is shown as two halves, objsubid 1 (PostgreSQL documentation, pg_locks).
        locked = self._connection.execute(
            sa.text(
                "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks"
                " WHERE locktype = 'advisory' AND objsubid = 1 AND granted"
                " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
                " AND (NOT :mine_only OR pid = pg_backend_pid())"
            ),
            {"mine_only": mine_only},
        )
        keys = set(locked.scalars())
        return {each for each in executor_ids if _lock_key(each) in keys}


def _lock_key(executor_id: str) -> int:
    digest = hashlib.sha256(f"resumectl life {executor_id}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)
