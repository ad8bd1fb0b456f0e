"""Run one process of a hand-written kill experiment, as a user would write it without resumectl.

    python benchmarks/kill_script.py URL [COMMIT]

Publish five messages through a queue, with DBOS's own polls. The process kills itself by SIGKILL
before its COMMIT-th step body, or runs to the end and prints the number of deliveries. A trial is
two processes.
"""

import os
import signal
import sys
import threading

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID, SQLAlchemyDatasource

QUEUE_NAME = "kill_queue"
MESSAGES = 5

rows = sa.Table(
    "kill_deliveries",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
    sa.Column("number", sa.Integer, nullable=False),
)
datasource: SQLAlchemyDatasource
lock = threading.Lock()
begun = 0
kill_at = int(sys.argv[2]) if len(sys.argv) > 2 else 0


def insert(number: int) -> None:
    """Write a message's row, or kill this process."""
    global begun
    with lock:
        begun += 1
        if begun == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)
    datasource.sql_session().execute(sa.insert(rows).values(number=number))


@DBOS.workflow()
def deliver(number: int) -> None:
    """Deliver one message, exactly once."""
    datasource.run_tx_step({}, insert, number)


@DBOS.workflow()
def publish() -> None:
    """Enqueue every message, and await them all."""
    numbers = range(1, MESSAGES + 1)
    handles = [DBOS.enqueue_workflow(QUEUE_NAME, deliver, number) for number in numbers]
    for handle in handles:
        handle.get_result()


def main() -> None:
    """Live, to one end or the other."""
    global datasource
    url = sys.argv[1]
    DBOS(config={"name": "kill-script", "system_database_url": url, "application_version": "1"})
    datasource = SQLAlchemyDatasource.create(url)
    rows.create(datasource.engine, checkfirst=True)
    DBOS.launch()
    DBOS.register_queue(QUEUE_NAME)
    with SetWorkflowID("batch"):
        DBOS.start_workflow(publish).get_result()
    with datasource.engine.connect() as connection:
        print(connection.scalar(sa.select(sa.func.count()).select_from(rows)))
    DBOS.destroy()


if __name__ == "__main__":
    main()
