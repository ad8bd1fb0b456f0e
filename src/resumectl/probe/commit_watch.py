"""Intercept the statements and commits of SQLAlchemy, and report the facts of each commit.

Works on any DBOS program, because it uses no hook of DBOS. It replaces the methods of SQLAlchemy's
dialects that are documented as those that execute and commit. SQLAlchemy's events are not enough:
none follows a commit, and a listener on every engine slows all statements, also those that only read
(0.03 ms for a transaction of 0.4 ms). Nothing is watched until `arm` is called, in the process that is to be watched.
"""

import functools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.engine.interfaces import DBAPICursor, ExecutionContext

from resumectl.model.crash_plan import STARTED, Edge
from resumectl.probe.commit_gate import Gate, Hold
from resumectl.probe.crash_trigger import CrashTrigger
from resumectl.probe.driver_semantics import changed_nothing, commits_by_itself
from resumectl.probe.sql_facts import (
    GIVEN,
    NOTIFIED,
    Fact,
    fact_extractors,
    no_body,
    writes,
)
from resumectl.probe.user_objects import Function

_EndTransaction = Callable[[sa.PoolProxiedConnection], object]


class _Written:
    """The durable facts that an open transaction will create."""

    __slots__ = ("facts", "places", "savepoints")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.savepoints: dict[str, int] = {}  # savepoint to the number of facts before it
        self.places = 0  # number of places taken in the hold


def _nothing(_facts: Sequence[Fact]) -> None:
    pass


def no_wait() -> None:
    """Let a statement write at once."""


@dataclass(frozen=True, slots=True)
class WatchedDatabase:
    """The database whose tables are DBOS's.

    Attributes:
        url: URL of DBOS's system database.
        schema: Schema of its tables, on PostgreSQL.
        has_publisher: Whether resumectl's own publisher runs; its tables are known too.
    """

    url: str
    schema: str = "dbos"
    has_publisher: bool = False


@dataclass(frozen=True, slots=True)
class Listeners:
    """Functions to call while this process writes.

    Attributes:
        before_commit: Takes the facts of each transaction, before any crash point is looked for in them.
        on_commit: Takes the facts of each commit, as soon as they are durable.
        on_survived: Takes the same facts again, when no kill can follow them any more. Threads that
            wait for a commit are woken here: woken earlier, they could go on before the kill.
        before_write: Called before each statement that writes.
        body: Returns the id of the workflow whose body this thread runs, outside of any step, or None.
    """

    before_commit: Callable[[Sequence[Fact]], None] = _nothing
    on_commit: Callable[[Sequence[Fact]], None] = _nothing
    on_survived: Callable[[Sequence[Fact]], None] = _nothing
    before_write: Callable[[], None] = no_wait
    body: Callable[[], str | None] = no_body


