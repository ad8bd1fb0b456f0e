"""What a child of a zygote becomes: a life, or the one that migrates the template.

Run as `python -m resumectl.probe.entry DESCRIPTOR` where a life is to have an interpreter of
its own: what it is told stands in that file.
"""

import json
import os
import sys
from typing import Any, NoReturn

from resumectl.probe import pace
from resumectl.probe.target_process import FAILED, Order, live
from resumectl.probe.template_database import migrate
from resumectl.text import one_line


def become(told: dict[str, Any]) -> NoReturn:
    """Do what is told, and end.

    Args:
        told: `{"template": URL}` or `{"order": {…}}`; see `zygote`.
    """
    try:
        if "template" in told:
            _migrate(told["template"])
        order = Order.from_plain(told["order"])
        log = os.open(f"{order.record}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        live(order)
    except BaseException:  # noqa: BLE001 (never back into the zygote's own loop)
        sys.excepthook(*sys.exc_info())
        os._exit(FAILED)


def _migrate(database_url: str) -> NoReturn:
    try:
        migrate(database_url)
    except Exception as error:  # noqa: BLE001 (told by whoever gave the order)
        print(one_line(error), file=sys.stderr, flush=True)
        os._exit(FAILED)
    os._exit(0)


if __name__ == "__main__":
    pace.measure()
    with open(int(sys.argv[1]), encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
        become(json.load(file))
