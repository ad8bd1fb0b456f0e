"""Workflows of every kind that DBOS offers, each correct: a sweep must find nothing in them.

Swept by test_scenarios, by name; nothing here knows that it is.
"""

import asyncio
import os
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

import sqlalchemy as sa
from dbos import (
    DBOS,
    DBOSConfiguredInstance,
    SetWorkflowID,
    SetWorkflowTimeout,
    SQLAlchemyDatasource,
)
from dbos._error import DBOSAwaitedWorkflowCancelledError
from sqlalchemy.ext.asyncio import create_async_engine

from resumectl import Scenario, effect

QUEUE = "scenario_queue"


def start(workflow: Any, workflow_id: str, *args: Any) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args)


@DBOS.step()
def note(text: str) -> str:
    effect("note", text)
    return text.upper()


@DBOS.workflow()
def steps(order: str) -> list[str]:
    return [note(f"{order}, {n}") for n in range(3)]


@DBOS.step()
async def note_later(text: str) -> str:
    effect("note", text)
    await asyncio.sleep(0)
    return text


@DBOS.workflow()
async def asynchronous() -> list[str]:
    await DBOS.sleep_async(0.01)
    return [await note_later(text) for text in ("a", "b")]


@DBOS.workflow()
def child(number: int) -> str:
    return note(f"child {number}")


@DBOS.workflow()
def children() -> list[str]:
    inline = child(1)
    started = DBOS.start_workflow(child, 2)
    enqueued = [DBOS.enqueue_workflow(QUEUE, child, n) for n in (3, 4)]
    return [inline, started.get_result(), *(handle.get_result() for handle in enqueued)]


@DBOS.workflow()
def unnamed() -> dict[str, str]:
    """Start children with random ids, and return them with their results."""
    started = []
    for number in (1, 2):
        with SetWorkflowID(str(uuid.uuid4())):
            started.append(DBOS.start_workflow(child, number))
    return {handle.workflow_id: handle.get_result() for handle in started}


def ask_children() -> Any:
    DBOS.register_queue(QUEUE, worker_concurrency=1)
    return start(children, "children-1").get_result()


with_children = Scenario(ask_children)


@DBOS.workflow()
def receiver() -> list[Any]:
    DBOS.set_event("state", "waiting")
    received = [DBOS.recv("topic", timeout_seconds=20) for _ in range(2)]
    DBOS.set_event("state", "done")
    return received


@DBOS.workflow()
def sender() -> None:
    for number in range(2):
        DBOS.send("receiver-1", number, "topic")


def ask_messages() -> Any:
    received = start(receiver, "receiver-1")
    start(sender, "sender-1").get_result()
    return [received.get_result(), DBOS.get_event("receiver-1", "state", timeout_seconds=5)]


messages = Scenario(ask_messages)


@DBOS.workflow()
def awaiting_payment() -> Any:
    return DBOS.recv("paid", timeout_seconds=20)


def pay_again() -> Any:
    """As a webhook does that is called again: without an idempotency key."""
    handle = start(awaiting_payment, "awaiting-1")
    DBOS.send("awaiting-1", "order-1", "paid")
    return handle.get_result()


paid_again = Scenario(pay_again)


@DBOS.workflow()
async def awaiting_slow_payment() -> Any:
    return await DBOS.recv_async("paid", timeout_seconds=20)


async def pay_slowly() -> Any:
    """As `pay_again`, with a client that is asynchronous and slow."""
    with SetWorkflowID("awaiting-1"):
        handle = await DBOS.start_workflow_async(awaiting_slow_payment)
    await asyncio.sleep(0.1)
    await DBOS.send_async("awaiting-1", "order-1", "paid")
    return await handle.get_result()


paid_slowly = Scenario(pay_slowly)

may_receive = threading.Event()
may_receive.set()


@DBOS.workflow()
def awaiting_late_payment() -> Any:
    may_receive.wait()
    return DBOS.recv("paid", timeout_seconds=20)


