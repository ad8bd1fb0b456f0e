"""Define the built-in scenario: resumectl's own publisher, under one of its four guarantees."""

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SQLAlchemyDatasource

from resumectl.database import SCHEMA, open_engine
from resumectl.model.target import Target
from resumectl.probe.scenario import Scenario
from resumectl.probe.warm_up import POLL_S, launch_twice, shared_engine
from resumectl.publishing.publisher import (
    Order,
    Outlet,
    Publisher,
    open_outlet,
)
from resumectl.publishing.store import batches
from resumectl.publishing.store.dbos_tables import QUEUE_NAME
from resumectl.publishing.store.migration import make_tables
from resumectl.publishing.store.models import deliveries, processes
from resumectl.publishing.store.state import Guarantee
from resumectl.settings import Settings

BATCH_ID = "alpha-1"
PUBLISHER = "alpha"
EFFECT = "delivery"
# What each guarantee promises of a delivery, as anybody outside sees it.
_PROMISES = {
    Guarantee.EXACTLY_ONCE: "exactly-once",
    Guarantee.IDEMPOTENT: "exactly-once",
    Guarantee.AT_LEAST_ONCE: "at-least-once",
    Guarantee.AT_MOST_ONCE: "at-most-once",
}


_datasource: SQLAlchemyDatasource | None = None


def _shared_datasource(database_url: str) -> SQLAlchemyDatasource:
    """Return the datasource on the shared engine, whose statements the fork server has compiled."""
    global _datasource
    engine = shared_engine(database_url)
    if _datasource is None:
        if engine.dialect.name == "postgresql":
            engine = engine.execution_options(schema_translate_map={None: SCHEMA})
        _datasource = SQLAlchemyDatasource.create(database_url, engine=engine)
    return _datasource


def publisher_scenario(target: Target, database_url: str, *, poll_s: float = 1.0) -> Scenario:
    """Return a scenario that publishes one batch, as `publish` does.

    Args:
        target: Count, guarantee and concurrency of the batch.
        database_url: URL of the trial's database, with its password.
        poll_s: Polling interval of DBOS, in seconds.
    """
    datasource = _shared_datasource(database_url)
    engine = datasource.engine
    order = Order(PUBLISHER, BATCH_ID, target.count, target.guarantee, 0.0)

    def prepare() -> None:
        with engine.begin() as connection:
            batches.create(
                connection,
                publisher=PUBLISHER,
                guarantee=Guarantee(target.guarantee),
                bodies=batches.generated(target.count),
                batch_id=BATCH_ID,
            )

    with engine.begin() as connection:
        process = sa.insert(processes).values(
            executor_id="local",
            app_version=target.app_version or "",
            command="sweep",
            pid=0,
            host="",
            started_at_ms=time.time_ns() // 1_000_000,
        )
        process_id = int(connection.execute(process.returning(processes.c.id)).scalar_one())
    open_outlet(Outlet(datasource, process_id))
    publisher = Publisher.named(PUBLISHER)

    def request() -> Any:
        DBOS.register_queue(
            QUEUE_NAME, worker_concurrency=target.concurrency, polling_interval_sec=poll_s
        )
        return publisher.start(order).get_result(polling_interval_sec=poll_s)

    def effects() -> dict[str, dict[str, int]]:
        d = deliveries.c
        query = sa.select(d.message_number, sa.func.count()).group_by(d.message_number)
        with engine.connect() as connection:
            found = {f"message {n}": int(times) for n, times in connection.execute(query)}
        return {EFFECT: found}

    return Scenario(
        request=request,
        prepare=prepare,
        effects=effects,
        promises={EFFECT: _PROMISES[Guarantee(target.guarantee)]},
    )


def warm_up_publisher(directory: Path, database_url: str, config: Mapping[str, Any]) -> None:
    """Publish a batch in the fork server itself, and recover a message of it.

    Args:
        directory: Working directory meanwhile.
        database_url: URL of a migrated database, in which the publisher's queue is registered.
        config: Settings of DBOS.
    """
    scenario = publisher_scenario(Target(count=2), database_url, poll_s=POLL_S)
    scenario.prepare()
    launch_twice(directory, database_url, config, scenario.request, f"{BATCH_ID}-1")
    scenario.effects()
    open_outlet(None)
    shared_engine(database_url).dispose()


def make_publisher_tables(database_url: str) -> None:
    """Make the publisher's tables.

    Args:
        database_url: URL of an empty database, with its password.
    """
    settings = Settings.resolve(db_url=database_url)
    engine = open_engine(settings)
    make_tables(settings, engine)
    engine.dispose()
