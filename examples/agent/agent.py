"""An agent that answers a customer: a model chooses each tool, and a person approves the refund."""

from collections.abc import Callable
from pathlib import Path

from dbos import DBOS, SetWorkflowID

REFUNDS = Path("refunds.txt")
QUESTIONS = Path("questions.txt")

Model = Callable[[list[str]], str]


def ask_model(conversation: list[str]) -> str:
    """Return the name of the next tool.

    Stands for a model, whose answer to the same question is another one the next time: the answer depends on
    the number of questions that it was asked before.
    """
    asked = len(QUESTIONS.read_text().split()) if QUESTIONS.exists() else 0
    with QUESTIONS.open("a") as file:
        file.write("question\n")
    open_questions = [name for name in ("order", "customer", "stock") if name not in conversation]
    if open_questions:
        return open_questions[asked % len(open_questions)]
    return "done" if "refund" in conversation else "refund"


@DBOS.step()
def ask_model_in_a_step(conversation: list[str]) -> str:
    return ask_model(conversation)


@DBOS.step()
def find_order(ticket: str) -> str:
    return f"order of {ticket}: one lamp"


@DBOS.step()
def find_customer(ticket: str) -> str:
    return f"customer of {ticket}: ada"


@DBOS.step()
def check_stock(ticket: str) -> str:
    return "no lamp is left"


@DBOS.step()
def refund(ticket: str) -> str:
    """Pay the money back. The bank knows the ticket, and pays once."""
    if ticket not in refunds():
        with REFUNDS.open("a") as file:
            file.write(ticket + "\n")
    return f"{ticket} is refunded"


TOOLS = {"order": find_order, "customer": find_customer, "stock": check_stock, "refund": refund}


def work(model: Model, ticket: str) -> str:
    """Call tools until the model is done. A refund waits for a person, and for the bank's hour."""
    conversation: list[str] = []
    while (tool := model(conversation)) != "done":
        if tool == "refund":
            if DBOS.recv("approval", timeout_seconds=24 * 3600) != "yes":
                return f"{ticket} is not refunded"
            DBOS.sleep(3600)
        TOOLS[tool](ticket)
        conversation.append(tool)
    return f"{ticket} is refunded"


@DBOS.workflow()
def forgetful_agent(ticket: str) -> str:
    return work(ask_model, ticket)


@DBOS.workflow()
def agent(ticket: str) -> str:
    return work(ask_model_in_a_step, ticket)


def serve(workflow: Callable[[str], str]) -> str:
    """Start the agent, approve the refund, and wait for the answer: what the web page does."""
    with SetWorkflowID("ticket-1"):
        handle = DBOS.start_workflow(workflow, "ticket-1")
    DBOS.send("ticket-1", "yes", topic="approval", idempotency_key="approval of ticket-1")
    return handle.get_result()


def refunds() -> list[str]:
    """Return the refunds that the bank paid."""
    return REFUNDS.read_text().split() if REFUNDS.exists() else []
