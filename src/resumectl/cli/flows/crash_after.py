"""`crash-after N`: write the batch down, have a victim die of it, and show what is left."""

from dataclasses import dataclass

import sqlalchemy as sa

from resumectl.cli.common import Common
from resumectl.cli.flows.company import refuse_company
from resumectl.cli.flows.publish import look_around, say_what_is_resumed
from resumectl.cli.request import Request
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, NothingProved, Refusal
from resumectl.model.crash_plan import Blow, CrashPlan, Edge, delivery_plan
from resumectl.model.orders import Specification
from resumectl.publishing import records, workflows
from resumectl.publishing.batches import Batch
from resumectl.publishing.migration import ensure_migrated
from resumectl.publishing.state import Guarantee
from resumectl.publishing.view import viewing
from resumectl.report import console, machine
from resumectl.report import publishing as tables
from resumectl.runner.crash_process import Ending, run_victim
from resumectl.settings import Settings
from resumectl.text import counted, literal

_WHEN = {
    "before-delivery": Edge.BEFORE,
    "after-delivery": Edge.AFTER,
    "after-checkpoint": None,
}
# What is recorded once the effect has happened. Under at-most-once the step is recorded
# before the delivery, so that only the workflow's outcome comes after it.
_CHECKPOINT = {
    Guarantee.EXACTLY_ONCE: "step-1",
    Guarantee.IDEMPOTENT: "step-1",
    Guarantee.AT_LEAST_ONCE: "step-1",
    Guarantee.AT_MOST_ONCE: "succeeded",
}


@dataclass(frozen=True, slots=True)
class HowToDie:
    """On which edge of the delivery (None: after its checkpoint), and by what."""

    edge: Edge | None
    blow: Blow


def how_to_die(*, when: str, signal_name: str | None, by_exit: bool) -> HowToDie:
    """Read the options.

    Raises:
        Refusal: One of them is unknown, or two exclude each other.
    """
    if when not in _WHEN:
        raise Refusal(f"the instant {when!r} is unknown", next_step=f"one of {', '.join(_WHEN)}")
    if by_exit and signal_name is not None:
        raise Refusal("--exit and --signal exclude each other", next_step="leave one out")
    blows = {"KILL": Blow.KILL, "TERM": Blow.TERM}
    name = (signal_name or "KILL").upper().removeprefix("SIG")
    if name not in blows:
        raise Refusal(f"the signal {name!r} is not one to die by", next_step="use KILL or TERM")
    return HowToDie(_WHEN[when], Blow.EXIT if by_exit else blows[name])


def crash_after(common: Common, request: Request, n: int, how: HowToDie) -> ExitCode:
    """Publish in a child that dies at its n-th delivery, and show what it left."""
    common.start_logging()
    settings = common.settings()
    _refuse_if_out_of_range(n, len(request.bodies))
    engine = open_engine(settings)
    with failures_explained(settings):
        ensure_migrated(settings, engine)
        before = look_around(settings, engine)
        _refuse_if_not_alone(settings, engine)
        with engine.begin() as connection:
            batch = request.write_down(connection)
        if not batch.is_new:
            raise Refusal(
                f"the batch {batch.id} has been published before",
                next_step="choose another --id, or leave it out",
            )
    engine.dispose()
    say_what_is_resumed(common, before.batches)
    plan = _plan(batch, n, how)
    ending = run_victim(
        settings,
        lambda death_note: Specification(
            batch_id=batch.id,
            plan=str(plan),
            death_note=death_note,
            app_name=settings.app_name,
            app_version=settings.app_version,
            executor_id=settings.executor_id,
            dbos_schema=settings.dbos_schema,
            concurrency=request.concurrency,
            verbose=common.verbose,
            log_format=common.log_format,
        ).as_argument(),
    )
    return _report(common, batch, plan, ending)


def _refuse_if_out_of_range(n: int, count: int) -> None:
    if n < 1:
        raise Refusal(f"there is no delivery {n}", next_step="as in  resumectl crash-after 7")
    if n > count:
        raise Refusal(
            f"the batch has {counted(count, 'message')}: there is no delivery {n} to die at",
            next_step=f"resumectl crash-after {count}, or a larger --count",
        )


def _refuse_if_not_alone(settings: Settings, engine: sa.Engine) -> None:
    """Another process on the same queue would take messages, and the count would not be exact."""
    with viewing(settings, engine) as view:
        refuse_company(
            view, next_step="end it first, or use another database: --db-url sqlite:///other.sqlite"
        )


def _plan(batch: Batch, n: int, how: HowToDie) -> CrashPlan:
    return delivery_plan(
        batch.id,
        n,
        edge=how.edge or Edge.AFTER,
        blow=how.blow,
        checkpoint=_CHECKPOINT[Guarantee(batch.guarantee)] if how.edge is None else None,
    )


def _report(common: Common, batch: Batch, plan: CrashPlan, ending: Ending) -> ExitCode:
    settings = common.settings()
    engine = open_engine(settings)
    with failures_explained(settings), viewing(settings, engine) as view:
        state = records.read_state(view, settings, batch_ids=[batch.id])
        statuses = workflows.count_statuses(view.connection, settings, batch.id)
    engine.dispose()
    (left,) = state.batches
    proved = ending.is_as_planned(plan)
    document = {
        "batch": batch.id,
        "plan": str(plan),
        "pid": ending.pid,
        "signal": ending.signal,
        "exit_status": ending.exit_status,
        "struck": ending.struck,
        "delivered": left.counts.delivered,
        "workflows": statuses,
        "proved": proved,
    }
    if not common.as_json:
        console.show(
            tables.crash_line(f"pid {ending.pid}: {ending}", literal(ending.struck or "no blow")),
            tables.batches_sheet([left], title="Left behind", totals=None),
            tables.statuses_sheet(statuses),
            tables.counters_sheet(state.publishers),
        )
    if not proved:
        raise NothingProved(
            f"the victim of {plan} ended otherwise: {ending}"
            + ("" if ending.struck else ", and the blow never fell"),
            next_step="resumectl state, then again with -v to see what it did",
            document=document,
        )
    if common.as_json:
        machine.show(document)
    common.say_next("resumectl resume")
    return ExitCode.DONE