def pay_late() -> Any:
    """From the third run on, the message comes when the workflow waits, or waited before the crash."""
    with Path(os.environ["REQUESTS"]).open("a") as requests:
        requests.write(".")
        requests.flush()
        is_late = os.fstat(requests.fileno()).st_size > 2
    if not is_late:
        may_receive.clear()
    is_again = "awaiting-1" in {each.workflow_id for each in DBOS.list_workflows()}
    handle = start(awaiting_late_payment, "awaiting-1")
    patience_ends = time.monotonic() + 1
    while (
        is_late
        and len(DBOS.list_workflow_steps("awaiting-1")) <= is_again
        and time.monotonic() < patience_ends
    ):
        time.sleep(0.01)  # nothing tells that a workflow waits
    DBOS.send("awaiting-1", "order-1", "paid")
    may_receive.set()
    return handle.get_result()


paid_late = Scenario(pay_late)


@DBOS.workflow()
def streaming() -> None:
    for number in range(3):
        DBOS.write_stream("numbers", number)
    DBOS.close_stream("numbers")


def ask_stream() -> Any:
    start(streaming, "streaming-1").get_result()
    return list(DBOS.read_stream("streaming-1", "numbers"))


stream = Scenario(ask_stream)


@DBOS.workflow()
def sleeping() -> str:
    first = note("before")
    DBOS.sleep(0.05)
    return first + note("after")


@DBOS.workflow()
def noting() -> str:
    return note("noted")


@DBOS.workflow()
def deleting() -> str:
    child = DBOS.start_workflow(noting)
    result: str = child.get_result()
    DBOS.delete_workflow(child.workflow_id)
    return result


WORDS = ("red", "green", "blue", "black", "white")


class Parcel(NamedTuple):
    owner: str
    colours: set[str]


@DBOS.step()
def wrap(number: int) -> Parcel:
    """Parcels that share an object, and a set: equal after a recovery, and pickled otherwise."""
    effect("wrap", number)
    return Parcel(WORDS[0], set(WORDS))


@DBOS.workflow()
def sharing() -> list[Parcel]:
    return [wrap(1), wrap(2)]


@DBOS.step()
def refuse() -> None:
    raise ValueError("no stock")


@DBOS.workflow()
def catching() -> str:
    try:
        refuse()
    except ValueError as error:
        return note(str(error))
    return "in stock"


@DBOS.dbos_class()
class Shop(DBOSConfiguredInstance):
    @DBOS.step()
    def pack(self, order: str) -> str:
        effect("pack", order)
        return f"{order} of {self.config_name}"

    @DBOS.workflow()
    def sell(self, order: str) -> str:
        return self.pack(order)


shop = Shop("corner")
instance = Scenario(lambda: start(shop.sell, "sell-1", "order-1").get_result())

engine = sa.create_engine("sqlite:///shop.sqlite")
orders = sa.Table(
    "orders", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True), sa.Column("n", sa.Integer)
)
datasource = SQLAlchemyDatasource.create("sqlite:///shop.sqlite", engine=engine)


@datasource.transaction()
def add(order: str) -> None:
    datasource.sql_session().execute(sa.insert(orders).values(id=order, n=1))


@datasource.transaction()
def raise_count(order: str) -> None:
    datasource.sql_session().execute(
        sa.update(orders).where(orders.c.id == order).values(n=orders.c.n + 1)
    )


@DBOS.workflow()
def selling() -> None:
    add("order-1")
    raise_count("order-1")


def sold() -> Any:
    with engine.connect() as connection:
        return dict(tuple(row) for row in connection.execute(sa.select(orders)))


transactions = Scenario(
    lambda: start(selling, "selling-1").get_result(),
    prepare=lambda: orders.create(engine),
    observe=sold,
)


def forgetful() -> Any:
    """A client that asks once, and after a crash only waits for what was accepted."""
    if DBOS.get_workflow_status("steps-9") is None:
        start(steps, "steps-9", "order-9")
    return DBOS.retrieve_workflow("steps-9").get_result()


once = Scenario(
    forgetful,
    observe=lambda: sorted(
        each.name for each in Path(os.environ["RESUMECTL_SANDBOX"]).glob("*.txt")
    ),
)


@DBOS.workflow()
def slow(seconds: float) -> str:
    DBOS.sleep(seconds)
    return "ready"


@DBOS.step()
def is_ready(after_s: float) -> bool:
    return time.time() > Path("begun").stat().st_mtime + after_s


@DBOS.workflow()
def looking() -> str:
    """How often it looks depends on how long it was away."""
    while not is_ready(0.4):
        DBOS.sleep(0.1)
    return note("ready")


