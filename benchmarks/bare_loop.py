"""Deliver messages through a DBOS queue, as a user would write it without resumectl.

    python benchmarks/bare_loop.py URL COUNT

A workflow enqueues a child for every message and awaits them all; each child writes one row
in a datasource transaction. The queue, its polls, the isolation level and the write-ahead log
of a SQLite file are as resumectl has them. Timed is the workflow, not the launch.
"""

import json
import resource
import sqlite3
import sys
import time

import sqlalchemy as sa
from dbos import DBOS, SQLAlchemyDatasource

QUEUE_NAME = "bare_queue"
CONCURRENCY = 10
POLL_S = 0.05

rows = sa.Table(
    "bare_deliveries",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("number", sa.Integer, nullable=False),
    sa.Column("body", sa.Text, nullable=False),
    sa.Column("workflow_id", sa.Text, nullable=False),
)
datasource: SQLAlchemyDatasource


@DBOS.workflow()
def publish(count: int) -> None:
    """Enqueue every message, and await them all."""
    handles = [DBOS.enqueue_workflow(QUEUE_NAME, deliver, n) for n in range(1, count + 1)]
    for handle in handles:
        handle.get_result(polling_interval_sec=POLL_S)


@DBOS.workflow()
def deliver(number: int) -> None:
    """Deliver one message, exactly once."""
    is_sqlite = datasource.engine.dialect.name == "sqlite"
    datasource.run_tx_step(
        {"isolation_level": "SERIALIZABLE" if is_sqlite else "READ COMMITTED"}, insert, number
    )


def insert(number: int) -> None:
    """Write a message's row, in the transaction that is at hand."""
    datasource.sql_session().execute(
        sa.insert(rows).values(
            number=number, body=f"message {number}", workflow_id=DBOS.workflow_id
        )
    )


def main() -> None:
    """Deliver, and print one JSON object."""
    global datasource
    url, count = sys.argv[1], int(sys.argv[2])
    if url.startswith("sqlite"):
        with sqlite3.connect(str(sa.make_url(url).database)) as file:
            file.execute("PRAGMA journal_mode=WAL")
    DBOS(
        config={
            "name": "bare-loop",
            "system_database_url": url,
            "application_version": "1",
            "log_level": "WARNING",
        }
    )
    datasource = SQLAlchemyDatasource.create(url)
    rows.create(datasource.engine)
    DBOS.migrate(url)
    DBOS.launch()
    DBOS.register_queue(QUEUE_NAME, worker_concurrency=CONCURRENCY, polling_interval_sec=POLL_S)
    time.sleep(1.5)  # a queue registered after the launch is served within a second
    began, cpu_began = time.perf_counter(), time.process_time()
    DBOS.start_workflow(publish, count).get_result(polling_interval_sec=POLL_S)
    seconds, cpu_s = time.perf_counter() - began, time.process_time() - cpu_began
    with datasource.engine.connect() as connection:
        delivered = connection.scalar(sa.select(sa.func.count()).select_from(rows))
    DBOS.destroy()
    print(
        json.dumps(
            {
                "delivered": delivered,
                "seconds": seconds,
                "cpu_s": cpu_s,
                "peak_kib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss,
                "worker_concurrency": CONCURRENCY,
                "polling_interval_sec": POLL_S,
            }
        )
    )


if __name__ == "__main__":
    main()
