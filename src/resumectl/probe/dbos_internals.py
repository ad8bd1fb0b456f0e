"""List the internal names of DBOS that the probe replaces or calls.

A DBOS release without one of these names is refused, and the refusal names it.
"""

from collections.abc import Sequence
from types import ModuleType

import dbos._core
import dbos._dbos
import dbos._queue
import dbos._utils
import dbos._workflow_commands
from dbos import AsyncSQLAlchemyDatasource, SQLAlchemyDatasource
from dbos._core import WorkflowHandleAsyncTask, WorkflowHandleFuture
from dbos._sys_db import SystemDatabase

# Objects of DBOS 3.4.0 and the internal names that are looked up in them.
_NAMES: Sequence[tuple[type | ModuleType, str]] = (
    (dbos._core.ActiveWorkflowById, "activeList"),
    (WorkflowHandleFuture, "get_result"),
    (WorkflowHandleAsyncTask, "get_result"),
    (dbos._dbos, "_get_or_create_dbos_registry"),
    (dbos._dbos, "queue_thread"),
    (dbos._dbos, "startup_recovery_thread"),
    (dbos._queue, "queue_worker_thread"),
    (dbos._utils.LoopAwareEvent, "wait_async"),
    (dbos._dbos, "_get_dbos_instance"),
    (SystemDatabase, "cancel_timed_out_workflows"),
    (SystemDatabase, "transition_delayed_workflows"),
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


def check_names() -> None:
    """Check that this DBOS has every name that the probe replaces or calls.

    Raises:
        LookupError: A name is missing.
    """
    for owner, name in _NAMES:
        if not hasattr(owner, name):
            raise LookupError(f"this release of dbos has no {owner.__name__}.{name}")