class CommitWatch:
    """Watches the commits of this process.

    Args:
        database: The database whose tables are DBOS's.
        trigger: Ends this process at a crash point; None to only watch.
        listeners: Functions to call while this process writes.
    """

    def __init__(
        self,
        database: WatchedDatabase,
        trigger: CrashTrigger | None = None,
        listeners: Listeners | None = None,
    ) -> None:
        self._trigger = trigger
        self._listeners = listeners or Listeners()
        self._has_publisher = database.has_publisher
        self._system_file = sa.make_url(database.url).database
        self._system_schemas = frozenset({database.schema})
        self._is_suspended = False
        # The driver's connection to what its open transaction has written.
        self._written: dict[object, _Written] = {}
        self._gate = Gate()
        held = trigger.crash.hold if trigger is not None else None
        self._held = held
        self._hold = Hold(held.n) if held is not None else None
        self._watching = threading.Lock()

    def arm(self) -> None:
        """Watch every connection that this process opens from now on, with any engine."""
        event.listen(sa.Engine, "do_connect", self._watch_dialect)
        for end in ("invalidate", "close", "close_detached"):
            event.listen(sa.Pool, end, self._on_connection_end)

    def wait_for_kill(self) -> None:
        """Wait until no commit is about to be followed by the kill.

        A fact can be read in the database before the thread that committed it has killed the
        process, so a process calls this before it exits.
        """
        with self._gate.alone():
            pass

    def not_before_kill(self) -> AbstractContextManager[None]:
        """Return a context that no thread enters between the matching commit and the kill."""
        return self._gate.commits

    @contextmanager
    def suspended(self) -> Iterator[None]:
        """Ignore writes inside this context: they are not the program's."""
        self._is_suspended = True
        try:
            yield
        finally:
            self._is_suspended = False

    # --- what a dialect does, watched

    def _watch_dialect(self, dialect: sa.Dialect, *_how: object) -> None:
        with self._watching:  # two threads may connect first at the same time
            if "do_commit" not in vars(dialect):
                self._watch_methods(dialect)

    def _watch_methods(self, dialect: sa.Dialect) -> None:
        for name, watched in (
            ("do_execute", self._execute),
            ("do_executemany", self._execute),
            ("do_execute_no_params", self._execute_no_params),
            ("do_commit", self._commit),
            ("do_rollback", self._roll_back),
            ("do_savepoint", self._savepoint),
            ("do_rollback_to_savepoint", self._roll_back_to_savepoint),
        ):
            # On the dialect object of one engine, not on its class.
            setattr(dialect, name, functools.partial(watched, getattr(dialect, name)))

    def _execute(
        self, execute: Function, cursor: DBAPICursor, sql: str, parameters: object,
        context: ExecutionContext | None = None,
    ) -> None:  # fmt: skip
        if not writes(sql) or self._is_suspended or context is None:
            execute(cursor, sql, parameters, context)
            return
        self._listeners.before_write()
        conn = context.root_connection
        extractors = fact_extractors(sql, self._has_publisher, self._schemas_behind(conn))
        if not extractors:
            execute(cursor, sql, parameters, context)
            return

        def carry_out() -> bool:
            execute(cursor, sql, parameters, context)
            return not changed_nothing(cursor, sql)

        sets = getattr(context, "compiled_parameters", None) or _parameter_sets(parameters)
        facts = [fact for extract in extractors for fact in extract(sets, self._listeners.body)]
        if facts:
            self._write(carry_out, conn, sql, facts)
        else:
            carry_out()

    def _execute_no_params(
        self,
        execute: Function,
        cursor: DBAPICursor,
        sql: str,
        context: ExecutionContext | None = None,
    ) -> None:
        def carry_out(cursor: object, sql: str, _none: object, context: object) -> None:
            execute(cursor, sql, context)

        self._execute(carry_out, cursor, sql, (), context)

    def _write(
        self, carry_out: Callable[[], bool], conn: sa.Connection, sql: str, facts: list[Fact]
    ) -> None:
        driver = conn.connection.dbapi_connection
        written = self._written.setdefault(driver, _Written())
        if self._hold is not None:
            self._take_places(self._hold, written, facts)
        if not commits_by_itself(conn, driver, sql):
            if carry_out():
                written.facts += facts
        elif conn.dialect.name == "sqlite" or self._matching(facts):
            self._write_in_transaction(carry_out, conn.connection, written, facts)
        else:
            self._write_at_once(carry_out, driver, facts)

    def _write_in_transaction(
        self,
        carry_out: Callable[[], bool],
        connection: sa.PoolProxiedConnection,
        written: _Written,
        facts: list[Fact],
    ) -> None:
        """Execute an autocommitting statement in a transaction, which has a moment before its commit."""
        connection.cursor().execute("BEGIN")
        try:
            if carry_out():
                written.facts += facts
        except BaseException:
            connection.cursor().execute("ROLLBACK")
            self._forget(connection.dbapi_connection)
            raise
        self._commit(lambda connection: connection.cursor().execute("COMMIT"), connection)

    def _write_at_once(
        self, carry_out: Callable[[], bool], driver: object, facts: list[Fact]
    ) -> None:
        """Let the server commit a statement that no crash matches: a BEGIN and a COMMIT are two round trips.

        Never used on a database with one writer at a time: the statement would wait here for the
        lock of a thread that waits for it in the gate.
        """
        try:
            with self._gate.statements:
                if not carry_out():
                    return
                del self._written[driver]
                facts = _merge_facts(facts)
                self._listeners.on_commit(facts)
        finally:
            self._forget(driver)
        self._listeners.on_survived(facts)

    def _schemas_behind(self, conn: sa.Connection) -> frozenset[str] | None:
        # SQLite has one file for each database; on PostgreSQL, DBOS always names its schema.
        if conn.dialect.name != "sqlite":
            return self._system_schemas
        return None if conn.engine.url.database == self._system_file else frozenset()

    def _commit(self, commit: _EndTransaction, connection: sa.PoolProxiedConnection) -> None:
        driver = connection.dbapi_connection
        written = self._written.get(driver)
        if written is None or not written.facts:
            commit(connection)
            self._forget(driver)
            return
        facts = _merge_facts(written.facts)
        if not facts:  # the arguments of a workflow that exists already
            commit(connection)
            self._forget(driver)
            return
        self._listeners.before_commit(facts)
        trigger, matching = self._trigger, self._matching(facts)
        if trigger is not None and matching:
            with self._gate.alone():
                trigger.fire_if_due(Edge.BEFORE, matching)
                self._make_durable(commit, connection, facts)
                trigger.fire_if_due(Edge.AFTER, matching)
                trigger.count(matching)
        else:
            with self._gate.commits:
                self._make_durable(commit, connection, facts)
        self._listeners.on_survived(facts)

    def _make_durable(
        self,
        commit: _EndTransaction,
        connection: sa.PoolProxiedConnection,
        facts: list[Fact],
    ) -> None:
        commit(connection)
        del self._written[connection.dbapi_connection]  # its places in the hold stay taken
        self._listeners.on_commit(facts)

    def _roll_back(self, roll_back: _EndTransaction, connection: sa.PoolProxiedConnection) -> None:
        driver = connection.dbapi_connection
        try:
            roll_back(connection)
        finally:
            if (
                driver in self._written
            ):  # rarely true: a read-only transaction ends with a rollback too
                self._forget(driver)

    def _on_connection_end(self, driver: object, *_how: object) -> None:
        self._forget(driver)

    def _forget(self, driver: object) -> None:
        written = self._written.pop(driver, None)
        if written is not None and written.places and self._hold is not None:
            self._hold.give_back(written.places)

    def _savepoint(
        self, save: Callable[[sa.Connection, str], None], conn: sa.Connection, name: str
    ) -> None:
        save(conn, name)
        written = self._written.setdefault(conn.connection.dbapi_connection, _Written())
        written.savepoints[name] = len(written.facts)

    def _roll_back_to_savepoint(
        self, roll_back: Callable[[sa.Connection, str], None], conn: sa.Connection, name: str
    ) -> None:
        roll_back(conn, name)
        written = self._written[conn.connection.dbapi_connection]
        del written.facts[written.savepoints[name] :]

    def _matching(self, facts: Sequence[Fact]) -> list[Fact]:
        return self._trigger.matching(facts) if self._trigger is not None else []

    def _take_places(self, hold: Hold, written: _Written, facts: Sequence[Fact]) -> None:
        assert self._held is not None
        for fact in facts:
            if self._held.covers(fact.name):
                # Before the statement, not before the commit: on SQLite the statement takes the only
                # write lock. A thread that waits while it holds the lock stops all others.
                hold.take()
                written.places += 1


