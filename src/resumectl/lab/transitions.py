"""Watch SQLAlchemy: tell of every commit what it makes true, and strike where a plan says.

Works on any DBOS program, for it looks only at statements and commits, and at no hook of
DBOS's: it stands before the methods of SQLAlchemy's dialects that are documented as what
executes and commits. Events would not do: there is none behind a commit, and a listener on
every engine costs all statements, also those that only read (0.03 ms a transaction, of 0.4).
Nothing is watched until `arm` is called, in the process that is to be watched, or to die.
"""

import functools
import os
import re
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from resumectl.lab.plan import EXIT_STATUS, Blow, Death, Edge
from resumectl.lab.statements import NOTIFIED, Fact, facts_of, no_body, writes

# Where a connection keeps the facts of its open transaction; the dictionary is
# SQLAlchemy's `info`, which lives and dies with the driver's connection.
_PENDING = "resumectl.facts"
_RESERVED = "resumectl.reserved"
_SAVEPOINTS = "resumectl.savepoints"  # name to the number of facts before it


def _nothing(_facts: Sequence[Fact]) -> None:
    pass


class Watch:
    """Tells of the commits of this process, and strikes at the transition that is due.

    Args:
        death: Where and how to die; None to only tell.
        note: Writes the death note, as in `after:alpha-1-7/step-1`, before the blow; must
            be one system call on something already open.
        on_commit: Told of the facts of each commit, once they are durable.
        of_publisher: Whether resumectl's own publisher is at work.
        pause_s: Seconds to wait there instead of dying: a control, without a crash.
        system_database: URL of DBOS's own database.
        system_schema: Of its tables, on PostgreSQL.
        body: Tells the workflow in whose body, outside of any step, this thread is at work.
    """

    def __init__(
        self,
        death: Death | None,
        note: Callable[[str], None],
        *,
        system_database: str,
        system_schema: str = "dbos",
        on_commit: Callable[[Sequence[Fact]], None] = _nothing,
        of_publisher: bool = False,
        pause_s: float | None = None,
        body: Callable[[], str | None] = no_body,
    ) -> None:
        self._death = death
        self._note = note
        self._on_commit = on_commit
        self._of_publisher = of_publisher
        self._pause_s = pause_s
        # A lab's engine leaves out the directories.
        file = sa.make_url(system_database).database
        self._system_files = frozenset({file, Path(str(file)).name})
        self._system_schema = system_schema
        self._body = body
        self._is_suspended = False
        self._matched = 0
        self._gate = _Gate()
        self._watching = threading.Lock()
        self._held = 0
        self._hold_changed = threading.Condition()

    def arm(self) -> None:
        """Watch every connection that this process opens from now on, of whichever engine."""
        event.listen(sa.Engine, "do_connect", self._watch_dialect)
        event.listen(sa.Pool, "invalidate", self._invalidated)

    def wait_for_blow(self) -> None:
        """Return once no commit is on its way to the blow: the process may end by itself then.

        What a commit makes true can be read before the thread that committed has struck.
        """
        with self._gate.alone():
            pass

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """What is written meanwhile is nobody's: the experiment's own preparations."""
        self._is_suspended = True
        try:
            yield
        finally:
            self._is_suspended = False

    # --- what a dialect does, watched

    def _watch_dialect(self, dialect: Any, *_how: Any) -> None:
        with self._watching:  # two threads may be the first to connect
            if "do_commit" not in vars(dialect):
                self._watch_methods(dialect)

    def _watch_methods(self, dialect: Any) -> None:
        for name, watched in (
            ("do_execute", self._execute),
            ("do_executemany", self._execute),
            ("do_execute_no_params", self._execute_no_params),
            ("do_commit", self._commit),
            ("do_rollback", self._roll_back),
            ("do_savepoint", self._savepoint),
            ("do_rollback_to_savepoint", self._roll_back_to_savepoint),
        ):
            # On the one dialect object of an engine, and not on its class.
            setattr(dialect, name, functools.partial(watched, getattr(dialect, name)))

    def _execute(
        self, execute: Callable[..., Any], cursor: Any, sql: str, parameters: Any,
        context: Any = None,
    ) -> None:  # fmt: skip
        if not writes(sql) or self._is_suspended or context is None:
            execute(cursor, sql, parameters, context)
        else:
            carry_out = functools.partial(execute, cursor, sql, parameters, context)
            self._write(carry_out, cursor, sql, parameters, context)

    def _execute_no_params(
        self, execute: Callable[..., Any], cursor: Any, sql: str, context: Any = None
    ) -> None:
        def carry_out(cursor: Any, sql: str, _none: Any, context: Any) -> None:
            execute(cursor, sql, context)

        self._execute(carry_out, cursor, sql, (), context)

    def _write(
        self, carry_out: Callable[[], Any], cursor: Any, sql: str, parameters: Any, context: Any
    ) -> None:
        conn: sa.Connection = context.root_connection
        found = self._facts_in(conn, sql, parameters, context)
        for fact in found:
            self._reserve(conn, fact)
        # Then it is made a transaction of its own, so that there is an instant at which it is
        # complete and not committed, and none at which it is and nobody knows.
        by_itself = bool(found) and _commits_by_itself(conn, sql)
        if by_itself:
            conn.connection.cursor().execute("BEGIN")
        try:
            carry_out()
        except BaseException:
            if by_itself:
                conn.connection.cursor().execute("ROLLBACK")
                self._forget(conn.info)
            raise
        if found and not _changed_nothing(cursor, sql):
            conn.info.setdefault(_PENDING, []).extend(found)
        if by_itself:
            self._commit(lambda c: c.cursor().execute("COMMIT"), conn.connection)

    def _facts_in(self, conn: sa.Connection, sql: str, parameters: Any, context: Any) -> list[Fact]:
        compiled = getattr(context, "compiled_parameters", None)
        if not compiled:  # the driver's own parameters: a dictionary, or several
            compiled = [parameters] if isinstance(parameters, dict) else parameters
        sets = [each for each in compiled or () if isinstance(each, dict)]

        def is_of_dbos(schema: str) -> bool:
            # SQLite has a file for each database; on PostgreSQL, DBOS names its schema always.
            if conn.dialect.name == "sqlite":
                return conn.engine.url.database in self._system_files
            return schema == self._system_schema

        return facts_of(
            sql, sets, of_publisher=self._of_publisher, is_of_dbos=is_of_dbos, body=self._body
        )

    def _commit(self, commit: Callable[[Any], None], connection: Any) -> None:
        info = _info_of(connection)
        found = info.get(_PENDING)
        if found and len(found) > 1 and any(fact.kind == "step" for fact in found):
            # A message that a workflow sends is a step of it.
            found = info[_PENDING] = [fact for fact in found if fact.kind != NOTIFIED]
        if not found:
            commit(connection)
            self._give_back(info)
            return
        matching = list(filter(self._is_at, found))
        if not matching:
            self._gate.enter()
            try:
                self._make_durable(commit, connection, found)
            finally:
                self._gate.leave()
            return
        with self._gate.alone():
            self._strike_if_due(Edge.BEFORE, matching)
            self._make_durable(commit, connection, found)
            self._strike_if_due(Edge.AFTER, matching)
            self._matched += len(matching)

    def _make_durable(
        self, commit: Callable[[Any], None], connection: Any, found: list[Fact]
    ) -> None:
        commit(connection)
        info = connection.info
        del info[_PENDING]
        info.pop(_SAVEPOINTS, None)
        info.pop(_RESERVED, None)  # durable: the places in the hold are used up
        self._on_commit(found)

    def _roll_back(self, roll_back: Callable[[Any], None], connection: Any) -> None:
        try:
            roll_back(connection)
        finally:
            self._forget(_info_of(connection))

    def _invalidated(self, _driver: Any, record: Any, _error: Any) -> None:
        self._forget(record.info)

    def _forget(self, info: dict[Any, Any]) -> None:
        info.pop(_PENDING, None)
        info.pop(_SAVEPOINTS, None)
        self._give_back(info)

    def _savepoint(self, save: Callable[[Any, str], None], conn: sa.Connection, name: str) -> None:
        save(conn, name)
        conn.info.setdefault(_SAVEPOINTS, {})[name] = len(conn.info.get(_PENDING, ()))

    def _roll_back_to_savepoint(
        self, roll_back: Callable[[Any, str], None], conn: sa.Connection, name: str
    ) -> None:
        roll_back(conn, name)
        del conn.info.get(_PENDING, [])[conn.info[_SAVEPOINTS][name] :]

    # --- counting and striking, alone in the gate

    def _is_at(self, fact: Fact) -> bool:
        return self._death is not None and self._death.at.covers(fact.name)

    def _strike_if_due(self, edge: Edge, matching: Sequence[Fact]) -> None:
        assert self._death is not None
        index = self._death.at.n - 1 - self._matched
        if self._death.edge is edge and 0 <= index < len(matching):
            self._strike(self._death, matching[index].name)

    def _strike(self, death: Death, transition: str) -> None:
        self._note(f"{death.edge}:{transition}")
        if self._pause_s is not None:
            time.sleep(self._pause_s)  # it is the time that is put to the test
            return
        if death.blow is Blow.EXIT:
            os._exit(EXIT_STATUS)
        if death.blow is Blow.TERM:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            os.kill(os.getpid(), signal.SIGKILL)
        # The signal is on its way, but this thread may still be scheduled once more: without
        # the block it has been seen to send the very COMMIT it was to precede.
        while True:
            threading.Event().wait()

    # --- the hold: so many may begin, and no more

    def _reserve(self, conn: sa.Connection, fact: Fact) -> None:
        hold = self._death.hold if self._death is not None else None
        if hold is None or not hold.covers(fact.name):
            return
        # Before the statement, not before the commit: on SQLite the statement takes the only
        # write lock, and whoever waits with it in hand stops those who are to go on.
        with self._hold_changed:
            self._hold_changed.wait_for(lambda: self._held < hold.n)
            self._held += 1
        conn.info[_RESERVED] = conn.info.get(_RESERVED, 0) + 1

    def _give_back(self, info: dict[Any, Any]) -> None:
        reserved = info.pop(_RESERVED, 0)
        if reserved:
            with self._hold_changed:
                self._held -= reserved
                self._hold_changed.notify_all()


