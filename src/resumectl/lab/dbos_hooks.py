"""What the lab changes in DBOS within a victim: configuration, step bodies, and polls.

The only module of the lab that touches names of DBOS that are not public; `check_names`
fails clearly where a release has moved one. To be called in the victim, before the module
under test is imported.
"""

import functools
import inspect
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import dbos._core
import dbos._dbos
import dbos._queue
import dbos._utils
import sqlalchemy as sa
from dbos import DBOS, AsyncSQLAlchemyDatasource, SQLAlchemyDatasource, StepReservation
from dbos._core import WorkflowHandleAsyncTask, WorkflowHandleFuture
from dbos._error import DBOSUnexpectedStepError
from dbos._sys_db import SystemDatabase

from resumectl.lab import pace
from resumectl.lab.payload import enclosed_values
from resumectl.lab.statements import ENDED, Fact

# Polls that remain: what the lab cannot see coming, as a place that becomes free on a queue.
_BACKLOG_POLL_S = 0.01
_IDLE_POLL_S = 0.2
_RESULT_POLL_S = 0.05
_SHORT_POLL_S = 0.02  # where nothing wakes it
LISTENER_POLL_S = 0.005
# A look at a queue costs as much as a step: what is enqueued meanwhile is found by the next.
_POLL_MIN_S = 0.02
# Without a commit for so long on a quiet machine, a recovery is at its end, or waits for a client or the clock.
_STANDSTILL_S = 0.1
_NO_RECOVERY_S = 0.5  # and so long at first, for a recovery that has not begun

# Internal names of DBOS 3.4.0 that are replaced here, and what must be there.
_NAMES: Sequence[tuple[Any, str]] = (
    (dbos._core.ActiveWorkflowById, "activeList"),
    (WorkflowHandleFuture, "get_result"),
    (WorkflowHandleAsyncTask, "get_result"),
    (dbos._dbos, "_get_or_create_dbos_registry"),
    (dbos._dbos, "queue_thread"),
    (dbos._dbos, "startup_recovery_thread"),
    (dbos._queue, "queue_worker_thread"),
    (dbos._utils.LoopAwareEvent, "wait_async"),
    (SystemDatabase, "await_workflow_result"),
    (SystemDatabase, "await_workflow_result_async"),
    (SystemDatabase, "await_first_workflow_id"),
    (SystemDatabase, "await_first_workflow_id_async"),
    (SystemDatabase, "check_workflow_result"),
    (SystemDatabase, "_check_operation_execution_txn"),
    (SystemDatabase, "upsert_queue"),
    (SystemDatabase, "_is_latest_version"),
    (SystemDatabase, "create_application_version"),
    (SystemDatabase, "update_application_version_timestamp"),
    (SQLAlchemyDatasource, "run_tx_step"),
    (AsyncSQLAlchemyDatasource, "run_tx_step_async"),
)

# Kinds of facts that somebody waits for.
_AWAITED = frozenset({"enqueued", "requeued", "claimed", *ENDED})

Ran = Callable[[str, bool, tuple[Any, ...], dict[str, Any]], Callable[[], None]]
Replayed = Callable[[str, int, str, str], None]


def check_names() -> None:
    """Make sure that this DBOS has what is replaced here.

    Raises:
        LookupError: A name has moved.
    """
    for owner, name in _NAMES:
        if not hasattr(owner, name):
            raise LookupError(f"this release of dbos has no {owner.__name__}.{name}")


# Settings of a program that do not hold in a trial: its database, and what talks to others.
_NOT_IN_A_TRIAL = frozenset(
    {"system_database_engine", "conductor_key", "conductor_url", "enable_otlp", "run_migrations"}
)
# Settings that differ in every trial without any bearing on what the program does.
_OF_NO_CONSEQUENCE = frozenset({"log_level", "run_migrations"})


def configure(overrides: Mapping[str, Any]) -> None:
    """Let these settings win over whatever the application gives to `DBOS(config=…)`."""
    original = DBOS.__init__

    @functools.wraps(original)
    def configured(self: Any, *, config: Any, **_more: Any) -> None:
        merged: Any = {k: v for k, v in config.items() if k not in _NOT_IN_A_TRIAL}
        merged.update(overrides)
        original(self, config=merged)
        if _process.instance is self:
            return  # DBOS has one instance, and keeps its first configuration
        _process.replaced = sorted(
            name
            for name, value in config.items()
            if value is not None
            and name not in _OF_NO_CONSEQUENCE
            and (name in _NOT_IN_A_TRIAL or overrides.get(name, value) != value)
        )
        _process.database = _database_of(config)
        _process.is_version_computed = not DBOS.application_version
        _process.instance = self

    DBOS.__init__ = configured  # type: ignore[method-assign]


