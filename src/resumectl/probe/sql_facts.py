"""Read from the text and parameters of a SQL statement which durable facts it will create.

The text is read, not SQLAlchemy's construct: DBOS 3.4.0 compiles its busiest statements once
and hands PostgreSQL's driver their text, with parameters named after the columns.
"""

import functools
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from resumectl.model.crash_plan import encoded, transition_name
from resumectl.model.dbos_table_names import DBOS_TABLE_NAMES

# A value that a statement binds to a parameter: its type is that of the column.
BoundValue = Any
Parameters = Mapping[str, BoundValue]


class Fact(NamedTuple):  # some ten objects for each published message
    """A transition that a statement makes durable, once it is committed."""

    name: str  # such as alpha-1-7/step-1
    kind: str  # last part of the name, without a number: accepted, step, inserted, …
    workflow_id: str | None = None
    what: str = ""  # for people: name of the step or the queue
    queue: str | None = None  # queue of an enqueued workflow
    by_body: str | None = None  # workflow whose body writes to a table, outside of any step
    does_more_each_time: bool = False
    given: tuple[Parameters, ...] = ()  # parameters of a body's statement
    sql: str = ""  # text of a body's statement
    # Destination and text of stored messages; those of a step share its commit.
    sent: tuple[tuple[str, str], ...] = ()
    function: str = ""  # name of the function of a new workflow
    arguments: str | None = None  # stored arguments of a new workflow
    parent: str | None = None  # workflow that starts a new workflow


# Status of a workflow in DBOS 3.4.0 to the name of the transition.
_STATUS_FACTS = {
    "PENDING": "claimed",
    "ENQUEUED": "requeued",
    "SUCCESS": "succeeded",
    "ERROR": "failed",
    "CANCELLED": "cancelled",
    "MAX_RECOVERY_ATTEMPTS_EXCEEDED": "dead-lettered",
}
NOTIFIED = "notified"  # a message to a workflow that no step sent
GIVEN = "given"  # the arguments of a new workflow; they share its commit
ENDED = frozenset({"succeeded", "failed", "cancelled", "dead-lettered"})

_WRITE = re.compile(
    r"\b(INSERT\s+(?:OR\s+\w+\s+)?INTO|UPDATE|DELETE\s+FROM|REPLACE\s+INTO)\s+"
    r'(?:ONLY\s+)?(?:"?(\w+)"?\.)?"?(\w+)"?',
    re.IGNORECASE,
)
_IS_WRITE = re.compile(r"insert|update|delete|replace", re.IGNORECASE)
_CLAUSE = re.compile(r"\b(?:FOR(?:\s+NO\s+KEY)?|DO)\s+UPDATE\b", re.IGNORECASE)
# How SQLAlchemy names the parameters of row m of a VALUES list of several rows.
_ROW_OF_SEVERAL = re.compile(r"(\w+)_m(\d+)")


@functools.lru_cache(
    maxsize=4096
)  # a program has a few hundred statements, and executes each many times
def writes(sql: str) -> tuple[tuple[str, str, str], ...]:
    """Return the writes of a statement, including those of its CTEs, as verb, schema and table."""
    if not _IS_WRITE.search(sql):
        return ()
    # "FOR UPDATE" and "DO UPDATE" are clauses of another statement.
    found = _WRITE.findall(_CLAUSE.sub("", sql))
    return tuple((verb.split()[0].upper(), schema, table) for verb, schema, table in found)


# An INSERT with this clause may be executed twice.
_HARMLESS = re.compile(r"\bON\s+CONFLICT\b|\bINSERT\s+OR\b|\bREPLACE\s+INTO\b", re.IGNORECASE)
# Such as SET stock = stock - 1. Not "||", which also merges documents on PostgreSQL; nor "->".
_BY_ITSELF = re.compile(
    r'(\w+)"?\s*=[^,=]*?\b\1\b"?(?:\s*,\s*[\w?.]+)?\)*\s*(?:[+*/]|-(?!>))', re.IGNORECASE
)
_ASSIGNMENTS = re.compile(r"\bSET\b(.*?)(?:\bWHERE\b|\bRETURNING\b|$)", re.IGNORECASE | re.DOTALL)
_GIVEN = re.compile(r"%\(\w+\)s|(?<!:):\w+|'[^']*'")  # parameters, and literal text


