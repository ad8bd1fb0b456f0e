"""The victim's whole life: arm the crash plan, then publish one batch, and nothing else.

Run as `python -m resumectl.publishing.crash_after_process SPECIFICATION`. It meets whoever wants it dead in
argv, the environment, one inherited pipe and the database, and in nothing else.
"""

import logging
import os
import sys

from resumectl.logs import LogFormat, start_logging
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.orders import Specification
from resumectl.probe.commit_watch import Watch
from resumectl.publishing import batches
from resumectl.publishing.runtime import Life
from resumectl.settings import Settings


def live(specification: Specification, settings: Settings) -> None:
    """Publish the batch, until the plan strikes; return if it never does."""
    start_logging(
        verbose=specification.verbose,
        log_format=LogFormat(specification.log_format),
        settings=settings,
    )
    (death,) = CrashPlan.parse(specification.plan).deaths
    note = specification.death_note
    Watch(
        death,
        lambda text: _write(note, text),
        of_publisher=True,
        system_database=settings.secret_url,
        system_schema=settings.dbos_schema,
    ).arm()
    with Life(settings, "crash-after", concurrency=specification.concurrency) as life:
        with life.engine.connect() as connection:
            batch = batches.find(connection, specification.batch_id)
        if batch is None:
            raise LookupError(f"no batch {specification.batch_id}")
        life.wait([life.start(batch).workflow_id])


def _write(descriptor: int, text: str) -> None:
    # To an already open descriptor, in one call: nothing here can fail half-way.
    os.write(descriptor, f"{text}\n".encode())


def main() -> None:
    """Read the specification, and live."""
    specification = Specification.from_argument(sys.argv[1])
    settings = Settings.for_child(
        app_name=specification.app_name,
        app_version=specification.app_version,
        executor_id=specification.executor_id,
        dbos_schema=specification.dbos_schema,
    )
    live(specification, settings)
    logging.shutdown()


if __name__ == "__main__":
    main()