class _Process:
    """What this process's DBOS does, as far as no public name tells it."""

    def __init__(self) -> None:
        self.instance: Any = None
        self.replaced: list[str] = []  # names of the program's settings
        self.database = ""  # that the program sets itself, without a password
        self.is_version_computed = False  # by DBOS, from the sources of the workflows
        self.served: set[str] = set()  # names of queues
        self.has_recovered = False


_process = _Process()


def replaced_settings() -> Sequence[str]:
    """Return the names of the program's settings that do not hold in a trial."""
    return _process.replaced


def _database_of(config: Mapping[str, Any]) -> str:
    """Return which database the program itself would use, without a password.

    Empty where it leaves that to DBOS, which is the same in each process.
    """
    engine, url = config.get("system_database_engine"), config.get("system_database_url")
    named = engine.url if engine is not None else url
    if named is None:
        return ""
    schema = config.get("dbos_system_schema") or ""
    return f"{sa.make_url(named).render_as_string(hide_password=True)} {schema}".rstrip()


def own_database() -> str:
    """Return which system database the program itself sets; see `_database_of`."""
    return _process.database


def is_version_computed() -> bool:
    """Return whether DBOS computes the application version from the sources of the workflows."""
    return _process.is_version_computed


def executing() -> frozenset[str]:
    """Return the ids of the workflows that this process executes."""
    return frozenset(_process.instance._active_workflows_set.activeList())


def served_queues() -> frozenset[str]:
    """Return the names of the queues that this process takes work from."""
    return frozenset(_process.served)


def has_recovered() -> bool:
    """Return whether DBOS has put back everything that it recovers at its launch."""
    return _process.has_recovered


def note_recovery() -> None:
    """Have the end of the recovery noted that DBOS begins at its launch."""
    original = getattr(dbos._dbos, "startup_recovery_thread")  # noqa: B009 (not exported)

    @functools.wraps(original)
    def recovered(*args: Any, **kwargs: Any) -> None:
        original(*args, **kwargs)
        _process.has_recovered = True

    setattr(dbos._dbos, "startup_recovery_thread", recovered)  # noqa: B010


def shorten_sleeps(longest_s: float) -> None:
    """Let a `DBOS.sleep` that would last longer last so many seconds."""
    for name in ("sleep", "sleep_async"):
        original = getattr(DBOS, name)

        def sleep(seconds: float, original: Callable[[float], Any] = original) -> Any:
            return original(min(seconds, longest_s))

        setattr(DBOS, name, staticmethod(functools.wraps(original)(sleep)))


# What pauses a thread, and the parameter that says for how many seconds at most.
_PAUSES = (("sleep", "seconds"), ("recv", "timeout_seconds"), ("get_event", "timeout_seconds"))


def note_pauses(pause: Callable[[float], AbstractContextManager[None]]) -> None:
    """Have each pause of a thread in DBOS noted; those of coroutines are not.

    Args:
        pause: Entered for the time of the pause, with its length in seconds at most.
    """
    for name, parameter in _PAUSES:
        setattr(DBOS, name, staticmethod(_noted_pause(getattr(DBOS, name), parameter, pause)))


