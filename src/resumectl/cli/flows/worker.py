"""`worker`: a long life that serves the queue, and adopts what dead lives left."""

import time

from resumectl.cli.common import Common
from resumectl.cli.flows.publish import look_around
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, Refusal
from resumectl.publishing.runtime import Life
from resumectl.publishing.store.migration import ensure_migrated
from resumectl.report import machine
from resumectl.runner import sweep_workflow
from resumectl.runner.sweep_worker import SweepWorker, sweep_ids

# How often a worker makes sure that it can go on.
_CHECK_EVERY_S = 1.0


def serve(common: Common, *, adopt_every_s: float | None) -> ExitCode:
    """Serve until told to end.

    Args:
        common: The options of every command.
        adopt_every_s: Seconds between looks for the work of dead lives; None for none.

    Raises:
        MachineFailure: The lock is lost, so that others may take this process's work.
    """
    if adopt_every_s is not None and not 0 < adopt_every_s <= 86_400:
        raise Refusal(
            f"--adopt-every {adopt_every_s} is not above 0 and up to 86400 seconds",
            next_step="as in  --adopt-every 5",
        )
    common.start_logging()
    _tend_queues(common)
    worker = SweepWorker(common.settings())
    sweep_workflow.set_worker(worker)
    life = Life(common.settings(), "worker", queues=None, companion=worker)
    try:
        with life:
            common.say(
                f"serving as {life.executor_id}, life {life.id}; Ctrl-C or SIGTERM ends in order"
            )
            _serve(life, adopt_every_s)
    except KeyboardInterrupt:
        common.say("ended in order")
    if common.as_json:
        machine.show({"executor": life.executor_id, "life": life.id})
    return ExitCode.DONE


def _tend_queues(common: Common) -> None:
    """A sweep may have died between its beginning and the registration of its queue."""
    settings = common.settings()
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            ensure_migrated(settings, engine)
            left = [each.workflow_id for each in look_around(settings, engine).available]
            if sweep_ids(left):
                sweep_workflow.tend_queues(settings, engine, sweep_ids(left))
    finally:
        engine.dispose()


def _serve(life: Life, adopt_every_s: float | None) -> None:
    adopt_at = time.monotonic()
    while True:
        life.check()
        if adopt_every_s is not None and time.monotonic() >= adopt_at:
            life.adopt()
            life.start_unstarted()
            adopt_at = time.monotonic() + adopt_every_s
        until_next = adopt_at - time.monotonic() if adopt_every_s is not None else _CHECK_EVERY_S
        time.sleep(max(0.01, min(_CHECK_EVERY_S, until_next)))
