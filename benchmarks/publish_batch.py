"""Publish one batch with resumectl's library, as its command does, and say how it went.

    python benchmarks/publish_batch.py URL COUNT [PLAN]

With a crash plan the process is watched and killed where the plan says; a plan that matches
nothing shows what watching costs. Timed are the write of the batch and its workflow until its
end, not the launch.
"""

import json
import resource
import sys
import time

import sqlalchemy as sa

from resumectl.database import open_engine
from resumectl.model.crash_plan import CrashPlan
from resumectl.probe.commit_watch import CommitWatch, WatchedDatabase
from resumectl.probe.crash_trigger import CrashTrigger
from resumectl.publishing.publisher import POLL_S
from resumectl.publishing.runtime import Runtime
from resumectl.publishing.store import batches
from resumectl.publishing.store.limits import DEFAULT_CONCURRENCY
from resumectl.publishing.store.migration import ensure_migrated
from resumectl.publishing.store.models import deliveries
from resumectl.publishing.store.state import Guarantee
from resumectl.settings import Settings


def main() -> None:
    """Publish, and print one JSON object."""
    settings = Settings.resolve(db_url=sys.argv[1])
    count = int(sys.argv[2])
    if len(sys.argv) > 3:
        (crash,) = CrashPlan.parse(sys.argv[3]).crashes
        database = WatchedDatabase(settings.secret_url, has_publisher=True)
        CommitWatch(database, CrashTrigger(crash, print)).arm()
    engine = open_engine(settings)
    ensure_migrated(settings, engine)
    bodies = batches.generated(count)
    began, cpu_began = time.perf_counter(), time.process_time()
    with engine.begin() as connection:
        batch = batches.create(
            connection, publisher="alpha", guarantee=Guarantee.EXACTLY_ONCE, bodies=bodies
        )
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    with Runtime(settings, "publish") as runtime:
        runtime.adopt()
        began, cpu_began = time.perf_counter(), time.process_time()
        runtime.start(batch)
        runtime.wait([batch.id])
        seconds += time.perf_counter() - began
        cpu_s += time.process_time() - cpu_began
    with engine.connect() as connection:
        delivered = connection.scalar(sa.select(sa.func.count()).select_from(deliveries))
    print(
        json.dumps(
            {
                "delivered": delivered,
                "seconds": seconds,
                "cpu_s": cpu_s,
                "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                "worker_concurrency": DEFAULT_CONCURRENCY,
                "polling_interval_sec": POLL_S,
            }
        )
    )


if __name__ == "__main__":
    main()
