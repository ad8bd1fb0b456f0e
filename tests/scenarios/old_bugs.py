"""Recovery bugs that releases of DBOS really had, put back into the one that is installed.

Each scenario is correct, and KEPT; with its bug in the environment variable BUG it is not. The
numbers are those of the changes that fixed them, in dbos-inc/dbos-transact-py.
"""

import contextlib
import inspect
import os
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

import dbos._core
import dbos._outcome
import dbos._queue
import dbos._sys_db
import sqlalchemy as sa
from dbos import DBOS, DBOSContextSetAuth, SetWorkflowID
from dbos._sys_db import SystemDatabase, db_retry

from resumectl import Scenario, effect
from resumectl.probe import pace

# Bug to the kinds of which one must be found.
OLD_BUGS = {
    "none_is_no_result": {"rerun", "stuck"},  # 172, until 0.16
    "input_in_a_second_transaction": {"stuck", "failed"},  # 296, until 0.25
    "asking_again_is_an_attempt": {"failed"},  # 403, until 1.7
    "executed_by_every_reader": {"duplicated"},  # 545, until 2.7
    "user_is_not_restored": {"diverged"},  # 595, until 2.13
    "a_childs_error_is_retried": {"stuck"},  # 704, until 2.23
    "child_in_a_second_transaction": {"unexpected", "duplicated", "stuck"},  # until 2.30
    "message_consumed_beforehand": {"diverged"},  # cf. 76 and 596
}


@contextlib.contextmanager
def in_two(engine: sa.Engine) -> Iterator[sa.Connection]:
    """A connection on which may be committed in between."""
    with engine.connect() as connection:
        yield connection
        connection.commit()


def edit(owner: Any, name: str, *changes: tuple[str, str]) -> None:
    """Replace a function by one with another text, in its own module."""
    function = inspect.unwrap(getattr(owner, name))
    text = inspect.getsource(function)
    if text.startswith(" "):
        text = f"if True:\n{text}"
    for old, new in changes:
        assert old in text, f"this release of dbos has no {old!r} in {name}"
        text = text.replace(old, new)
    made: dict[str, Any] = {}
    exec(text, {**function.__globals__, "in_two": in_two}, made)
    setattr(owner, name, made[name])


def none_is_no_result() -> None:
    def intercept(function: Callable[[], Any], interceptor: Callable[[], Any]) -> Any:
        found = interceptor()
        is_there = found and not isinstance(found, dbos._outcome.NoResult)
        return found if is_there else function()

    setattr(dbos._outcome.Immediate, "_intercept", staticmethod(intercept))  # noqa: B010


def input_in_a_second_transaction() -> None:
    edit(SystemDatabase, "init_workflow", ("self.engine.begin()", "in_two(self.engine)"))
    mark = "        # After the checks above, so a rejected start writes no inputs.\n"
    edit(SystemDatabase, "_insert_workflow_status", (mark, "        conn.commit()\n"))


def asking_again_is_an_attempt() -> None:
    kept = 'set_={"creator_xid": ws.c.creator_xid}'
    counted = kept.replace("}", ', "recovery_attempts": ws.c.recovery_attempts + 1}')
    edit(SystemDatabase, "_insert_workflow_status", (kept, counted))


def executed_by_every_reader() -> None:
    init = SystemDatabase.init_workflow

    def owned_by_all(self: Any, status: Any, **more: Any) -> Any:
        found, should_execute = init(self, status, **more)
        return found, should_execute or found in ("PENDING", "ENQUEUED")

    for owner, name, value in (
        (SystemDatabase, "init_workflow", owned_by_all),
        (SystemDatabase, "_check_owner_txn", lambda *_args, **_named: None),
        (dbos._sys_db, "current_owner_xid", lambda *_args, **_named: None),
    ):
        setattr(owner, name, value)
    # Who comes second to a record waits for the outcome of the first.
    refusal = (
        "raise DBOSStepNondeterminismError(\n"
        '                        result["workflow_uuid"], result["function_id"]\n'
        "                    )"
    )
    gives_way = 'raise DBOSWorkflowConflictIDError(result["workflow_uuid"])'
    edit(SystemDatabase, "_record_operation_result_txn", (refusal, gives_way))


