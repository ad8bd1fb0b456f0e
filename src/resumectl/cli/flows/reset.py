"""`reset`: delete everything that resumectl stored in its database, unless a process is running."""

from contextlib import closing

import sqlalchemy as sa

from resumectl.cli.common import Common
from resumectl.cli.flows.other_processes import refuse_other_processes
from resumectl.database import failures_explained, open_engine
from resumectl.errors import ExitCode, Refusal
from resumectl.publishing import remote
from resumectl.publishing.store import workflows
from resumectl.publishing.store.migration import is_migrated
from resumectl.publishing.store.models import metadata
from resumectl.publishing.store.processes import RESET, executor_locks
from resumectl.publishing.store.view import viewing
from resumectl.report import json_documents
from resumectl.runner import sweep_workflow


def reset(common: Common) -> ExitCode:
    """Empty resumectl's tables and delete its workflows, but no others.

    Raises:
        Refusal: A running process uses the database.
    """
    common.start_logging()
    settings = common.settings()
    deleted = False
    if not settings.is_sqlite or settings.sqlite_path.exists():
        deleted = _delete_everything(common)
    if common.as_json:
        json_documents.show({"database": settings.shown_url, "deleted": deleted})
    else:
        print(
            f"deleted everything that resumectl stored in {settings.shown_url}"
            if deleted
            else "there was nothing to delete"
        )
    return ExitCode.DONE


def _delete_everything(common: Common) -> bool:
    settings = common.settings()
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            with engine.connect() as connection:
                if not is_migrated(connection):
                    return False
            with closing(executor_locks(settings)) as locks:
                # A process that begins after this sees the lock, and ends again.
                if not locks.acquire(RESET):
                    raise Refusal("the database is being reset", next_step="try again")
                with viewing(settings, engine) as view:
                    refuse_other_processes(view, next_step="end it first")
                    workflow_ids = workflows.all_workflow_ids(view.connection, settings)
                # First the workflows: without the rows of their batches they could not be found again.
                remote.delete(settings, workflow_ids)
                with engine.begin() as connection:
                    for table in reversed(metadata.sorted_tables):
                        connection.execute(sa.delete(table))
                sweep_workflow.update_queues(settings, engine, [])
            return True
    finally:
        engine.dispose()
