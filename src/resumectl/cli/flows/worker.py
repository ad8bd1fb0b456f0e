"""`worker`: serve the queues until stopped, and take over the work of ended processes."""

import time

from resumectl.cli.common import Common
from resumectl.cli.flows.publish import survey_work
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, Refusal
from resumectl.publishing.runtime import Runtime
from resumectl.publishing.store.migration import ensure_migrated
from resumectl.report import json_documents
from resumectl.runner import sweep_workflow
from resumectl.runner.sweep_ids import sweep_ids
from resumectl.runner.sweep_worker import SweepWorker

# Interval between two checks that the worker can continue, in seconds.
_CHECK_EVERY_S = 1.0


def serve(common: Common, *, adopt_every_s: float | None) -> ExitCode:
    """Serve the queue until SIGTERM or Ctrl-C.

    Args:
        common: The options of every command.
        adopt_every_s: Interval between searches for the work of ended processes, in seconds; None
            to take over none.

    Raises:
        MachineFailure: The lock is lost, and others may take this process's work.
    """
    if adopt_every_s is not None and not 0 < adopt_every_s <= 86_400:
        raise Refusal(
            f"--adopt-every {adopt_every_s} is not above 0 and at most 86400 seconds",
            next_step="as in  --adopt-every 5",
        )
    common.start_logging()
    _update_queues(common)
    worker = SweepWorker(common.settings())
    sweep_workflow.set_worker(worker)
    runtime = Runtime(common.settings(), "worker", queues=None, companion=worker)
    try:
        with runtime:
            common.say(
                f"serving as {runtime.executor_id}, process {runtime.id}; Ctrl-C or SIGTERM ends it in order"
            )
            _serve(runtime, adopt_every_s)
    except KeyboardInterrupt:
        common.say("ended in order")
    if common.as_json:
        json_documents.show({"executor": runtime.executor_id, "process": runtime.id})
    return ExitCode.DONE


def _update_queues(common: Common) -> None:
    """Register the queues of sweeps that were killed before they could do so."""
    settings = common.settings()
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            ensure_migrated(settings, engine)
            left = [each.workflow_id for each in survey_work(settings, engine).available]
            if sweep_ids(left):
                sweep_workflow.update_queues(settings, engine, sweep_ids(left))
    finally:
        engine.dispose()


def _serve(runtime: Runtime, adopt_every_s: float | None) -> None:
    adopt_at = time.monotonic()
    while True:
        runtime.check()
        if adopt_every_s is not None and time.monotonic() >= adopt_at:
            runtime.adopt()
            runtime.start_unstarted()
            adopt_at = time.monotonic() + adopt_every_s
        until_next = adopt_at - time.monotonic() if adopt_every_s is not None else _CHECK_EVERY_S
        # Between two checks; Ctrl-C and SIGTERM end it.
        time.sleep(max(0.01, min(_CHECK_EVERY_S, until_next)))