def _noted_pause(
    original: Callable[..., Any],
    parameter: str,
    pause: Callable[[float], AbstractContextManager[None]],
) -> Callable[..., Any]:
    signature = inspect.signature(original)

    @functools.wraps(original)
    def paused(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        with pause(bound.arguments[parameter]):
            return original(*args, **kwargs)

    return paused


# ------------------------------------------------------------- what is registered

# The attribute in which DBOS 3.4.0 keeps a function's registered name, and what it puts before
# the name of the workflow that runs a step by itself.
_REGISTERED_NAME = "dbos_function_name"
_OF_STEP = "<temp>."


def is_workflow(found: Any) -> bool:
    """Return whether this is a function, or a bound method, that DBOS knows as a workflow."""
    return _registered_name(found) in _registered()


def is_step(found: Any) -> bool:
    """Return whether this is a function, or a bound method, that DBOS knows as a step."""
    name = _registered_name(found)
    return name is not None and f"{_OF_STEP}{name}" in _registered()


def _registered_name(found: Any) -> str | None:
    # A type delegates to nothing, and a stand-in for anything has every attribute.
    name = getattr(found, _REGISTERED_NAME, None) if callable(found) else None
    return name if isinstance(name, str) else None


def _registered() -> Mapping[str, Any]:
    known: Mapping[str, Any] = dbos._dbos._get_or_create_dbos_registry().workflow_info_map
    return known


def let_waits_follow_the_clock() -> None:
    """Let the waits of `recv` and `get_event` end when the wall clock says so, as after a restart."""
    event = dbos._utils.LoopAwareEvent
    wait, wait_async = event.wait, event.wait_async

    def waited(self: Any, timeout: float | None = None) -> bool:
        if timeout is None:
            return wait(self)
        until = time.time() + timeout
        while not wait(self, min(max(0.0, until - time.time()), _SHORT_POLL_S)):
            if time.time() >= until:
                return False
        return True

    async def waited_async(self: Any, timeout: float) -> bool:
        until = time.time() + timeout
        while not await wait_async(self, min(max(0.0, until - time.time()), _SHORT_POLL_S)):
            if time.time() >= until:
                return False
        return True

    setattr(event, "wait", waited)  # noqa: B010
    setattr(event, "wait_async", waited_async)  # noqa: B010


# ------------------------------------------------------------- step bodies


def count_steps(ran: Ran) -> None:
    """Have every execution of a step body told before it begins, and when it has ended.

    Args:
        ran: Given the step's name, whether it is a datasource's transaction, and the arguments
            of its body, with what it takes from where it was made; returns what is called at its
            end.
    """

    def counted(
        func: Callable[..., Any], name: str | None, is_transaction: bool = False
    ) -> Callable[..., Any]:
        told = str(name or getattr(func, "__qualname__", repr(func)))

        def began(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], None]:
            return ran(told, is_transaction, args, {**enclosed_values(func), **kwargs})

        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def body(*args: Any, **kwargs: Any) -> Any:
                ended = began(args, kwargs)
                try:
                    return await func(*args, **kwargs)
                finally:
                    ended()
        else:

            @functools.wraps(func)
            def body(*args: Any, **kwargs: Any) -> Any:
                ended = began(args, kwargs)
                try:
                    return func(*args, **kwargs)
                finally:
                    ended()

        return body

    step = DBOS.step

    def counted_step(*args: Any, **options: Any) -> Callable[[Any], Any]:
        decorate = step(*args, **options)
        return lambda func: decorate(counted(func, options.get("name")))

    DBOS.step = staticmethod(counted_step)  # type: ignore[method-assign]
    for owner, name in (
        (DBOS, "run_step"),
        (DBOS, "run_step_async"),
        (StepReservation, "run"),
        (StepReservation, "run_async"),
        (SQLAlchemyDatasource, "run_tx_step"),
        (AsyncSQLAlchemyDatasource, "run_tx_step_async"),
    ):
        _count_in(owner, name, counted)


def _count_in(owner: Any, name: str, counted: Callable[[Any, str | None, bool], Any]) -> None:
    """Count the bodies given to a method whose arguments begin with options and function."""
    is_transaction = owner in (SQLAlchemyDatasource, AsyncSQLAlchemyDatasource)
    original = inspect.getattr_static(owner, name)
    is_class_method = isinstance(original, classmethod)
    inner = original.__func__ if is_class_method else original

    @functools.wraps(inner)
    def call(self: Any, options: Any, func: Any, *args: Any, **kwargs: Any) -> Any:
        step_name = (options or {}).get("name")
        return inner(self, options, counted(func, step_name, is_transaction), *args, **kwargs)

    setattr(owner, name, classmethod(call) if is_class_method else call)


def is_retry() -> bool:
    """Whether a step's body is run again by DBOS because it has failed, in this process."""
    status = DBOS.step_status
    return status is not None and bool(status.current_attempt)


# ------------------------------------------------------------- replays


def tell_replays(replayed: Replayed) -> None:
    """Report each step that is answered from its record.

    Args:
        replayed: Given the workflow's id, the step's number, its name, and the name that is
            recorded: where they differ, DBOS refuses to go on.
    """
    original = SystemDatabase._check_operation_execution_txn

    @functools.wraps(original)
    def check(self: Any, workflow_id: str, number: int, name: str, *more: Any, **named: Any) -> Any:
        try:
            found = original(self, workflow_id, number, name, *more, **named)
        except DBOSUnexpectedStepError as error:
            replayed(workflow_id, number, name, error.inputs[3])
            raise
        if found is not None:
            replayed(workflow_id, number, name, name)
        return found

    setattr(SystemDatabase, "_check_operation_execution_txn", check)  # noqa: B010


