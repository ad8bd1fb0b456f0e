from dbos import DBOS


@DBOS.step()
def charge(order: str) -> str:
    return f"{order} is paid"


@DBOS.step()
def ship(order: str) -> str:
    return f"{order} is under way"


@DBOS.workflow()
def checkout(order: str) -> str:
    charge(order)
    return ship(order)