polling = Scenario(
    lambda: start(looking, "looking-1").get_result(), prepare=lambda: Path("begun").touch()
)


@DBOS.workflow()
def racing() -> str:
    handles = [DBOS.start_workflow(slow, 0.01) for _ in range(2)]
    DBOS.wait_first(handles)
    return "".join(handle.get_result() for handle in handles)


@DBOS.workflow()
def endless() -> None:
    DBOS.sleep(0.01)
    DBOS.sleep(0.01)
    while True:
        DBOS.sleep(2)  # longer than the timeout, so that each run has the same steps


def ask_in_vain() -> str:
    try:
        with SetWorkflowTimeout(0.8):
            start(endless, "endless-1").get_result()
    except DBOSAwaitedWorkflowCancelledError as error:
        return type(error).__name__
    return "it has ended"


out_of_time = Scenario(ask_in_vain)


@DBOS.step()
def fetch_all() -> list[str]:
    def fetch(name: str) -> str:
        effect("fetch", name)
        return name

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(fetch, ("a", "b")))


@DBOS.workflow()
def fetching() -> list[str]:
    return fetch_all()


notices = sa.Table("notifications", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True))


class Mailbox:
    """Shown otherwise in every process, as objects are."""

    def __repr__(self) -> str:
        return f"<mailbox {uuid.uuid4()}>"


@DBOS.step()
def notify(order: str, _mailbox: Mailbox) -> None:
    with engine.begin() as connection:
        if connection.scalar(sa.select(sa.func.count()).select_from(notices)) == 0:
            connection.execute(
                sa.text(f"insert into notifications values ('{order}') returning id")
            )


@DBOS.workflow()
def notifying() -> None:
    notify("order-1", Mailbox())


@DBOS.step()
def look_up() -> int:
    return 1


async def ask_without_workflow() -> dict[Any, Any]:
    """A step outside of any workflow is a function; and an answer may have any shape."""
    look_up()
    handle = await asyncio.to_thread(start, notifying, "notifying-1")
    await asyncio.to_thread(handle.get_result)
    return {("a", 1): {"b"}, None: 1}


unusual = Scenario(ask_without_workflow, prepare=lambda: notices.create(engine))


later_engine = create_async_engine("sqlite+aiosqlite:///later.sqlite")
parcels = sa.Table("parcels", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True))


@DBOS.step()
async def pack(parcel: str) -> None:
    async with later_engine.begin() as connection:
        await connection.execute(sa.text(f"INSERT OR IGNORE INTO parcels VALUES ('{parcel}')"))


@DBOS.step()
async def label(parcel: str) -> int:
    async with later_engine.begin() as connection:
        done = sa.update(parcels).where(parcels.c.id == parcel).values(id=parcel)
        return (await connection.execute(done)).rowcount


@DBOS.workflow()
async def packing() -> list[int]:
    await pack("parcel-1")
    return [await label("parcel-1") for _ in range(2)]


async def make_parcels() -> None:
    async with later_engine.begin() as connection:
        await connection.run_sync(parcels.create)


asynchronous_writes = Scenario(
    lambda: start(packing, "packing-1").get_result(), prepare=make_parcels
)


@DBOS.workflow()
def reporting(number: int) -> None:
    DBOS.send("gathering-1", note(f"report {number}"))


@DBOS.workflow()
def gathering() -> list[Any]:
    """Whose message comes first is chance."""
    for number in range(3):
        DBOS.start_workflow(reporting, number)
    return sorted(DBOS.recv(timeout_seconds=20) for _ in range(3))


class Unspeakable:
    def __repr__(self) -> str:
        raise RuntimeError("it is not for you to look at")


@DBOS.step()
def touch(_thing: Unspeakable) -> None:
    if not Path("fixed").exists():
        raise RuntimeError("broken")


@DBOS.workflow()
def touching() -> str:
    touch(Unspeakable())
    return note("touched")


def ask_after_a_repair() -> Any:
    """Fix what was broken as a client, and let the workflow undo its steps."""
    try:
        return start(touching, "touching-1").get_result()
    except RuntimeError:
        Path("fixed").touch()
        return DBOS.rewind_workflow("touching-1", start_step=1).get_result()


repaired = Scenario(ask_after_a_repair)
