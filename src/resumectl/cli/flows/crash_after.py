"""`crash-after N`: store a batch, kill the process that publishes it, and show what is left."""

from dataclasses import dataclass

import sqlalchemy as sa

from resumectl.cli.common import Common
from resumectl.cli.flows.other_processes import refuse_other_processes
from resumectl.cli.flows.publish import report_resumed, survey_work
from resumectl.cli.request import Request
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, NothingProved, Refusal
from resumectl.model.crash_plan import CrashPlan, Edge, KillMethod, delivery_plan
from resumectl.model.orders import CrashAfterOrder
from resumectl.publishing.store import records, workflows
from resumectl.publishing.store.batches import Batch
from resumectl.publishing.store.migration import ensure_migrated
from resumectl.publishing.store.state import Guarantee
from resumectl.publishing.store.view import viewing
from resumectl.report import console, json_documents
from resumectl.report import publisher_tables as tables
from resumectl.runner.crash_process import CrashedProcess, run_crash_process
from resumectl.settings import Settings
from resumectl.text import counted, literal

_WHEN = {
    "before-delivery": Edge.BEFORE,
    "after-delivery": Edge.AFTER,
    "after-checkpoint": None,
}
# The checkpoint after the effect. Under at-most-once the step is recorded before the delivery, and
# only the outcome of the workflow comes after it.
_CHECKPOINT = {
    Guarantee.EXACTLY_ONCE: "step-1",
    Guarantee.IDEMPOTENT: "step-1",
    Guarantee.AT_LEAST_ONCE: "step-1",
    Guarantee.AT_MOST_ONCE: "succeeded",
}


@dataclass(frozen=True, slots=True)
class HowToCrash:
    """The edge of the delivery (None: after its checkpoint) and the method of the kill."""

    edge: Edge | None
    method: KillMethod


def how_to_crash(*, when: str, signal_name: str | None, by_exit: bool) -> HowToCrash:
    """Return how the options kill the process.

    Args:
        when: Moment of the kill, as `--when` takes it.
        signal_name: Name of the signal, with or without SIG; None for SIGKILL.
        by_exit: End the process by `os._exit` instead of a signal.

    Raises:
        Refusal: A value is unknown, or two options exclude each other.
    """
    if when not in _WHEN:
        raise Refusal(f"unknown moment {when!r}", next_step=f"one of {', '.join(_WHEN)}")
    if by_exit and signal_name is not None:
        raise Refusal("--exit and --signal exclude each other", next_step="leave one out")
    methods = {"KILL": KillMethod.KILL, "TERM": KillMethod.TERM}
    name = (signal_name or "KILL").upper().removeprefix("SIG")
    if name not in methods:
        raise Refusal(f"unsupported signal {name!r}", next_step="use KILL or TERM")
    return HowToCrash(_WHEN[when], KillMethod.EXIT if by_exit else methods[name])


def crash_after(common: Common, request: Request, n: int, how: HowToCrash) -> ExitCode:
    """Publish in a child process that is killed at its n-th delivery, and show what is left."""
    common.start_logging()
    settings = common.settings()
    _refuse_if_out_of_range(n, len(request.bodies))
    engine = open_engine(settings)
    with failures_explained(settings):
        ensure_migrated(settings, engine)
        before = survey_work(settings, engine)
        _refuse_if_not_alone(settings, engine)
        with engine.begin() as connection:
            batch = request.store(connection)
        if not batch.is_new:
            raise Refusal(
                f"the batch {batch.id} has been published before",
                next_step="choose another --id, or leave it out",
            )
    engine.dispose()
    report_resumed(common, before.batches)
    plan = _plan(batch, n, how)
    crashed = run_crash_process(
        settings,
        lambda descriptor: CrashAfterOrder(
            batch_id=batch.id,
            plan=str(plan),
            note_descriptor=descriptor,
            app_name=settings.app_name,
            app_version=settings.app_version,
            executor_id=settings.executor_id,
            dbos_schema=settings.dbos_schema,
            concurrency=request.concurrency,
            verbose=common.verbose,
            log_format=common.log_format,
        ),
    )
    return _report(common, batch, plan, crashed)


def _refuse_if_out_of_range(n: int, count: int) -> None:
    if n < 1:
        raise Refusal(f"there is no delivery {n}", next_step="as in  resumectl crash-after 7")
    if n > count:
        raise Refusal(
            f"the batch has {counted(count, 'message')}: there is no delivery {n}",
            next_step=f"resumectl crash-after {count}, or a larger --count",
        )


def _refuse_if_not_alone(settings: Settings, engine: sa.Engine) -> None:
    """Refuse if another process would take messages from the queue: the count would be wrong."""
    with viewing(settings, engine) as view:
        refuse_other_processes(
            view, next_step="end it first, or use another database: --db-url sqlite:///other.sqlite"
        )


def _plan(batch: Batch, n: int, how: HowToCrash) -> CrashPlan:
    return delivery_plan(
        batch.id,
        n,
        edge=how.edge or Edge.AFTER,
        method=how.method,
        checkpoint=_CHECKPOINT[Guarantee(batch.guarantee)] if how.edge is None else None,
    )


def _report(common: Common, batch: Batch, plan: CrashPlan, crashed: CrashedProcess) -> ExitCode:
    settings = common.settings()
    engine = open_engine(settings)
    with failures_explained(settings), viewing(settings, engine) as view:
        state = records.read_state(view, settings, batch_ids=[batch.id])
        statuses = workflows.count_statuses(view.connection, settings, batch.id)
    engine.dispose()
    (left,) = state.batches
    proved = crashed.is_as_planned(plan)
    end = crashed.exit
    document = {
        "batch": batch.id,
        "plan": str(plan),
        "pid": end.pid,
        "signal": end.signal,
        "exit_status": end.exit_status,
        "reached": crashed.reached,
        "delivered": left.counts.delivered,
        "workflows": statuses,
        "proved": proved,
    }
    if not common.as_json:
        console.show(
            tables.crash_line(
                f"pid {end.pid}: {end}", literal(crashed.reached or "crash point not reached")
            ),
            tables.batches_sheet([left], title="Left behind", totals=None),
            tables.statuses_sheet(statuses),
            tables.counters_sheet(state.publishers),
        )
    if not proved:
        raise NothingProved(
            f"the process did not end as the crash plan {plan} says: {end}"
            + ("" if crashed.reached else "; its crash point was not reached"),
            next_step="resumectl state, then run it again with -v to see each delivery",
            document=document,
        )
    if common.as_json:
        json_documents.show(document)
    common.say_next("resumectl resume")
    return ExitCode.DONE