def _parameter_sets(parameters: object) -> list[dict[str, object]]:
    """Return the driver's parameter sets by name; positional parameters are named by number."""
    if isinstance(parameters, dict):
        return [parameters]
    if isinstance(parameters, tuple):
        return [{str(number): each for number, each in enumerate(parameters, start=1)}]
    several = parameters if isinstance(parameters, Iterable) else ()
    return [named for each in several for named in _parameter_sets(each)]


def _merge_facts(facts: list[Fact]) -> list[Fact]:
    """Return the facts of one commit, with those that are a part of another fact merged into it."""
    if len(facts) == 1 and facts[0].kind != GIVEN:
        return facts
    kinds = {fact.kind for fact in facts}
    if GIVEN in kinds:
        facts = _with_arguments(facts)
    # A message that a workflow sends is one of its steps.
    if NOTIFIED not in kinds or "step" not in kinds:
        return facts
    sent = tuple(message for fact in facts for message in fact.sent)
    return [
        fact._replace(sent=sent) if fact.kind == "step" else fact
        for fact in facts
        if fact.kind != NOTIFIED
    ]


def _with_arguments(facts: list[Fact]) -> list[Fact]:
    given = {fact.workflow_id: fact.arguments for fact in facts if fact.kind == GIVEN}
    return [
        fact._replace(arguments=given.get(fact.workflow_id, fact.arguments))
        if fact.kind in STARTED
        else fact
        for fact in facts
        if fact.kind != GIVEN
    ]
