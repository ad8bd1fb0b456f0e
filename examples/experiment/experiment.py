"""What does a publisher know after a crash?

A workflow makes a publisher, enqueues its messages, and collects the handles. Each delivery logs a
line of JSON with two counters in memory: `local` of the publisher, and `global` of the process.
"""

import json
from pathlib import Path

from dbos import DBOS, DBOSConfiguredInstance

LOG = Path("deliveries.jsonl")
deliveries = 0


@DBOS.dbos_class()
class Publisher(DBOSConfiguredInstance):
    def __init__(self, name: str) -> None:
        self.deliveries = 0
        super().__init__(config_name=name)

    @DBOS.step()
    def deliver(self, message: int) -> None:
        global deliveries
        deliveries += 1
        self.deliveries += 1
        line = {"message": message, "local": self.deliveries, "global": deliveries}
        with LOG.open("a") as log:
            log.write(json.dumps(line) + "\n")

    @DBOS.workflow()
    def publish(self, message: int) -> int:
        self.deliver(message)
        return message


def register_queues() -> None:
    """Register the queues. `main` calls this after `DBOS.launch()`."""
    DBOS.register_queue("messages")
    DBOS.register_queue("messages_in_order", concurrency=1)


def publish_all(publisher: Publisher, count: int, queue: str) -> list[int]:
    handles = [
        DBOS.enqueue_workflow(queue, publisher.publish, message) for message in range(1, count + 1)
    ]
    return [handle.get_result() for handle in handles]


@DBOS.workflow()
def experiment(count: int) -> list[int]:
    return publish_all(Publisher("beta"), count, "messages")


alpha = Publisher("alpha")


@DBOS.workflow()
def corrected(count: int) -> list[int]:
    return publish_all(alpha, count, "messages_in_order")


def logged() -> list[dict[str, int]]:
    return [json.loads(line) for line in LOG.read_text().splitlines()] if LOG.exists() else []


def last_count() -> int:
    """Return the last value of the global counter."""
    return max((line["global"] for line in logged()), default=0)


def delivered() -> list[int]:
    """Return the messages that were delivered at least once."""
    return sorted({line["message"] for line in logged()})
