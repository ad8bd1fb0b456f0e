"""Who is alive: an executor id is held by a lock that dies with its holder.

On SQLite the lock is `flock` on a file beside the database: the kernel releases it with
the process. On PostgreSQL it is a session's advisory lock: the server releases it with the
connection, so it works across hosts. A stopped process still holds its lock, as it should.
No heartbeat, no guess by pid.
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
    """Which executor ids were held at one moment, and by which lives."""

    # A life's number; None while the holder has not said any, as before its row is there.
    _lives: Mapping[str | int, int | None]
    _key: Callable[[str], str | int]

    def __contains__(self, executor_id: object) -> bool:
        return isinstance(executor_id, str) and self._key(executor_id) in self._lives

    def life(self, executor_id: str) -> int | None:
        """Return the number of the life that holds the executor id, if it has said any."""
        return self._lives.get(self._key(executor_id))

    @property
    def is_empty(self) -> bool:
        """Whether no process holds any; a reset does not count as one."""
        return not self._lives.keys() - {self._key(RESET)}


# Held by a reset, in the place of an executor id; no executor id has a colon.
RESET = "reset:"


class ExecutorLocks(Protocol):
    """The locks of one database. Each is held by one process, under an executor id."""

    def acquire(self, executor_id: str) -> bool:
        """Hold the executor id until `release`, or until this process dies; False if held."""

    def say_life(self, executor_id: str, life_id: int) -> None:
        """Say, before the life's row is there, that an executor id is held by this life.

        Whoever takes over a dead process's work holds its executor id as well, and is not it.
        """

    def release(self, executor_id: str) -> None:
        """Give it up."""

    def holds(self, executor_id: str) -> bool:
        """Whether the lock is certainly still this process's (a connection can be lost)."""

    def held(self) -> Held:
        """Look at all of them, this process's included; takes none."""

    def close(self) -> None:
        """Release everything."""


def executor_locks(settings: Settings) -> ExecutorLocks:
    """The locks that go with the database of the settings."""
    if settings.is_sqlite:
        return FileLocks(settings.sqlite_path)
    return AdvisoryLocks(settings)


_SUFFIX = ".lock"


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
                os.truncate(descriptor, 0)  # the number of the life that held it before
                self._held[executor_id] = descriptor
                return True
            os.close(descriptor)
            return False

    def say_life(self, executor_id: str, life_id: int) -> None:
        os.pwrite(self._held[executor_id], f"{life_id}\n".encode(), 0)

    def release(self, executor_id: str) -> None:
        os.close(self._held.pop(executor_id))

    def holds(self, executor_id: str) -> bool:
        descriptor = self._held.get(executor_id)
        # A lock on a file that somebody has deleted keeps nobody out any more.
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
        # To look at a lock is to take it for a moment, and a life that begins in that moment
        # would see its executor id held. So whoever looks or takes does it one at a time.
        descriptor = os.open(self._directory / "guard", os.O_RDONLY | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)


def _read_if_locked(path: Path) -> str | None:
    """Return what the holder of the lock has written; None if nobody holds it."""
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
    """`pg_try_advisory_lock`, one key an executor id, all on one connection of their own."""

    def __init__(self, settings: Settings) -> None:
        # Outside any transaction: a session that is idle in one may be ended by the server.
        engine = open_engine(settings).execution_options(isolation_level="AUTOCOMMIT")
        self._engine = engine
        self._connection: sa.Connection | None = None
        self._held: set[str] = set()
        self._lives: dict[str, int] = {}

    def acquire(self, executor_id: str) -> bool:
        if executor_id in self._held:
            return False  # PostgreSQL would grant it again to the same session
        taken = self._ask(sa.func.pg_try_advisory_lock(_lock_key(executor_id)))
        if taken:
            self._held.add(executor_id)
        return bool(taken)

    def say_life(self, executor_id: str, life_id: int) -> None:
        # Two numbers are another lock than one (PostgreSQL documentation, advisory locks).
        self._lives[executor_id] = life_id
        self._ask(sa.func.pg_try_advisory_lock(*_life_keys(executor_id, life_id)))

    def release(self, executor_id: str) -> None:
        self._held.remove(executor_id)
        life_id = self._lives.pop(executor_id, None)
        if life_id is not None:
            self._ask(sa.func.pg_advisory_unlock(*_life_keys(executor_id, life_id)))
        self._ask(sa.func.pg_advisory_unlock(_lock_key(executor_id)))

    def holds(self, executor_id: str) -> bool:
        if executor_id not in self._held or self._connection is None:
            return False
        try:
            # On the connection that holds it: another one could not tell a lost session.
            return executor_id in self._locked(mine_only=True)
        except SQLAlchemyError:
            return False

    def held(self) -> Held:
        return self._locked(mine_only=False)

    def close(self) -> None:
        if self._connection is not None:
            # Not back to a pool: the server releases the locks with the connection.
            self._connection.invalidate()
            self._connection.close()
            self._connection = None
        self._held.clear()
        self._lives.clear()
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
        lives = {high: low for kind, high, low in rows if kind == 2}
        found: dict[str | int, int | None] = {
            low: lives.get(low) for kind, high, low in rows if kind == 1 and high == _OURS
        }
        return Held(found, _number)


_OURS = 0x72657375  # "resu": an application that shares the database has locks of its own


def _number(executor_id: str) -> int:
    digest = hashlib.sha256(f"resumectl life {executor_id}".encode()).digest()
    return int.from_bytes(digest[:4], "big")


def _lock_key(executor_id: str) -> int:
    return _OURS << 32 | _number(executor_id)


def _life_keys(executor_id: str, life_id: int) -> tuple[sa.ColumnElement[int], ...]:
    """Return the two keys of the lock that says which life holds an executor id."""
    signed = (_number(executor_id) ^ 1 << 31) - (1 << 31)  # as PostgreSQL's integers are
    return sa.cast(signed, sa.Integer), sa.cast(life_id, sa.Integer)