class _Gate:
    """Commits pass beside each other; one that the plan's pattern covers passes alone.

    Between such a commit and the blow nothing else becomes durable. Whoever is in the gate
    has everything done but its COMMIT, which waits for no lock of the database: so nobody in
    the gate waits for anybody outside.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._inside = 0
        self._is_alone = False

    def enter(self) -> None:
        with self._lock:  # the condition's own, without the calls that it puts around it
            while self._is_alone:
                self._changed.wait()
            self._inside += 1

    def leave(self) -> None:
        with self._lock:
            self._inside -= 1
            if self._is_alone and not self._inside:
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._is_alone = True
            self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._changed:
                self._is_alone = False
                self._changed.notify_all()


def _info_of(connection: sa.PoolProxiedConnection) -> dict[Any, Any]:
    try:
        return connection.info if connection.is_valid else {}
    except NotImplementedError:
        # The one with which SQLAlchemy gets to know a server: it is of no pool, and only reads.
        return {}


_COUNTS_OTHERWISE = re.compile(r"\bRETURNING\b|^\s*WITH\b", re.IGNORECASE)


@functools.lru_cache(maxsize=4096)  # of most of DBOS's writes SQLite says that they changed none
def _counts_otherwise(sql: str) -> bool:
    return _COUNTS_OTHERWISE.search(sql) is not None


def _changed_nothing(cursor: Any, sql: str) -> bool:
    # As an INSERT … ON CONFLICT DO NOTHING whose row was there. SQLite counts the rows of a
    # RETURNING only as they are fetched, and a SELECT over writing CTEs counts its own.
    return cursor.rowcount == 0 and not _counts_otherwise(sql)


# Before these the driver of SQLite begins a transaction, and before no other statement; it
# looks behind comments.
_BEGINS = re.compile(
    r"(?:\s|--[^\n]*\n|/\*.*?\*/)*(INSERT|UPDATE|DELETE|REPLACE)\b", re.IGNORECASE | re.DOTALL
)


@functools.lru_cache(maxsize=4096)  # asked before each write
def _begins(sql: str) -> bool:
    return _BEGINS.match(sql) is not None


def _commits_by_itself(conn: sa.Connection, sql: str) -> bool:
    if conn.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return True
    if conn.dialect.name == "sqlite":
        # The driver's own; SQLAlchemy wraps that of an asynchronous one.
        raw: Any = conn.connection.driver_connection
        return not raw.in_transaction and (raw.isolation_level is None or not _begins(sql))
    return getattr(conn.connection.dbapi_connection, "autocommit", False) is True
