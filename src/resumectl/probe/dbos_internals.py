"""List the internal names of DBOS that the probe replaces or calls.

A DBOS release without one of these names is refused, and the refusal names it.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType

import dbos
import dbos._core
import dbos._dbos
import dbos._queue
import dbos._sys_db
import dbos._utils
import dbos._workflow_commands
from dbos import DBOS
from dbos._core import WorkflowHandleAsyncTask, WorkflowHandleFuture
from dbos._sys_db import SystemDatabase

from resumectl.probe.dbos_features import Feature, has

# Objects of DBOS and the internal names that are looked up in them, in every supported release.
_NAMES: Sequence[tuple[type | ModuleType, str]] = (
    (dbos._core.ActiveWorkflowById, "activeList"),
    (WorkflowHandleFuture, "get_result"),
    (WorkflowHandleAsyncTask, "get_result"),
    (dbos._dbos, "_get_or_create_dbos_registry"),
    (dbos._dbos, "queue_thread"),
    (dbos._dbos, "startup_recovery_thread"),
    (dbos._queue, "queue_worker_thread"),
    (dbos._dbos, "_get_dbos_instance"),
    (dbos._dbos, "time"),
    (dbos._dbos, "asyncio"),
    (dbos._sys_db, "time"),
    (dbos._sys_db, "asyncio"),
    (dbos._sys_db, "threading"),
    (SystemDatabase, "await_workflow_result"),
    (SystemDatabase, "_check_operation_execution_txn"),
)
# Those of a feature.
_NAMES_OF: Mapping[Feature, Sequence[tuple[ModuleType | type, str]]] = {
    Feature.RESULT_CHECKS: (
        (SystemDatabase, "check_workflow_result"),
        (SystemDatabase, "await_workflow_result_async"),
        (SystemDatabase, "await_first_workflow_id"),
        (SystemDatabase, "await_first_workflow_id_async"),
    ),
    Feature.DELAYED_WORKFLOWS: ((SystemDatabase, "transition_delayed_workflows"),),
    Feature.STORED_QUEUES: ((SystemDatabase, "upsert_queue"),),
    Feature.DATASOURCES: ((dbos, "AsyncSQLAlchemyDatasource"),),
    Feature.LOOP_AWARE_EVENTS: ((dbos._utils, "LoopAwareEvent"),),
    Feature.MIGRATION_WITHOUT_LAUNCH: ((DBOS, "migrate"),),
    Feature.STEP_RESERVATION: ((dbos, "StepReservation"),),
    Feature.TIMEOUTS_BY_BACKGROUND_JOB: ((SystemDatabase, "cancel_timed_out_workflows"),),
    Feature.LATEST_VERSION_ASKED_OFTEN: (
        (SystemDatabase, "_is_latest_version"),
        (SystemDatabase, "create_application_version"),
        (SystemDatabase, "update_application_version_timestamp"),
    ),
}


def check_names() -> None:
    """Check that this DBOS has every name that the probe replaces or calls.

    Raises:
        LookupError: A name is missing.
    """
    of_features = (each for feature, names in _NAMES_OF.items() if has(feature) for each in names)
    for owner, name in (*_NAMES, *of_features):
        if not hasattr(owner, name):
            raise LookupError(f"this release of dbos has no {owner.__name__}.{name}")