# ------------------------------------------------------------- polls


class Wakener:
    """Replaces DBOS's polls by waiting for the commits that they are to find.

    Args:
        backlog: Ids of the workflows that have not ended before the launch.
        waits: Enters a wait for the result of the workflow of this id.
    """

    def __init__(
        self, backlog: Sequence[str], waits: Callable[[str], AbstractContextManager[None]]
    ) -> None:
        self._waits = waits
        self._changed = threading.Condition()
        # Workflow to queue; None where it is not known, as of one that is put back.
        self._backlog: dict[str, str | None] = dict.fromkeys(backlog)
        self._enqueued: Counter[str | None] = Counter()
        self._registered = 0
        self._committed = threading.Event()  # whatever it was
        self._ended: set[str] = set()
        self._looked_at: dict[str, float] = {}  # queue to the clock's seconds

    def committed(self, facts: Sequence[Fact]) -> None:
        """Wake whoever polls for what a commit has made true."""
        if any(fact.kind in _AWAITED for fact in facts):
            self._wake(facts)
        self._committed.set()

    def _wake(self, facts: Sequence[Fact]) -> None:
        with self._changed:
            for fact in facts:
                if fact.workflow_id is None:
                    continue
                if fact.kind in ("enqueued", "requeued"):
                    self._backlog[fact.workflow_id] = fact.queue
                    self._enqueued[fact.queue] += 1
                elif fact.kind == "claimed":
                    self._backlog.pop(fact.workflow_id, None)
                elif fact.kind in ENDED:
                    self._backlog.pop(fact.workflow_id, None)
                    self._ended.add(fact.workflow_id)
            self._changed.notify_all()

    def wait_for_standstill(self, workflow_ids: Sequence[str]) -> None:
        """Wait until these have ended, or until nothing has been committed for a while."""
        patience_s = pace.stretched(_NO_RECOVERY_S)
        while not self._ended.issuperset(workflow_ids) and self._committed.wait(patience_s):
            self._committed.clear()
            patience_s = pace.stretched(_STANDSTILL_S)

    def wait_for_silence(self, patience_s: float) -> None:
        """Wait until nothing has been committed for so many seconds."""
        self._committed.clear()
        while self._committed.wait(patience_s):
            self._committed.clear()

    def wait_for_work(self, queue: str, seen: int, timeout_s: float) -> int:
        """Wait until something has been enqueued since; returns the count to give next time."""
        now = time.monotonic()
        # A pause between two looks, and no wait: what is enqueued meanwhile does not end it.
        time.sleep(max(0.0, self._looked_at.get(queue, 0.0) + _POLL_MIN_S - now))
        deadline = now + min(timeout_s, _IDLE_POLL_S)
        with self._changed:
            while (count := self._enqueued[queue] + self._enqueued[None]) == seen:
                has_backlog = any(each in (queue, None) for each in self._backlog.values())
                poll_s = _BACKLOG_POLL_S if has_backlog else _IDLE_POLL_S
                left_s = min(poll_s, deadline - time.monotonic())
                if left_s <= 0 or not self._changed.wait(left_s):
                    break
            self._looked_at[queue] = time.monotonic()
            return count

    def wait_for_end(self, workflow_id: str, timeout_s: float) -> None:
        """Wait until a workflow has ended in this process, or it is time to look again."""
        with self._changed:
            self._changed.wait_for(
                lambda: workflow_id in self._ended, min(timeout_s, _RESULT_POLL_S)
            )

    def wait_for_queue(self, seen: int, timeout_s: float) -> int:
        """Wait until a queue has been registered since; returns the count to give next time."""
        with self._changed:
            self._changed.wait_for(lambda: self._registered != seen, timeout_s)
            return self._registered

    def wait(self, timeout_s: float) -> None:
        """Wait for a workflow to be enqueued, claimed, or at its end."""
        with self._changed:
            self._changed.wait(timeout_s)

    def install(self) -> None:
        """Replace the polls of queues and of results."""
        serve, manage = dbos._queue.queue_worker_thread, dbos._queue.queue_thread

        def serve_awake(stop: threading.Event, owner: Any, queue: Any) -> None:
            awake: Any = _Stop(stop, functools.partial(self.wait_for_work, queue.name))
            _process.served.add(queue.name)
            serve(awake, owner, queue)
            _process.served.discard(queue.name)

        def manage_awake(stop: threading.Event, owner: Any) -> None:
            awake: Any = _Stop(stop, self.wait_for_queue)
            manage(awake, owner)

        def await_result(
            system: Any, workflow_id: str, polling_interval: float, **more: Any
        ) -> Any:
            with self._waits(workflow_id):
                while True:
                    result = system.check_workflow_result(workflow_id, **more)
                    if type(result).__name__ != "NoResult":
                        return result
                    self.wait_for_end(workflow_id, polling_interval)

        await_result_async = SystemDatabase.await_workflow_result_async

        async def await_result_often(
            system: Any, workflow_id: str, polling_interval: float, **more: Any
        ) -> Any:
            often_s = min(polling_interval, _SHORT_POLL_S)
            with self._waits(workflow_id):
                return await await_result_async(system, workflow_id, often_s, **more)

        setattr(dbos._queue, "queue_worker_thread", serve_awake)  # noqa: B010 (not its type)
        setattr(dbos._dbos, "queue_thread", manage_awake)  # noqa: B010
        setattr(SystemDatabase, "await_workflow_result", await_result)  # noqa: B010
        setattr(SystemDatabase, "await_workflow_result_async", await_result_often)  # noqa: B010
        for name in ("await_first_workflow_id", "await_first_workflow_id_async"):
            _poll_often(name)
        self._notice_waits_in_process()
        self._notice_registrations()
        _remember_the_version()

    def _notice_waits_in_process(self) -> None:
        """Note also who waits for a workflow that was started here: no poll tells of that."""
        wait, wait_async = WorkflowHandleFuture.get_result, WorkflowHandleAsyncTask.get_result

        @functools.wraps(wait)
        def get_result(handle: Any, *args: Any, **kwargs: Any) -> Any:
            with self._waits(handle.workflow_id):
                return wait(handle, *args, **kwargs)

        @functools.wraps(wait_async)
        async def get_result_async(handle: Any, *args: Any, **kwargs: Any) -> Any:
            with self._waits(handle.workflow_id):
                return await wait_async(handle, *args, **kwargs)

        setattr(WorkflowHandleFuture, "get_result", get_result)  # noqa: B010
        setattr(WorkflowHandleAsyncTask, "get_result", get_result_async)  # noqa: B010

    def _notice_registrations(self) -> None:
        upsert = SystemDatabase.upsert_queue

        @functools.wraps(upsert)
        def noticed(*args: Any, **kwargs: Any) -> Any:
            result: Any = upsert(*args, **kwargs)
            with self._changed:
                self._registered += 1
                self._changed.notify_all()
            return result

        setattr(SystemDatabase, "upsert_queue", noticed)  # noqa: B010


