"""Watch SQLAlchemy, name the durable transitions that each commit makes, and strike.

Works on any DBOS program, for it looks only at statements and commits, through
SQLAlchemy's events and `Dialect.do_commit`, and at no hook of DBOS's. Nothing is watched
until `arm` is called, in the process that is to die.
"""

import os
import re
import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NoReturn
from weakref import WeakKeyDictionary

import sqlalchemy as sa
from sqlalchemy import event

from resumectl.lab.plan import EXIT_STATUS, Blow, Death, Edge

# Where a connection keeps the transitions of its open transaction; the dictionary is
# SQLAlchemy's `info`, which lives and dies with the driver's connection.
_PENDING = "resumectl.transitions"
_RESERVED = "resumectl.reserved"

# Outcomes of a workflow, as DBOS 3.4.0 spells them, to the names of their transitions.
_OUTCOMES = {
    "SUCCESS": "succeeded",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "dead-lettered",
}

Parameters = Mapping[str, Any]

_WRITE = re.compile(r'\b(INSERT INTO|UPDATE)\s+(?:"?\w+"?\.)?"?(\w+)"?')
# How SQLAlchemy names the parameters of row m of a VALUES list of several rows.
_ROW_OF_SEVERAL = re.compile(r"(\w+)_m(\d+)")


# ------------------------------------------------------------- statements to transitions


def transitions_of(sql: str, parameter_sets: Sequence[Parameters]) -> list[str]:
    """What becomes true when a statement commits, as in `alpha-1-7/step-1`.

    The text is read, not a construct: DBOS 3.4.0 compiles its busiest statements once and
    hands PostgreSQL's driver their text, with parameters named after the columns.

    Args:
        sql: The statement; the writes inside its CTEs count too (on PostgreSQL, DBOS writes
            a workflow's outcome as a SELECT over two of them).
        parameter_sets: Its parameters by name; several for an "executemany".
    """
    found: list[str] = []
    for verb, table in _WRITE.findall(sql):
        rule = _RULES.get((verb, table))
        if rule is not None:
            for parameters in parameter_sets:
                found.extend(rule(parameters))
    return found


def _rows(parameters: Parameters, column: str) -> Iterator[Parameters]:
    """The rows of an INSERT: one, or those of a VALUES list of several."""
    if column in parameters:
        yield parameters
        return
    rows: dict[str, dict[str, Any]] = {}
    for name, value in parameters.items():
        match = _ROW_OF_SEVERAL.fullmatch(name)
        if match:
            rows.setdefault(match[2], {})[match[1]] = value
    yield from (row for row in rows.values() if column in row)


def _accepted(parameters: Parameters) -> Iterator[str]:
    for row in _rows(parameters, "workflow_uuid"):
        if row.get("status") == "PENDING":
            yield f"{row['workflow_uuid']}/accepted"
        elif row.get("status") in ("ENQUEUED", "DELAYED"):
            yield f"{row['workflow_uuid']}/enqueued"


def _ended(parameters: Parameters) -> Iterator[str]:
    # DBOS writes it in two ways, with other parameter names; the condition has a status as
    # well, but only the new one can be an outcome.
    outcome = next((_OUTCOMES[v] for v in map(str, parameters.values()) if v in _OUTCOMES), None)
    names = (name for name in parameters if name == "wf_id" or name.startswith("workflow_uuid"))
    workflow_id = next((parameters[name] for name in names), None)
    if outcome is not None and isinstance(workflow_id, str):
        yield f"{workflow_id}/{outcome}"


def _step(parameters: Parameters) -> Iterator[str]:
    for row in _rows(parameters, "function_id"):
        yield f"{row['workflow_uuid']}/step-{row['function_id']}"


def _transaction(parameters: Parameters) -> Iterator[str]:
    for row in _rows(parameters, "step_id"):
        yield f"{row['workflow_id']}/transaction-{row['step_id']}"


def _delivered(parameters: Parameters) -> Iterator[str]:
    for row in _rows(parameters, "workflow_id"):
        yield f"{row['workflow_id']}/delivered"


_RULES: dict[tuple[str, str], Callable[[Parameters], Iterator[str]]] = {
    ("INSERT INTO", "workflow_status"): _accepted,
    ("UPDATE", "workflow_status"): _ended,
    ("INSERT INTO", "operation_outputs"): _step,
    ("INSERT INTO", "datasource_outputs"): _transaction,
    ("INSERT INTO", "deliveries"): _delivered,
}


