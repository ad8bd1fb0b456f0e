"""Programs that a crash breaks, each in another way; what must be found is told in MISTAKES.

Swept by test_scenarios, by name. The classic mistakes are in examples/pitfalls.
"""

import asyncio
import random
import threading
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SetEnqueueOptions, SetWorkflowID, SetWorkflowTimeout

from resumectl import Scenario, effect

# Name to the kind that must be found.
MISTAKES = {
    "event_from_memory": "diverged",
    "stream_in_a_step": "diverged",
    "child_given_what_is_in_memory": "diverged",
    "timeout_from_memory": "diverged",
    "partition_from_memory": "diverged",
    "key_from_the_body": "diverged",
    "key_in_a_closure": "diverged",
    "key_in_a_reserved_step": "diverged",
    "key_behind_a_branch": "diverged",
    "key_in_two_children": "diverged",
    "key_in_an_event_and_a_message": "diverged",
    "row_from_the_body": "duplicated",
    "stock_taken_by_the_body": "duplicated",
    "stock_reckoned_by_the_body": "diverged",
    "stock_reckoned_in_the_text": "diverged",
    "in_a_pool": "lost",
    "in_a_daemon": "lost",
    "in_a_task": "lost",
    "step_in_a_task": "lost",
    "told_and_not_sent": "lost",
    "report_that_is_gone": "diverged",
    "client_sends_twice": "diverged",
}

engine = sa.create_engine("sqlite:///shop.sqlite")
metadata = sa.MetaData()
charges = sa.Table("charges", metadata, sa.Column("order", sa.Text))
stock = sa.Table("stock", metadata, sa.Column("left", sa.Integer))
told = sa.Table("notifications", metadata, sa.Column("order", sa.Text))
counted = 0
report: list[str] = []


def started(workflow: Callable[..., Any], workflow_id: str, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args)


def asking(workflow: Callable[..., Any], **more: Any) -> Scenario:
    return Scenario(lambda: started(workflow, "w-1").get_result(), **more)


@DBOS.step()
def count() -> None:
    global counted
    counted += 1


@DBOS.workflow()
def _event() -> None:
    for _ in range(2):
        count()
        DBOS.set_event("progress", counted)


@DBOS.step()
def say() -> None:
    DBOS.write_stream("words", "hello")


@DBOS.workflow()
def _stream() -> None:
    say()


@DBOS.workflow()
def _charge(_what: int | str) -> None:
    pass


@DBOS.workflow()
def _child() -> None:
    count()
    count()
    DBOS.start_workflow(_charge, counted).get_result()


@DBOS.workflow()
def _timeout() -> None:
    count()
    with SetWorkflowTimeout(60.0 * (1 + counted)):
        DBOS.start_workflow(_charge, 1).get_result()


@DBOS.workflow()
def _partition() -> None:
    count()
    with SetEnqueueOptions(queue_partition_key=f"tenant-{counted}"):
        DBOS.enqueue_workflow("partitioned", _charge, 1).get_result()


def ask_for_a_partition() -> Any:
    DBOS.register_queue("partitioned", partition_concurrency=1)
    return started(_partition, "w-1").get_result()


@DBOS.step()
def pay(order: str, *, key: str) -> None:
    pass


@DBOS.workflow()
def _pay() -> None:
    pay("order-1", key=uuid.uuid4().hex)


@DBOS.step()
def choose() -> float:
    return random.SystemRandom().random()


@DBOS.workflow()
def _pay_by_closure() -> None:
    key = uuid.uuid4().hex
    DBOS.run_step({"name": "pay"}, lambda: len(key))


@DBOS.workflow()
def _pay_reserved() -> None:
    DBOS.reserve_step().run({"name": "pay"}, len, uuid.uuid4().hex)


@DBOS.workflow()
def _choose() -> None:
    """The branch is as it should be, and says nothing against the payment."""
    if choose() < 0.5:
        count()
    else:
        look()
    pay("order-1", key=uuid.uuid4().hex)


@DBOS.step()
def look() -> str:
    return "fine"


@DBOS.workflow()
def _row() -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(charges).values(order="order-1"))
    look()


@DBOS.workflow()
def _take() -> None:
    with engine.begin() as connection:
        connection.execute(sa.update(stock).values(left=stock.c.left - 1))
    look()


