"""A configured instance: a mailer that knows its sender, and whose workflows DBOS recovers."""

import json
from pathlib import Path

from dbos import DBOS, DBOSConfiguredInstance, SetWorkflowID

SENT = Path("sent.jsonl")


@DBOS.dbos_class()
class Mailer(DBOSConfiguredInstance):
    def __init__(self, name: str, sender: str) -> None:
        self.sender = sender
        super().__init__(config_name=name)

    @DBOS.step()
    def send(self, customer: str, text: str) -> None:
        key = f"{DBOS.workflow_id}/{text}"
        if key not in sent():  # a mail server that knows the key ignores the call
            mail = {"key": key, "mail": f"{self.sender} to {customer}: {text}"}
            with SENT.open("a") as file:
                file.write(json.dumps(mail) + "\n")

    @DBOS.workflow()
    def welcome(self, customer: str) -> None:
        self.send(customer, "welcome")
        self.send(customer, "read this first")


def sent() -> dict[str, str]:
    """Return what was sent, by its key."""
    if not SENT.exists():
        return {}
    lines = SENT.read_text().splitlines()
    return {entry["key"]: entry["mail"] for entry in map(json.loads, lines)}


mailer = Mailer("welcome mails", sender="hello@shop.example")


def sign_up(customer: str) -> None:
    """Welcome a customer: what the sign-up page calls."""
    with SetWorkflowID(f"welcome-{customer}"):
        DBOS.start_workflow(mailer.welcome, customer).get_result()


def sign_up_late(customer: str) -> None:
    """Make the instance when it is first needed. DBOS cannot recover its workflows."""
    with SetWorkflowID(f"welcome-{customer}"):
        late = Mailer(f"mails to {customer}", sender="hello@shop.example")
        DBOS.start_workflow(late.welcome, customer).get_result()
