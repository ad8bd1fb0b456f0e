"""Watch SQLAlchemy: tell of every commit what it makes true, and strike where a plan says.

Works on any DBOS program, for it looks only at statements and commits, and at no hook of
DBOS's: it stands before the methods of SQLAlchemy's dialects that are documented as what
executes and commits. Events would not do: there is none behind a commit, and a listener on
every engine costs all statements, also those that only read (0.03 ms a transaction, of 0.4).
Nothing is watched until `arm` is called, in the process that is to be watched, or to die.
"""

import functools
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event

from resumectl.model.crash_plan import EXIT_STATUS, Blow, Death, Edge
from resumectl.probe.commit_gate import Gate, Hold
from resumectl.probe.driver_semantics import changed_nothing, commits_by_itself
from resumectl.probe.sql_facts import NOTIFIED, Fact, no_body, tellings_of, writes


class _Written:
    """What an open transaction has written, as far as it makes something true."""

    __slots__ = ("facts", "places", "savepoints")

    def __init__(self) -> None:
        self.facts: list[Fact] = []
        self.savepoints: dict[str, int] = {}  # name to the number of facts before it
        self.places = 0  # that it has taken in the hold


def _nothing(_facts: Sequence[Fact]) -> None:
    pass


def no_wait() -> None:
    """Write at once."""


def _never(_transition: str) -> bool:
    return False