def _poll_often(name: str) -> None:
    original = getattr(SystemDatabase, name)

    @functools.wraps(original)
    def polled(system: Any, awaited: Any, polling_interval: float, **more: Any) -> Any:
        return original(system, awaited, min(polling_interval, _SHORT_POLL_S), **more)

    setattr(SystemDatabase, name, polled)


def _remember_the_version() -> None:
    """Ask once whether this is the latest version, not at each look at a queue.

    It is asked again after a registration; there is one process at a time.
    """
    known: dict[str, bool] = {}
    ask = SystemDatabase._is_latest_version

    def remembered(system: Any, app_version: str, *more: Any, **named: Any) -> bool:
        if app_version not in known:
            known[app_version] = ask(system, app_version, *more, **named)
        return known[app_version]

    def forgetting(change: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(change)
        def changed(*args: Any, **kwargs: Any) -> Any:
            try:
                return change(*args, **kwargs)
            finally:
                known.clear()

        return changed

    setattr(SystemDatabase, "_is_latest_version", remembered)  # noqa: B010
    for name in ("create_application_version", "update_application_version_timestamp"):
        setattr(SystemDatabase, name, forgetting(getattr(SystemDatabase, name)))


class _Stop:
    """Stands for the stop event of a thread that polls: its wait is between two polls."""

    def __init__(self, stop: threading.Event, wait: Callable[[int, float], int]) -> None:
        self._stop = stop
        self._wait = wait
        self._seen = -1

    def is_set(self) -> bool:
        return self._stop.is_set()

    def wait(self, timeout: float) -> bool:
        self._seen = self._wait(self._seen, timeout)
        return self._stop.is_set()
