"""The built-in scenario: resumectl's own publisher, under one of its four guarantees."""

import time
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SQLAlchemyDatasource

from resumectl.database import SCHEMA
from resumectl.lab.effects import Scenario
from resumectl.lab.subject import Subject
from resumectl.lab.warm import shared_engine
from resumectl.publishing import batches
from resumectl.publishing.models import deliveries, lives
from resumectl.publishing.publisher import (
    QUEUE_NAME,
    Order,
    Outlet,
    Publisher,
    open_outlet,
)
from resumectl.publishing.state import Guarantee

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


def publisher_scenario(subject: Subject, database_url: str) -> Scenario:
    """One batch, published as `publish` does, without what makes a life of it."""
    # The one that was inherited, with its statements compiled.
    engine = shared_engine(database_url)
    if engine.dialect.name == "postgresql":
        engine = engine.execution_options(schema_translate_map={None: SCHEMA})
    order = Order(PUBLISHER, BATCH_ID, subject.count, subject.guarantee, 0.0)

    def prepare() -> None:
        with engine.begin() as connection:
            batches.create(
                connection,
                publisher=PUBLISHER,
                guarantee=Guarantee(subject.guarantee),
                bodies=batches.generated(subject.count),
                batch_id=BATCH_ID,
            )

    with engine.begin() as connection:
        life = sa.insert(lives).values(
            executor_id="local",
            app_version=subject.app_version,
            command="sweep",
            pid=0,
            host="",
            started_at_ms=time.time_ns() // 1_000_000,
        )
        life_id = int(connection.execute(life.returning(lives.c.id)).scalar_one())
    datasource = SQLAlchemyDatasource.create(database_url, engine=engine)
    open_outlet(Outlet(datasource, life_id))
    publisher = Publisher.named(PUBLISHER)

    def request() -> Any:
        DBOS.register_queue(QUEUE_NAME, worker_concurrency=subject.concurrency)
        return publisher.start(order).get_result()

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
        promises={EFFECT: _PROMISES[Guarantee(subject.guarantee)]},
    )
