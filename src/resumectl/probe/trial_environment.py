"""Set up what surrounds the program in a trial: directory, clock, environment, containment, DBOS settings."""

import os
import sys
import tempfile
from pathlib import Path

from resumectl.model.orders import TEMPORARY_DIRECTORY, ProcessOrder
from resumectl.model.target import without_proxies
from resumectl.probe import clock
from resumectl.probe.containment import Containment
from resumectl.probe.dbos_features import Feature, has
from resumectl.probe.event_log import EventLog
from resumectl.probe.poll_notifier import LISTENER_POLL_S
from resumectl.storage.outside_access import AccessRules


def enter_sandbox(order: ProcessOrder, event_log: EventLog) -> None:
    """Enter the sandbox: directory, clock, environment and containment.

    Args:
        order: Order of the runner.
        event_log: Event log of this process.
    """
    started_in = Path.cwd()
    os.chdir(order.sandbox)
    if order.clock_ahead_s:
        clock.set_ahead(order.clock_ahead_s)
    if order.control is not None and order.control.jump_s:
        clock.install()
    os.environ["RESUMECTL_SANDBOX"] = order.sandbox
    tempfile.tempdir = os.environ["TMPDIR"] = str(Path(order.sandbox, TEMPORARY_DIRECTORY))
    given = order.target.environ_in(order.sandbox, order.database_url, os.environ)
    for name in os.environ.keys() - without_proxies(os.environ).keys():
        del os.environ[name]
    os.environ.update(given)
    if "PYTHONPATH" in order.target.environ:
        # The interpreter reads it at its start, and this process has been forked.
        sys.path[1:1] = os.environ["PYTHONPATH"].split(os.pathsep)
    Containment(
        AccessRules.of_trial(order.target.access, order.sandbox, order.database_url),
        event_log,
        started_in=started_in,
        sandbox_url=order.database_url,
    ).install()


def dbos_config(database_url: str, app_version: str | None, *, migrates: bool) -> dict[str, object]:
    """Return the DBOS settings of a trial, which replace the application's.

    The executor id stays the program's own, and so does the application version unless one is
    given: whether a recovery finds the interrupted workflows depends on both.

    Args:
        database_url: URL of the trial's database, with its password.
        app_version: Application version; None for the program's own.
        migrates: Whether DBOS migrates the database at launch; else it is one that is migrated.
    """
    version = {} if app_version is None else {"application_version": app_version}
    second = {} if has(Feature.ONE_DATABASE) else {"application_database_url": database_url}
    return {
        **version,
        **second,
        "system_database_url": database_url,
        "dbos_system_schema": "dbos",
        "notification_listener_polling_interval_sec": LISTENER_POLL_S,
        "run_migrations": migrates,
        "log_level": "WARNING",
    }