def user_is_not_restored() -> None:
    restored = "with DBOSContextSetAuth(recovered_user, recovered_roles):"
    edit(dbos._core, "execute_dequeued_workflow", (restored, "if True:"))
    setattr(dbos._queue, "execute_dequeued_workflow", dbos._core.execute_dequeued_workflow)  # noqa: B010


def a_childs_error_is_retried() -> None:
    check = SystemDatabase.check_workflow_result
    setattr(SystemDatabase, "check_workflow_result", db_retry()(check))  # noqa: B010


def child_in_a_second_transaction() -> None:
    edit(
        SystemDatabase, "init_child_workflow",
        ("self.engine.begin()", "in_two(self.engine)"),
        ("            inserted = conn.execute(", "            conn.commit()\n            inserted = conn.execute("),
    )  # fmt: skip


def message_consumed_beforehand() -> None:
    consumed = "            rows = c.execute(consume_stmt).fetchall()\n"
    edit(
        SystemDatabase, "recv_consume",
        ("self.engine.begin()", "in_two(self.engine)"),
        (consumed, f"{consumed}            c.commit()\n"),
    )  # fmt: skip


if os.environ.get("BUG"):
    globals()[os.environ["BUG"]]()


@DBOS.step()
def charge(order: str) -> None:
    effect("charge", order)


@DBOS.step()
def look(number: int) -> int:
    time.sleep(pace.stretched(0.03))  # long enough for two to be at it
    return number


@DBOS.step()
def greet(user: str | None) -> str:
    return f"hello, {user}"


@DBOS.workflow()
def checkout() -> list[int]:
    charge("order-1")
    return [look(n) for n in range(3)]


asked_twice = threading.Event()


@DBOS.step()
def look_once_asked_twice() -> bool:
    # What counts attempts is looked at as an execution begins: both askings must precede the crash.
    return asked_twice.wait(timeout=600)


@DBOS.workflow(max_recovery_attempts=1)
def wary() -> bool:
    return look_once_asked_twice()


@DBOS.workflow()
def greeting() -> str:
    return greet(DBOS.authenticated_user)


@DBOS.workflow()
def failing() -> None:
    raise sa.exc.OperationalError("", {}, Exception("closed"), connection_invalidated=True)


@DBOS.workflow()
def catching() -> int:
    try:
        DBOS.start_workflow(failing).get_result()
    except sa.exc.OperationalError:
        return look(1)
    return look(2)


@DBOS.workflow()
def child() -> int:
    return look(1)


@DBOS.workflow()
def parent() -> int:
    with SetWorkflowID(str(uuid.uuid4())):
        return DBOS.start_workflow(child).get_result()


@DBOS.workflow()
def receiving() -> list[Any]:
    # Longer than any pause of an uninterrupted run, in which a shorter wait may rightly time out.
    return [DBOS.recv("topic", timeout_seconds=pace.stretched(5)) for _ in range(2)]


@DBOS.workflow()
def sending() -> None:
    for number in range(2):
        DBOS.send("w-1", number, "topic")


def started(workflow: Callable[..., Any], workflow_id: str = "w-1") -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow)


def ask_twice() -> Any:
    handles = [started(wary) for _ in range(2)]
    asked_twice.set()
    return [handle.get_result() for handle in handles]


def ask_as_somebody() -> Any:
    with DBOSContextSetAuth("alice", ["user"]):
        return started(greeting).get_result()


def send_and_receive() -> Any:
    receiver = started(receiving)
    started(sending, "w-2").get_result()
    return receiver.get_result()


def result_of(workflow: Callable[..., Any]) -> Scenario:
    return Scenario(lambda: started(workflow).get_result())


SCENARIOS = {
    "none_is_no_result": result_of(checkout),
    "input_in_a_second_transaction": result_of(checkout),
    "asking_again_is_an_attempt": Scenario(ask_twice),
    "executed_by_every_reader": result_of(checkout),
    "user_is_not_restored": Scenario(ask_as_somebody),
    "a_childs_error_is_retried": result_of(catching),
    "child_in_a_second_transaction": result_of(parent),
    "message_consumed_beforehand": Scenario(send_and_receive),
}
scenario = SCENARIOS[os.environ["FOR"]] if "FOR" in os.environ else None
