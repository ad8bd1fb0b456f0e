"""Carry out one request of the runner in a child process of the fork server, and end.

Run by start.py, as `resumectl.probe.entry DESCRIPTOR`, if the child needs an interpreter of its own. The
file of that descriptor holds the request.
"""

import json
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import NoReturn

from resumectl.compiled_files import stop_keeping
from resumectl.model.codec import any_of
from resumectl.model.orders import CHILD_REQUESTS, ChildRequest, MakeTemplate
from resumectl.model.process_exit import ENDED_WELL, SQLITE_TOO_OLD, TARGET_FAILED
from resumectl.probe import pace
from resumectl.probe.target_process import run_target
from resumectl.probe.template_database import SqliteTooOldError, make_template
from resumectl.text import one_line


def run_request(request: ChildRequest) -> NoReturn:
    """Carry out a request, and end this process.

    Args:
        request: Request of the runner.
    """
    try:
        if isinstance(request, MakeTemplate):
            _make_template(request)
        stop_keeping()  # from here on, the program's own modules are imported
        event_file = request.order.event_file
        log = os.open(f"{event_file}.log", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(log, 1)
        os.dup2(log, 2)
        run_target(request.order)
    except BaseException:  # noqa: BLE001 (never back into the fork server's own loop)
        sys.excepthook(*sys.exc_info())
        os._exit(TARGET_FAILED)


def _make_template(request: MakeTemplate) -> NoReturn:
    try:
        make_template(request.database_url, has_publisher=request.has_publisher)
    except SqliteTooOldError as error:
        _report(str(error), request)
        os._exit(SQLITE_TOO_OLD)
    except Exception as error:  # noqa: BLE001 (reported by the runner)
        _report(one_line(error), request)
        os._exit(TARGET_FAILED)
    os._exit(ENDED_WELL)


def _report(error: str, request: MakeTemplate) -> None:
    # The directory is gone if the runner has ended meanwhile: then nobody reads the error.
    with suppress(FileNotFoundError):
        Path(request.error_file).write_text(error, encoding="utf-8")


if __name__ == "__main__":
    pace.measure()
    with open(int(sys.argv[1]), encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
        run_request(any_of(CHILD_REQUESTS, json.load(file)))
