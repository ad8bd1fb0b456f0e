"""Watch SQLAlchemy: tell of every commit what it makes true, and strike where a plan says.

Works on any DBOS program, for it looks only at statements and commits, through
SQLAlchemy's events and `Dialect.do_commit`, and at no hook of DBOS's. Nothing is watched
until `arm` is called, in the process that is to be watched, or to die.
"""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event

from resumectl.lab.plan import EXIT_STATUS, Blow, Death, Edge
from resumectl.lab.statements import Fact, facts_of, writes

# Where a connection keeps the facts of its open transaction; the dictionary is
# SQLAlchemy's `info`, which lives and dies with the driver's connection.
_PENDING = "resumectl.facts"
_RESERVED = "resumectl.reserved"


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
    """

    def __init__(
        self,
        death: Death | None,
        note: Callable[[str], None],
        *,
        on_commit: Callable[[Sequence[Fact]], None] = _nothing,
        of_publisher: bool = False,
    ) -> None:
        self._death = death
        self._note = note
        self._on_commit = on_commit
        self._of_publisher = of_publisher
        self._is_suspended = False
        self._matched = 0
        self._gate = _Gate()
        self._savepoints: WeakKeyDictionary[sa.Connection, list[int]] = WeakKeyDictionary()
        self._held = 0
        self._hold_changed = threading.Condition()

    def arm(self) -> None:
        """Watch every engine of this process, those that exist and those to come."""
        event.listen(sa.Engine, "before_cursor_execute", self._before_statement)
        event.listen(sa.Engine, "after_cursor_execute", self._after_statement)
        event.listen(sa.Engine, "handle_error", self._statement_failed)
        event.listen(sa.Engine, "engine_connect", self._watch_commits)
        event.listen(sa.Engine, "rollback", self._rolled_back)
        event.listen(sa.Pool, "invalidate", self._invalidated)
        event.listen(sa.Engine, "savepoint", self._savepoint)
        event.listen(sa.Engine, "rollback_savepoint", self._rolled_back_to_savepoint)

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

    def _before_statement(
        self,
        conn: sa.Connection,
        _cursor: Any,
        sql: str,
        parameters: Any,
        context: Any,
        _many: bool,
    ) -> None:
        hold = self._death.hold if self._death is not None else None
        by_itself = _commits_by_itself(conn)
        if hold is None and not by_itself:
            return  # what it makes true is asked once it has been carried out
        found = self._facts_in(sql, parameters, context)
        if not found:
            return
        for fact in found:
            self._reserve(conn, fact)
        if by_itself:
            # Made a transaction of its own, so that there is an instant at which it is
            # complete and not committed, and none at which it is and nobody knows.
            conn.info[_PENDING] = found
            conn.connection.cursor().execute("BEGIN")

    def _after_statement(
        self,
        conn: sa.Connection,
        cursor: Any,
        sql: str,
        parameters: Any,
        context: Any,
        _many: bool,
    ) -> None:
        if _commits_by_itself(conn):
            if _PENDING in conn.info:
                self._commit(lambda c: c.cursor().execute("COMMIT"), conn.connection)
        elif not _changed_nothing(cursor, sql):
            found = self._facts_in(sql, parameters, context)
            if found:
                conn.info.setdefault(_PENDING, []).extend(found)

    def _statement_failed(self, context: Any) -> None:
        conn = context.connection
        if conn is not None and _commits_by_itself(conn) and conn.info.pop(_PENDING, None):
            conn.connection.cursor().execute("ROLLBACK")
            self._give_back(conn.info)

    def _facts_in(self, sql: str, parameters: Any, context: Any) -> list[Fact]:
        if self._is_suspended or not writes(sql):
            return []
        compiled = getattr(context, "compiled_parameters", None)
        if not compiled:  # the driver's own parameters: a dictionary, or several
            compiled = [parameters] if isinstance(parameters, dict) else parameters
        sets = [each for each in compiled or () if isinstance(each, dict)]
        return facts_of(sql, sets, of_publisher=self._of_publisher)

    def _watch_commits(self, conn: sa.Connection) -> None:
        dialect = conn.dialect
        if "do_commit" not in vars(dialect):
            commit = dialect.do_commit

            def do_commit(connection: Any) -> None:
                self._commit(commit, connection)

            # There is no event behind a commit, only one before it. Dialect.do_commit is
            # documented as what commits; replaced on the one dialect object of an engine.
            dialect.do_commit = do_commit  # type: ignore[method-assign, assignment]

    def _commit(self, commit: Callable[[Any], None], connection: Any) -> None:
        found = connection.info.get(_PENDING)
        if not found:
            commit(connection)
            return
        matches = sum(map(self._is_at, found))
        with self._gate.alone() if matches else self._gate.beside():
            if self._death is not None and self._death.edge is Edge.BEFORE:
                self._strike_if_due(found)
            commit(connection)
            del connection.info[_PENDING]
            connection.info.pop(_RESERVED, None)  # durable: the places in the hold are used up
            self._on_commit(found)
            if self._death is not None and self._death.edge is Edge.AFTER:
                self._strike_if_due(found)
            if matches:
                self._matched += matches

    def _invalidated(self, _driver: Any, record: Any, _error: Any) -> None:
        record.info.pop(_PENDING, None)
        self._give_back(record.info)

    def _rolled_back(self, conn: sa.Connection) -> None:
        if conn.invalidated:
            return  # it has no driver's connection any more, and nothing to be asked for
        conn.info.pop(_PENDING, None)
        self._give_back(conn.info)

    def _savepoint(self, conn: sa.Connection, _name: str | None) -> None:
        # The event comes before the name is made (SQLAlchemy 2.0 and 2.1 pass None), which
        # will be sa_savepoint_K for the K-th savepoint of this connection object.
        marks = self._savepoints.setdefault(conn, [])
        marks.append(len(conn.info.get(_PENDING, ())))

    def _rolled_back_to_savepoint(self, conn: sa.Connection, name: str, _context: Any) -> None:
        kept = self._savepoints[conn][int(name.rpartition("_")[2]) - 1]
        del conn.info.get(_PENDING, [])[kept:]

    # --- counting and striking, alone in the gate

    def _is_at(self, fact: Fact) -> bool:
        return self._death is not None and self._death.at.covers(fact.name)

    def _strike_if_due(self, facts: Sequence[Fact]) -> None:
        assert self._death is not None
        count = self._matched
        for fact in filter(self._is_at, facts):
            count += 1
            if count == self._death.at.n:
                self._strike(self._death, fact.name)

    def _strike(self, death: Death, transition: str) -> NoReturn:
        self._note(f"{death.edge}:{transition}")
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
        self._changed = threading.Condition()
        self._inside = 0
        self._is_alone = False

    @contextmanager
    def beside(self) -> Iterator[None]:
        with self._changed:
            self._changed.wait_for(lambda: not self._is_alone)
            self._inside += 1
        try:
            yield
        finally:
            with self._changed:
                self._inside -= 1
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


def _changed_nothing(cursor: Any, sql: str) -> bool:
    # As an INSERT … ON CONFLICT DO NOTHING whose row was there. SQLite counts the rows of a
    # RETURNING only as they are fetched, and a SELECT over writing CTEs counts its own.
    return cursor.rowcount == 0 and "RETURNING" not in sql and not sql.lstrip().startswith("WITH")


def _commits_by_itself(conn: sa.Connection) -> bool:
    if conn.get_execution_options().get("isolation_level") == "AUTOCOMMIT":
        return True
    driver: Any = conn.connection.dbapi_connection
    if conn.dialect.name == "sqlite":
        return driver.isolation_level is None
    return getattr(driver, "autocommit", False) is True
