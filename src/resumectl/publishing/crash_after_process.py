"""Publish one batch under a crash plan, in the process that `crash-after` kills.

Run by start.py, as `resumectl.publishing.crash_after_process ORDER`. It shares argv, the environment,
one inherited pipe and the database with its parent, and nothing else.
"""

import logging
import os
import sys

from resumectl.logs import LogFormat, start_logging
from resumectl.model.codec import from_json
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.orders import CrashAfterOrder
from resumectl.probe.commit_watch import CommitWatch, WatchedDatabase
from resumectl.probe.crash_trigger import CrashTrigger
from resumectl.publishing.runtime import Runtime
from resumectl.publishing.store import batches
from resumectl.settings import Settings


def publish_until_crash(order: CrashAfterOrder, settings: Settings) -> None:
    """Publish the batch; return if the crash point is not reached.

    Args:
        order: The batch to publish and the crash plan.
        settings: Settings that name the database.

    Raises:
        LookupError: The batch does not exist.
    """
    start_logging(
        verbose=order.verbose,
        log_format=LogFormat(order.log_format),
        settings=settings,
    )
    (crash,) = CrashPlan.parse(order.plan).crashes
    trigger = CrashTrigger(crash, lambda text: _write(order.note_descriptor, text))
    database = WatchedDatabase(settings.secret_url, settings.dbos_schema, has_publisher=True)
    CommitWatch(database, trigger).arm()
    with Runtime(settings, "crash-after", concurrency=order.concurrency) as runtime:
        with runtime.engine.connect() as connection:
            batch = batches.find(connection, order.batch_id)
        if batch is None:
            raise LookupError(f"no batch {order.batch_id}")
        runtime.wait([runtime.start(batch).workflow_id])


def _write(descriptor: int, text: str) -> None:
    # One call, on a descriptor that is open already: it cannot fail half-way.
    os.write(descriptor, f"{text}\n".encode())


def main() -> None:
    """Read the order from argv and carry it out."""
    order = from_json(CrashAfterOrder, sys.argv[1])
    settings = Settings.for_child(
        app_name=order.app_name,
        app_version=order.app_version,
        executor_id=order.executor_id,
        dbos_schema=order.dbos_schema,
    )
    publish_until_crash(order, settings)
    logging.shutdown()


if __name__ == "__main__":
    main()