def _is_cumulative(sql: str, kind: str) -> bool:
    """Return whether a second execution changes the result of the first."""
    if kind == "inserted" and not _HARMLESS.search(sql):
        return True
    assignments = _ASSIGNMENTS.findall(_GIVEN.sub("?", sql))
    return any(_BY_ITSELF.search(each) for each in assignments)


# Matches a statement that may set a workflow's status.
_NAMES_STATUS = re.compile(r'\bstatus"?\s*=', re.IGNORECASE)


def no_body() -> None:
    """Return None: this thread runs no workflow's body."""


# Returns the facts of one execution. Takes its parameter sets (several for an "executemany") and a
# function that returns the workflow whose body this thread runs, outside of any step.
Extractor = Callable[[Sequence[Parameters], Callable[[], str | None]], list[Fact]]


@functools.lru_cache(maxsize=4096)  # cached: it does not depend on the parameters
def fact_extractors(
    sql: str, has_publisher: bool = False, dbos_schemas: frozenset[str] | None = None
) -> tuple[Extractor, ...]:
    """Return the extractors of the durable facts that a statement will create.

    Args:
        sql: Text of the statement. Writes inside its CTEs count too: on PostgreSQL, DBOS writes
            a workflow's outcome as a SELECT over two of them.
        has_publisher: Whether resumectl's own publisher runs: its deliveries belong to their
            workflows, and its other tables are bookkeeping.
        dbos_schemas: Schemas of the written database in which tables with DBOS's names are
            DBOS's; None for all. A program may have a table `notifications` of its own.
    """
    found: list[Extractor] = []
    for verb, schema, table in writes(sql):
        is_dbos = table in _DATASOURCE_TABLES or (
            table in DBOS_TABLE_NAMES and (dbos_schemas is None or schema in dbos_schemas)
        )
        if is_dbos or (has_publisher and table in _PUBLISHER_TABLES):
            extractor = _extractor_of_known_table(verb, table, sql)
            if extractor is not None:
                found.append(extractor)
        else:
            kind = _VERBS[verb]
            does_more = _is_cumulative(sql, kind)
            fact = Fact(transition_name(table, kind), kind, does_more_each_time=does_more)
            found.append(functools.partial(_table_facts, fact, sql))
    return tuple(found)


def _extractor_of_known_table(verb: str, table: str, sql: str) -> Extractor | None:
    """Return the extractor for a table of DBOS's or the publisher's; None for bookkeeping."""
    if verb == "INSERT" and table in _ROW_EXTRACTORS:
        return functools.partial(_row_facts, *_ROW_EXTRACTORS[table])
    extract = _CONDITION_EXTRACTORS.get((verb, table))
    # DBOS (3.4.0) sets only the owner of a workflow three times.
    if extract is None or (extract is _status_changed and not _NAMES_STATUS.search(sql)):
        return None
    return functools.partial(_condition_facts, extract)


def _row_facts(
    column: str,
    extract: Callable[[Parameters], Fact | None],
    sets: Sequence[Parameters],
    _body: object,
) -> list[Fact]:
    """Return the facts of the rows of an INSERT, each of which has this column."""
    found = []
    for parameters in sets:
        for row in (parameters,) if column in parameters else _insert_rows(parameters, column):
            fact = extract(row)
            if fact is not None:
                found.append(fact)
    return found


def _condition_facts(
    extract: Callable[[Parameters], Iterator[Fact]], sets: Sequence[Parameters], _body: object
) -> list[Fact]:
    return [fact for parameters in sets for fact in extract(parameters)]


def _table_facts(
    fact: Fact, sql: str, sets: Sequence[Parameters], body: Callable[[], str | None]
) -> list[Fact]:
    workflow_id = body()
    if workflow_id is None:
        return [fact]
    return [fact._replace(by_body=workflow_id, given=tuple(sets), sql=sql)]


_VERBS = {"INSERT": "inserted", "REPLACE": "inserted", "UPDATE": "updated", "DELETE": "deleted"}


def _insert_rows(parameters: Parameters, column: str) -> list[Parameters]:
    """Return the rows of a VALUES list of several, where they have this column."""
    rows: dict[str, dict[str, BoundValue]] = {}
    for name, value in parameters.items():
        match = _ROW_OF_SEVERAL.fullmatch(name)
        if match:
            rows.setdefault(match[2], {})[match[1]] = value
    return [row for row in rows.values() if column in row]


