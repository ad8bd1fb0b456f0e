"""An e-mail that is marked as sent before it is sent.

Problem: the process is killed between the mark and the e-mail. The next process finds the mark and
sends nothing: this is at-most-once, which is too little for most e-mails.
Fix: send first, then mark; accept a second e-mail, or give it an idempotency key.
"""

from collections.abc import Callable
from typing import Any

import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID

from resumectl import Scenario, effect

FINDING = "lost"
engine = sa.create_engine("sqlite:///shop.sqlite")
sent = sa.Table("sent", sa.MetaData(), sa.Column("id", sa.Text, primary_key=True))


def is_marked(order: str) -> bool:
    with engine.connect() as connection:
        return connection.scalar(sa.select(sent.c.id).where(sent.c.id == order)) is not None


def mark(order: str) -> None:
    with engine.begin() as connection:
        connection.execute(sa.insert(sent).values(id=order))


@DBOS.step()
def send(order: str) -> None:
    if not is_marked(order):
        mark(order)
        effect("e-mail", order)


@DBOS.step()
def send_then_mark(order: str) -> None:
    if not is_marked(order):
        effect("e-mail", order)
        mark(order)


@DBOS.workflow()
def confirm(order: str) -> None:
    send(order)


@DBOS.workflow()
def confirm_then_mark(order: str) -> None:
    send_then_mark(order)


def ask(workflow: Callable[..., Any]) -> Any:
    with SetWorkflowID("confirm-1"):
        return DBOS.start_workflow(workflow, "order-1").get_result()


def prepare() -> None:
    sent.create(engine)


mistake = Scenario(lambda: ask(confirm), prepare=prepare)
corrected = Scenario(lambda: ask(confirm_then_mark), prepare=prepare)
