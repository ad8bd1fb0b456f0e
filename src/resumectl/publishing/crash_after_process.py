"""Publish one batch under a crash plan, and nothing else: the process of `crash-after`.

Run as `python -m resumectl.publishing.crash_after_process ORDER`. Its parent meets it in argv, the
environment, one inherited pipe and the database, and nowhere else.
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
        order: What to publish, and where to be killed.
        settings: The database.

    Raises:
        LookupError: There is no such batch.
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
    # To an already open descriptor, in one call: nothing here can fail half-way.
    os.write(descriptor, f"{text}\n".encode())


def main() -> None:
    """Read the order, and carry it out."""
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
