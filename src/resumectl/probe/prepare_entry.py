"""Contain a Python process of the `--prepare` command: it may write only to the template of sandboxes.

Imported by a `sitecustomize` in each Python process that the user's `--prepare` command starts.
"""

import os
import sys
import traceback
from dataclasses import replace
from pathlib import Path

from resumectl.model.codec import from_json
from resumectl.model.orders import CONTAINMENT_VARIABLE, ContainmentOrder
from resumectl.model.process_exit import ACCESS_REFUSED
from resumectl.probe.containment import Containment
from resumectl.probe.event_log import open_event_log
from resumectl.storage.outside_access import AccessRules


def _contain() -> None:
    order = from_json(ContainmentOrder, os.environ[CONTAINMENT_VARIABLE])
    access = order.access
    sandbox = AccessRules.of_trial(access, order.directory, order.database_url)
    # A relative path leads into the sandbox of a trial, where its process runs.
    sandbox = replace(sandbox, mirrored=os.path.realpath(access.prepare_in))
    Containment(
        sandbox,
        open_event_log(order.event_file),
        started_in=Path.cwd(),
        sandbox_url=order.database_url,
    ).install()


try:
    _contain()
except BaseException:  # noqa: BLE001 (Python would go on, and nothing would be contained)
    traceback.print_exc(file=sys.stderr)
    os._exit(ACCESS_REFUSED)
