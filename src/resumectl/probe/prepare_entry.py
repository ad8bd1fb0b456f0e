"""Contain the Python process that imports this, as a command of the user's that makes tables.

Imported by the `sitecustomize` that such a command is given: see `redirects`.
"""

import json
import os
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from resumectl.model.target import Access
from resumectl.probe.containment import REFUSED_STATUS, Containment
from resumectl.probe.event_log import Recorder
from resumectl.runner.redirects import CONTAINMENT_VARIABLE
from resumectl.storage.outside_access import Sandbox


def _contain() -> None:
    told = json.loads(os.environ[CONTAINMENT_VARIABLE])
    record = os.open(told["record"], os.O_WRONLY | os.O_APPEND)
    access = Access(**told["access"])
    sandbox = Sandbox.of_trial(access, told["directory"], told["database_url"])
    # A relative path leads into the sandbox of a trial, whose process is at work there.
    sandbox = replace(sandbox, mirrored=os.path.realpath(access.prepare_in))
    Containment(
        sandbox, Recorder(record), started_in=Path.cwd(), sandbox_url=told["database_url"]
    ).install()


try:
    _contain()
except BaseException:  # noqa: BLE001 (Python would go on, and nothing would be contained)
    traceback.print_exc(file=sys.stderr)
    os._exit(REFUSED_STATUS)
