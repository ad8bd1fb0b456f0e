"""`publish`: store a batch, run it, and show the result."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

from resumectl.cli.common import Common
from resumectl.cli.request import Request
from resumectl.database import failures_explained, open_engine, snapshot
from resumectl.errors import ExitCode, Interrupted, Refusal
from resumectl.publishing import remote
from resumectl.publishing.runtime import Runtime
from resumectl.publishing.store import records, takeover, workflows
from resumectl.publishing.store.batches import Batch
from resumectl.publishing.store.dbos_tables import has_dbos_tables
from resumectl.publishing.store.migration import ensure_migrated
from resumectl.publishing.store.state import State, broken_promises
from resumectl.publishing.store.takeover import Survey
from resumectl.publishing.store.view import viewing
from resumectl.report import console, json_documents
from resumectl.report import publisher_tables as tables
from resumectl.report.progress import Progress, ReadWorkDone, WorkDone, progress_bar
from resumectl.settings import Settings
from resumectl.statuses import ENDED

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine


def publish(common: Common, request: Request, *, detach: bool) -> ExitCode:
    """Publish a batch in this process or, if detached, by workers."""
    common.start_logging()
    settings = common.settings()
    engine = open_engine(settings)
    with failures_explained(settings):
        ensure_migrated(settings, engine)
        if detach:
            return _leave_to_workers(common, request, engine)
        with engine.begin() as connection:
            batch = request.store(connection)
        before = survey_work(settings, engine)
        _refuse_if_out_of_reach(batch, before)
    resumed = [each for each in before.batches if each != batch.id]
    if not _has_ended(settings, engine, batch):
        report_resumed(common, resumed)
        run(common, request, batch, before)
    engine.dispose()
    return show_batches(common, [batch.id], resumed=resumed if batch.is_new else [])


def run(common: Common, request: Request, batch: Batch, before: Survey) -> None:
    """Run until the batch, and the earlier ones that the launch resumes, have ended."""
    try:
        with Runtime(common.settings(), "publish", concurrency=request.concurrency) as runtime:
            runtime.adopt()
            runtime.start_unstarted()
            runtime.start(batch)
            ids = list(dict.fromkeys([batch.id, *before.batches]))
            with batch_progress(common, runtime, ids) as progress:
                runtime.wait([batch.id, *before.roots], every_poll=progress.poll)
    except KeyboardInterrupt:
        raise Interrupted(
            f"{batch.id} is unfinished, and nothing is lost", next_step="resumectl resume"
        ) from None


def survey_work(settings: Settings, engine: "Engine") -> Survey:
    """Return all unfinished work, before this process takes up any."""
    with viewing(settings, engine) as view:
        return takeover.survey(view, settings)


def report_resumed(common: Common, resumed: list[str]) -> None:
    """Print which batches of earlier processes the launch will resume."""
    if resumed:
        shown = ", ".join(resumed[:5]) + (" …" if len(resumed) > 5 else "")
        common.say(f"unfinished work is resumed as well: {shown}")


def batch_progress(
    common: Common, runtime: Runtime, ids: list[str]
) -> AbstractContextManager[Progress]:
    """Open a progress bar for the messages of batches."""
    return progress_bar([look(runtime.engine, ids)], hidden=common.verbose)


def look(engine: "Engine", ids: Sequence[str]) -> ReadWorkDone:
    """Return the function that a progress bar calls for the messages of batches."""

    def seen() -> WorkDone:
        with snapshot(engine) as connection:
            counts = records.read_counts(connection, ids)
        return WorkDone("delivering", counts.delivered + counts.missing, counts.expected)

    return seen


def _refuse_if_out_of_reach(batch: Batch, survey: Survey) -> None:
    for blocked in survey.blocked:
        if blocked.workflow.workflow_id == batch.id and "version" in blocked.reason:
            raise Refusal(
                f"the batch {batch.id} is unfinished, and {blocked.reason}",
                next_step=blocked.next_step,
            )


def _has_ended(settings: Settings, engine: "Engine", batch: Batch) -> bool:
    if batch.is_new:
        return False
    with failures_explained(settings), snapshot(engine) as connection:
        if not has_dbos_tables(connection, settings):
            return False
        status = workflows.statuses(connection, [batch.id]).get(batch.id)
        # A batch that ran, and whose workflow was deleted since, must not start again.
        return status in ENDED or (status is None and records.has_traces(connection, batch.id))


def _leave_to_workers(common: Common, request: Request, engine: "Engine") -> ExitCode:
    settings = common.settings()
    remote.register_publisher_queues(settings)
    if request.concurrency is not None:
        remote.set_concurrency(settings, request.concurrency)
    with engine.begin() as connection:
        batch = request.store(connection)
        if not _was_started(connection, batch):
            remote.enqueue(settings, connection, batch)
    common.say(common.retyped(f"enqueued {batch.id}; it is delivered by  resumectl worker"))
    return show_batches(common, [batch.id])


def _was_started(connection: "Connection", batch: Batch) -> bool:
    """Return whether the workflow of the batch exists, or was deleted."""
    return not batch.is_new and (
        workflows.exists(connection, batch.id) or records.has_traces(connection, batch.id)
    )


def read(settings: Settings, ids: list[str]) -> State:
    """Return the state of these batches."""
    engine = open_engine(settings)
    try:
        with failures_explained(settings), viewing(settings, engine) as view:
            return records.read_state(view, settings, batch_ids=ids)
    finally:
        engine.dispose()


def show_batches(common: Common, ids: list[str], *, resumed: list[str] | None = None) -> ExitCode:
    """Show batches and, below them, the resumed ones; judge all of them."""
    state = read(common.settings(), [*ids, *(resumed or [])])
    if common.as_json:
        json_documents.show(batches_document(state, resumed or []))
    else:
        own = [b for b in state.batches if b.id in ids]
        others = [b for b in state.batches if b.id not in ids]
        console.show(
            tables.batches_sheet(own, title="Published", totals=None),
            *tables.failures(own),
            *tables.outlived_lines(state.batches),
        )
        if others:
            console.show(
                tables.batches_sheet(others, title="Resumed from before", totals=None),
                *tables.failures(others),
            )
        console.show(tables.verdict_line(state))
    if any(b.counts.failed for b in state.batches if b.id in ids):
        common.say_next("resumectl list-workflows --status ERROR")
    if any(batch.outlived for batch in state.batches):
        common.say_next("resumectl resume")
    broken = any(broken_promises(batch) for batch in state.batches)
    return ExitCode.PROMISE_BROKEN if broken else ExitCode.DONE


def batches_document(state: State, resumed: list[str]) -> dict[str, object]:
    """Return the JSON document of `state` with the ids of the resumed batches."""
    return {**json_documents.state_document(state), "resumed": resumed}
