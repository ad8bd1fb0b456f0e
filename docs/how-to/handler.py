from dbos import DBOS
from shop import checkout


def create_order(order: str) -> dict[str, str]:
    handle = DBOS.start_workflow(checkout, order)
    return {"order": order, "workflow": handle.get_workflow_id()}