# ------------------------------------------------------------- the watch


class Watch:
    """Counts the matching transitions of this process, and strikes at the one that is due.

    Args:
        death: Where and how to die.
        death_note: An open file descriptor; the struck transition is written to it first.
    """

    def __init__(self, death: Death, death_note: int) -> None:
        self._death = death
        self._death_note = death_note
        self._matched = 0
        # One commit at a time: between a commit and the blow nothing else becomes durable.
        self._lock = threading.RLock()
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
        event.listen(sa.Engine, "savepoint", self._savepoint)
        event.listen(sa.Engine, "rollback_savepoint", self._rolled_back_to_savepoint)

    def _before_statement(
        self,
        conn: sa.Connection,
        _cursor: Any,
        sql: str,
        parameters: Any,
        context: Any,
        _many: bool,
    ) -> None:
        found = _transitions_in(sql, parameters, context)
        for transition in found:
            self._reserve(conn, transition)
        if found and _commits_by_itself(conn):
            self._lock.acquire()
            conn.info[_PENDING] = found
            self._before_commit(found)

    def _after_statement(
        self,
        conn: sa.Connection,
        _cursor: Any,
        sql: str,
        parameters: Any,
        context: Any,
        _many: bool,
    ) -> None:
        if _commits_by_itself(conn):
            found = conn.info.pop(_PENDING, None)
            if found:
                try:
                    self._after_commit(conn.info, found)
                finally:
                    self._lock.release()
        else:
            found = _transitions_in(sql, parameters, context)
            if found:
                conn.info.setdefault(_PENDING, []).extend(found)

    def _statement_failed(self, context: Any) -> None:
        conn = context.connection
        if conn is not None and _commits_by_itself(conn) and conn.info.pop(_PENDING, None):
            self._lock.release()

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
        with self._lock:
            self._before_commit(found)
            commit(connection)
            del connection.info[_PENDING]
            self._after_commit(connection.info, found)

    def _rolled_back(self, conn: sa.Connection) -> None:
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

    # --- counting and striking, under the lock

    def _before_commit(self, transitions: list[str]) -> None:
        if self._death.edge is Edge.BEFORE:
            self._strike_if_due(transitions)

    def _after_commit(self, info: dict[Any, Any], transitions: list[str]) -> None:
        info.pop(_RESERVED, None)  # durable now: the places in the hold are used up
        matched = self._matched + self._matches(transitions)
        if self._death.edge is Edge.AFTER:
            self._strike_if_due(transitions)
        self._matched = matched

    def _strike_if_due(self, transitions: list[str]) -> None:
        count = self._matched
        for transition in transitions:
            if self._death.at.covers(transition):
                count += 1
                if count == self._death.at.n:
                    self._strike(transition)

    def _matches(self, transitions: list[str]) -> int:
        return sum(map(self._death.at.covers, transitions))

    def _strike(self, transition: str) -> NoReturn:
        # To an already open descriptor, in one call: nothing here can fail half-way.
        os.write(self._death_note, f"{self._death.edge}:{transition}\n".encode())
        if self._death.blow is Blow.EXIT:
            os._exit(EXIT_STATUS)
        if self._death.blow is Blow.TERM:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
            os.kill(os.getpid(), signal.SIGTERM)
        else:
            os.kill(os.getpid(), signal.SIGKILL)
        # The signal is on its way, but this thread may still be scheduled once more: without
        # the block it has been seen to send the very COMMIT it was to precede.
        while True:
            threading.Event().wait()

    # --- the hold: so many may begin, and no more

    def _reserve(self, conn: sa.Connection, transition: str) -> None:
        hold = self._death.hold
        if hold is None or not hold.covers(transition):
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


def _transitions_in(sql: str, parameters: Any, context: Any) -> list[str]:
    compiled = getattr(context, "compiled_parameters", None)
    if not compiled:  # the driver's own parameters: a dictionary, or several
        compiled = [parameters] if isinstance(parameters, dict) else parameters
    return transitions_of(sql, [each for each in compiled or () if isinstance(each, dict)])


def _commits_by_itself(conn: sa.Connection) -> bool:
    return conn.get_execution_options().get("isolation_level") == "AUTOCOMMIT"