def _fact(
    workflow_id: str, kind: str, text: str = "", what: str = "", queue: str | None = None
) -> Fact:
    return Fact(f"{encoded(workflow_id)}/{text or kind}", kind, workflow_id, what, queue)


def _accepted(row: Parameters) -> Fact | None:
    queue = row.get("queue_name")
    what = f"{row.get('name') or ''}{f' on queue {queue}' if queue else ''}"
    kind = _STARTING.get(str(row.get("status")))
    if kind is None:
        return None
    fact = _fact(row["workflow_uuid"], kind, what=what, queue=queue)
    # Before 3.0, DBOS stores the arguments in the same row.
    return fact._replace(
        function=str(row.get("name") or ""),
        arguments=row.get("inputs"),
        parent=row.get("parent_workflow_id"),
    )


def _given(row: Parameters) -> Fact:
    return _fact(row["workflow_uuid"], GIVEN)._replace(arguments=row["inputs"])


def _notified(row: Parameters) -> Fact:
    destination = row["destination_uuid"]
    fact = _fact(destination, NOTIFIED, what=str(row.get("topic") or ""))
    return fact._replace(sent=((destination, str(row.get("message"))),))


def _step(row: Parameters) -> Fact:
    what = str(row.get("function_name") or "")
    return _fact(row["workflow_uuid"], "step", f"step-{row['function_id']}", what)


def _transaction(row: Parameters) -> Fact:
    return _fact(row["workflow_id"], "transaction", f"transaction-{row['step_id']}")


def _decorated_transaction(row: Parameters) -> Fact:
    number = row["function_id"]
    return _fact(row["workflow_uuid"], "transaction", f"transaction-{number}")


def _delivered(row: Parameters) -> Fact:
    return _fact(row["workflow_id"], "delivered")


_STARTING = {"PENDING": "accepted", "ENQUEUED": "enqueued", "DELAYED": "enqueued"}
# Table to: a column that each row of an INSERT has, and the extractor of the row's fact.
_ROW_EXTRACTORS: dict[str, tuple[str, Callable[[Parameters], Fact | None]]] = {
    "workflow_status": ("workflow_uuid", _accepted),
    "workflow_input": ("inputs", _given),
    "notifications": ("destination_uuid", _notified),
    "operation_outputs": ("function_id", _step),
    "datasource_outputs": ("step_id", _transaction),
    "transaction_outputs": ("function_id", _decorated_transaction),  # DBOS 2
    "deliveries": ("workflow_id", _delivered),
}


def _status_changed(parameters: Parameters) -> Iterator[Fact]:
    # DBOS writes the new status under one of two names. The condition has a status too, under a
    # numbered name.
    kind = _STATUS_FACTS.get(str(parameters.get("status", parameters.get("new_status"))))
    if kind is None:
        return
    for name, value in parameters.items():
        if name == "wf_id" or name.startswith("workflow_uuid"):
            # A claim may cover many workflows, as a list in an IN condition.
            for workflow_id in value if isinstance(value, list | tuple) else [value]:
                if isinstance(workflow_id, str):
                    yield _fact(workflow_id, kind)


def _deleted(parameters: Parameters) -> Iterator[Fact]:
    for name, value in parameters.items():
        if name.startswith("workflow_uuid"):
            for workflow_id in value if isinstance(value, list | tuple) else [value]:
                yield _fact(workflow_id, "deleted")


def _transactions_cleared(parameters: Parameters) -> Iterator[Fact]:
    for name, value in parameters.items():
        if name.startswith("workflow_id") and isinstance(value, str):
            yield _fact(value, "transactions-cleared")


_CONDITION_EXTRACTORS: dict[tuple[str, str], Callable[[Parameters], Iterator[Fact]]] = {
    ("UPDATE", "workflow_status"): _status_changed,
    ("DELETE", "workflow_status"): _deleted,
    ("DELETE", "datasource_outputs"): _transactions_cleared,
}

# DBOS's tables beside the program's own, in any schema and database.
_DATASOURCE_TABLES = frozenset(
    {"datasource_outputs", "dbos_datasource_migrations", "transaction_outputs"}
)
_PUBLISHER_TABLES = frozenset(
    {"batches", "deliveries", "failures", "messages", "processes", "publishers"}
)