@DBOS.workflow()
def _reckon(set_left: str) -> None:
    with engine.begin() as connection:
        left = connection.execute(sa.select(stock.c.left)).scalar_one()
        connection.execute(sa.text(set_left.format(left=left - 1)), {"left": left - 1})
    look()


def fill_the_shelf() -> None:
    metadata.create_all(engine)
    with engine.begin() as connection:
        connection.execute(sa.insert(stock).values(left=5))


def mail_later() -> None:
    DBOS.retrieve_workflow("w-1").get_result()  # it is sent when its workflow has ended
    effect("mail", "order-1")


@DBOS.workflow()
def _pool() -> None:
    look()
    ThreadPoolExecutor(1).submit(mail_later)


@DBOS.workflow()
def _daemon() -> None:
    look()
    threading.Thread(target=mail_later, daemon=True).start()


async def mail_in_a_task() -> None:
    await asyncio.sleep(0.05)
    effect("mail", "order-1")


tasks: list[Any] = []


@DBOS.workflow()
async def _task() -> None:
    await DBOS.sleep_async(0.001)
    tasks.append(asyncio.create_task(mail_in_a_task()))


@DBOS.workflow()
def _two_children() -> None:
    key = uuid.uuid4().hex
    for _ in range(2):
        DBOS.start_workflow(_charge, key).get_result()


@DBOS.workflow()
def _event_and_message() -> None:
    key = uuid.uuid4().hex
    DBOS.set_event("key", key)
    DBOS.send(str(DBOS.workflow_id), key)
    DBOS.recv(timeout_seconds=10)


@DBOS.step()
async def mail_slowly() -> None:
    await asyncio.sleep(0.05)


@DBOS.workflow()
async def _step_in_task() -> None:
    tasks.append(asyncio.create_task(mail_slowly()))
    await asyncio.sleep(0)  # it has begun


@DBOS.step()
def tell() -> None:
    with engine.begin() as connection:
        if connection.scalar(sa.select(sa.func.count()).select_from(told)):
            return
        connection.execute(sa.insert(told).values(order="order-1"))
    effect("mail", "order-1")


@DBOS.workflow()
def _told() -> None:
    tell()


@DBOS.step()
def collect() -> None:
    report.append("line")


@DBOS.step()
def write_report() -> None:
    if report:
        with open("report.txt", "w") as file:  # noqa: PTH123 (as any program might)
            file.writelines(report)


@DBOS.workflow()
def _report() -> None:
    collect()
    write_report()


def read_report() -> str:
    with open("report.txt") as file:  # noqa: PTH123
        return file.read()


@DBOS.workflow()
def _voting() -> list[Any]:
    votes = []
    while (vote := DBOS.recv(timeout_seconds=10)) is not None:
        votes.append(vote)
        if vote == "end":
            break
    return votes


def send_twice() -> Any:
    voting = started(_voting, "w-1")
    for vote in ("ann", "bob", "end"):
        DBOS.send("w-1", vote)
    return voting.get_result()


event_from_memory = asking(_event)
stream_in_a_step = asking(_stream)
child_given_what_is_in_memory = asking(_child)
timeout_from_memory = asking(_timeout)
partition_from_memory = Scenario(ask_for_a_partition)
key_from_the_body = asking(_pay)
key_in_a_closure = asking(_pay_by_closure)
key_in_a_reserved_step = asking(_pay_reserved)
key_behind_a_branch = asking(_choose)
key_in_two_children = asking(_two_children)
key_in_an_event_and_a_message = asking(_event_and_message)
row_from_the_body = asking(_row, prepare=lambda: metadata.create_all(engine))
stock_taken_by_the_body = asking(_take, prepare=fill_the_shelf)
stock_reckoned_by_the_body = Scenario(
    lambda: started(_reckon, "w-1", 'UPDATE stock SET "left" = :left').get_result(),
    prepare=fill_the_shelf,
)
stock_reckoned_in_the_text = Scenario(
    lambda: started(_reckon, "w-1", 'UPDATE stock SET "left" = {left}').get_result(),
    prepare=fill_the_shelf,
)
in_a_pool = asking(_pool)
in_a_daemon = asking(_daemon)
in_a_task = asking(_task)
step_in_a_task = asking(_step_in_task)
told_and_not_sent = asking(_told, prepare=lambda: metadata.create_all(engine))
report_that_is_gone = asking(_report, observe=read_report)
client_sends_twice = Scenario(send_twice)
