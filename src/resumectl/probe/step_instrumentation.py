"""Report each step body that runs, and each step that DBOS answers from its record.

To be called in the target process, before the module under test is imported.
"""

import functools
import inspect
from collections.abc import Callable
from typing import Any

from dbos import DBOS, AsyncSQLAlchemyDatasource, SQLAlchemyDatasource, StepReservation
from dbos._error import DBOSUnexpectedStepError
from dbos._sys_db import SystemDatabase

from resumectl.probe.call_arguments import enclosed_values

OnStart = Callable[[str, bool, tuple[Any, ...], dict[str, Any]], Callable[[], None]]
OnReplay = Callable[[str, int, str, str], None]


def watch_steps(on_start: OnStart) -> None:
    """Report each step body before it begins to run, and when it has ended.

    Args:
        on_start: Called with the step's name, whether it is a datasource's transaction, and the
            arguments of its body, with those that it takes from where it was made. Returns the
            function that is called at its end.
    """

    def counted(
        func: Callable[..., Any], name: str | None, is_transaction: bool = False
    ) -> Callable[..., Any]:
        step_name = str(name or getattr(func, "__qualname__", repr(func)))

        def began(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Callable[[], None]:
            return on_start(step_name, is_transaction, args, {**enclosed_values(func), **kwargs})

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
    """Return whether DBOS runs this step's body again in this process because it has failed."""
    status = DBOS.step_status
    return status is not None and bool(status.current_attempt)


def watch_replays(on_replay: OnReplay) -> None:
    """Report each step that is answered from its record.

    Args:
        on_replay: Called with the workflow's id, the step's number, its name, and the name that is
            recorded: DBOS refuses to go on if they differ.
    """
    original = SystemDatabase._check_operation_execution_txn

    @functools.wraps(original)
    def check(self: Any, workflow_id: str, number: int, name: str, *more: Any, **named: Any) -> Any:
        try:
            found = original(self, workflow_id, number, name, *more, **named)
        except DBOSUnexpectedStepError as error:
            on_replay(workflow_id, number, name, error.inputs[3])
            raise
        if found is not None:
            on_replay(workflow_id, number, name, name)
        return found

    setattr(SystemDatabase, "_check_operation_execution_txn", check)  # noqa: B010