class Watch:
    """Tells of the commits of this process, and strikes at the transition that is due.

    Args:
        death: Where and how to die; None to only tell.
        note: Writes the death note, as in `after:alpha-1-7/step-1`, before the blow; must
            be one system call on something already open.
        on_commit: Told of the facts of each commit, once they are durable.
        on_survived: Told of them again, once no blow can fall at them any more. Whoever waits
            for a commit is to be woken here: earlier, it could go on before the blow.
        of_publisher: Whether resumectl's own publisher is at work.
        pause: Called there instead of dying: a control, without a crash.
        before_write: Called ahead of each statement that writes.
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
        on_survived: Callable[[Sequence[Fact]], None] = _nothing,
        of_publisher: bool = False,
        pause: Callable[[], None] | None = None,
        before_write: Callable[[], None] = no_wait,
        body: Callable[[], str | None] = no_body,
    ) -> None:
        self._death = death
        self._note = note
        self._on_commit = on_commit
        self._on_survived = on_survived
        self._of_publisher = of_publisher
        self._pause = pause
        self._before_write = before_write
        self._system_file = sa.make_url(system_database).database
        self._system_schemas = frozenset({system_schema})
        self._body = body
        self._is_suspended = False
        # By the driver's connection, while its transaction is open and has written.
        self._written: dict[Any, _Written] = {}
        self._covers = death.at.covers if death is not None else _never
        self._matched = 0
        self._gate = Gate()
        hold = death.hold if death is not None else None
        self._hold = Hold(hold.n) if hold is not None else None
        self._watching = threading.Lock()

    def arm(self) -> None:
        """Watch every connection that this process opens from now on, of whichever engine."""
        event.listen(sa.Engine, "do_connect", self._watch_dialect)
        for end in ("invalidate", "close", "close_detached"):
            event.listen(sa.Pool, end, self._ended)

    def wait_for_blow(self) -> None:
        """Return once no commit is on its way to the blow: the process may end by itself then.

        What a commit makes true can be read before the thread that committed has struck.
        """
        with self._gate.alone():
            pass

    def no_blow(self) -> AbstractContextManager[None]:
        """What is done in its `with` is not done between the last commit and the blow."""
        return self._gate.commits

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
            return
        self._before_write()
        conn: sa.Connection = context.root_connection
        tellings = tellings_of(sql, self._of_publisher, self._schemas_behind(conn))
        if not tellings:
            execute(cursor, sql, parameters, context)
            return

        def carry_out() -> bool:
            execute(cursor, sql, parameters, context)
            return not changed_nothing(cursor, sql)

        sets = getattr(context, "compiled_parameters", None) or _by_name(parameters)
        facts = [fact for telling in tellings for fact in telling(sets, self._body)]
        if facts:
            self._write(carry_out, conn, sql, facts)
        else:
            carry_out()

    def _execute_no_params(
        self, execute: Callable[..., Any], cursor: Any, sql: str, context: Any = None
    ) -> None:
        def carry_out(cursor: Any, sql: str, _none: Any, context: Any) -> None:
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
        """Give what commits by itself an instant at which it is complete, and not committed."""
        connection.cursor().execute("BEGIN")
        try:
            if carry_out():
                written.facts += facts
        except BaseException:
            connection.cursor().execute("ROLLBACK")
            self._forget(connection.dbapi_connection)
            raise
        self._commit(lambda connection: connection.cursor().execute("COMMIT"), connection)

    def _write_at_once(self, carry_out: Callable[[], bool], driver: Any, facts: list[Fact]) -> None:
        """Leave to the server what nothing is to strike: a BEGIN and a COMMIT are two journeys.

        Not where a database has one writer at a time: that would wait here for the lock of
        whoever waits for it in the gate.
        """
        try:
            with self._gate.statements:
                if not carry_out():
                    return
                del self._written[driver]
                facts = _of_one_commit(facts)
                self._on_commit(facts)
        finally:
            self._forget(driver)
        self._on_survived(facts)

    def _schemas_behind(self, conn: sa.Connection) -> frozenset[str] | None:
        # SQLite has a file for each database; on PostgreSQL, DBOS names its schema always.
        if conn.dialect.name != "sqlite":
            return self._system_schemas
        return None if conn.engine.url.database == self._system_file else frozenset()

    def _commit(self, commit: Callable[[Any], Any], connection: sa.PoolProxiedConnection) -> None:
        driver = connection.dbapi_connection
        written = self._written.get(driver)
        if written is None or not written.facts:
            commit(connection)
            self._forget(driver)
            return
        facts = _of_one_commit(written.facts)
        matching = self._matching(facts)
        if matching:
            with self._gate.alone():
                self._strike_if_due(Edge.BEFORE, matching)
                self._make_durable(commit, connection, facts)
                self._strike_if_due(Edge.AFTER, matching)
                self._matched += len(matching)
        else:
            with self._gate.commits:
                self._make_durable(commit, connection, facts)
        self._on_survived(facts)

    def _make_durable(
        self,
        commit: Callable[[Any], Any],
        connection: sa.PoolProxiedConnection,
        facts: list[Fact],
    ) -> None:
        commit(connection)
        del self._written[connection.dbapi_connection]  # its places in the hold are used up
        self._on_commit(facts)

    def _roll_back(
        self, roll_back: Callable[[Any], None], connection: sa.PoolProxiedConnection
    ) -> None:
        driver = connection.dbapi_connection
        try:
            roll_back(connection)
        finally:
            if driver in self._written:  # hardly ever: what only reads ends so as well
                self._forget(driver)

    def _ended(self, driver: Any, *_how: Any) -> None:
        self._forget(driver)

    def _forget(self, driver: Any) -> None:
        written = self._written.pop(driver, None)
        if written is not None and written.places and self._hold is not None:
            self._hold.give_back(written.places)

    def _savepoint(self, save: Callable[[Any, str], None], conn: sa.Connection, name: str) -> None:
        save(conn, name)
        written = self._written.setdefault(conn.connection.dbapi_connection, _Written())
        written.savepoints[name] = len(written.facts)

    def _roll_back_to_savepoint(
        self, roll_back: Callable[[Any, str], None], conn: sa.Connection, name: str
    ) -> None:
        roll_back(conn, name)
        written = self._written[conn.connection.dbapi_connection]
        del written.facts[written.savepoints[name] :]

    # --- matching, counting, striking

    def _matching(self, facts: Sequence[Fact]) -> list[Fact]:
        return [fact for fact in facts if self._covers(fact.name)]

    def _strike_if_due(self, edge: Edge, matching: Sequence[Fact]) -> None:
        assert self._death is not None
        index = self._death.at.n - 1 - self._matched
        if self._death.edge is edge and 0 <= index < len(matching):
            self._strike(self._death, matching[index].name)

    def _strike(self, death: Death, transition: str) -> None:
        self._note(f"{death.edge}:{transition}")
        if self._pause is not None:
            self._pause()
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

    def _take_places(self, hold: Hold, written: _Written, facts: Sequence[Fact]) -> None:
        assert self._death is not None
        assert self._death.hold is not None
        for fact in facts:
            if self._death.hold.covers(fact.name):
                # Before the statement, not before the commit: on SQLite the statement takes the
                # only write lock, and whoever waits with it in hand stops those who are to go on.
                hold.take()
                written.places += 1


def _by_name(parameters: Any) -> list[dict[str, Any]]:
    """The driver's own parameters, one set or several; by position they have numbers for names."""
    if isinstance(parameters, dict):
        return [parameters]
    if isinstance(parameters, tuple):
        return [{str(number): each for number, each in enumerate(parameters, start=1)}]
    return [named for each in parameters or () for named in _by_name(each)]


def _of_one_commit(facts: list[Fact]) -> list[Fact]:
    # A message that a workflow sends is a step of it.
    if len(facts) == 1 or not any(fact.kind == "step" for fact in facts):
        return facts
    sent = tuple(message for fact in facts for message in fact.sent)
    return [
        fact._replace(sent=sent) if fact.kind == "step" else fact
        for fact in facts
        if fact.kind != NOTIFIED
    ]
