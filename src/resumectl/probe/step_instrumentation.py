"""Report each step body that runs, and each step that DBOS answers from its record.

To be called in the target process, before the module under test is imported.
"""

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping

import dbos
from dbos import DBOS
from dbos._error import DBOSUnexpectedStepError
from dbos._sys_db import SystemDatabase

from resumectl.probe.call_arguments import enclosed_values
from resumectl.probe.dbos_features import Feature, has
from resumectl.probe.program_description import note_step
from resumectl.probe.user_objects import Function

OnStart = Callable[[str, bool, tuple[object, ...], dict[str, object]], Callable[[], None]]
ReportBody = Callable[[Function, object, bool], Function]
OnReplay = Callable[[str, int, str, str], None]


def watch_steps(on_start: OnStart) -> None:
    """Report each step body before it begins to run, and when it has ended.

    Args:
        on_start: Takes the step's name, whether it is a datasource's transaction, and the arguments of
            its body, including the values that the body encloses. Returns the function to call at
            its end.
    """

    def counted(func: Function, name: object, is_transaction: bool = False) -> Function:
        step_name = str(name or getattr(func, "__qualname__", repr(func)))
        note_step(step_name, func)

        def began(args: tuple[object, ...], kwargs: dict[str, object]) -> Callable[[], None]:
            return on_start(step_name, is_transaction, args, {**enclosed_values(func), **kwargs})

        if inspect.iscoroutinefunction(func):

            @functools.wraps(func)
            async def body(*args: object, **kwargs: object) -> object:
                ended = began(args, kwargs)
                try:
                    return await func(*args, **kwargs)
                finally:
                    ended()
        else:

            @functools.wraps(func)
            def body(*args: object, **kwargs: object) -> object:
                ended = began(args, kwargs)
                try:
                    return func(*args, **kwargs)
                finally:
                    ended()

        return body

    step: Callable[..., Callable[[Function], Function]] = DBOS.step

    def counted_step(*args: object, **options: object) -> Callable[[Function], Function]:
        decorate = step(*args, **options)
        return lambda func: decorate(counted(func, options.get("name")))

    setattr(DBOS, "step", staticmethod(counted_step))  # noqa: B010 (not its type)
    for owner, name in _runners():
        _report_bodies(owner, name, counted)


def _runners() -> Iterator[tuple[type, str]]:
    """Yield the methods that run a body, which they take after the options of the step."""
    yield DBOS, "run_step"
    yield DBOS, "run_step_async"
    if has(Feature.STEP_RESERVATION):
        yield dbos.StepReservation, "run"
        yield dbos.StepReservation, "run_async"
    if has(Feature.DATASOURCES):
        yield dbos.SQLAlchemyDatasource, "run_tx_step"
        yield dbos.AsyncSQLAlchemyDatasource, "run_tx_step_async"


def _report_bodies(owner: type, name: str, counted: ReportBody) -> None:
    """Report the bodies that are passed to a method whose first arguments are options and function."""
    is_transaction = name.startswith("run_tx_step")
    original = inspect.getattr_static(owner, name)
    is_class_method = isinstance(original, classmethod)
    inner = original.__func__ if is_class_method else original

    @functools.wraps(inner)
    def call(
        self: object,
        options: Mapping[str, object] | None,
        func: Function,
        *args: object,
        **kwargs: object,
    ) -> object:
        step_name = (options or {}).get("name")
        return inner(self, options, counted(func, step_name, is_transaction), *args, **kwargs)

    replacement: Function = call
    setattr(owner, name, classmethod(replacement) if is_class_method else replacement)


def is_retry() -> bool:
    """Return whether DBOS retries this step's body in this process after a failure."""
    status = DBOS.step_status
    return status is not None and bool(status.current_attempt)


def watch_replays(on_replay: OnReplay) -> None:
    """Report each step that is answered from its record.

    Args:
        on_replay: Takes the workflow's id, the step's number, its name, and the recorded name. DBOS
            refuses to continue if the two names differ.
    """
    original: Function = SystemDatabase._check_operation_execution_txn

    @functools.wraps(original)
    def check(
        self: object, workflow_id: str, number: int, name: str, *more: object, **named: object
    ) -> object:
        try:
            found = original(self, workflow_id, number, name, *more, **named)
        except DBOSUnexpectedStepError as error:
            on_replay(workflow_id, number, name, error.inputs[3])
            raise
        if found is not None:
            on_replay(workflow_id, number, name, name)
        return found

    setattr(SystemDatabase, "_check_operation_execution_txn", check)  # noqa: B010
