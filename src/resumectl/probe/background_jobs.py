"""Run DBOS's background jobs as soon as the clock is set ahead, as a restart does.

To be called in the target process, before the program is imported.
"""

import functools
import threading

import dbos._workflow_commands
from dbos._sys_db import SystemDatabase

from resumectl.probe import pace

_INTERVAL_S = 0.02
# For two passes of the jobs. They take a hundredth of it unless an open transaction blocks them.
_PASS_MAX_S = 0.5


class BackgroundJobs:
    """The background jobs of this process's DBOS.

    DBOS 3.4.0 releases delayed workflows and cancels timed-out ones at launch, and then once a
    second.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._passes = 0

    def install(self) -> None:
        """Run the jobs at short intervals, and count their passes."""
        setattr(dbos._workflow_commands, "_BACKGROUND_JOBS_INTERVAL_SEC", _INTERVAL_S)  # noqa: B010
        last_job = SystemDatabase.cancel_timed_out_workflows

        @functools.wraps(last_job)
        def counted(database: SystemDatabase, limit: int) -> list[str]:
            cancelled = last_job(database, limit)
            with self._changed:
                self._passes += 1
                self._changed.notify_all()
            return cancelled

        setattr(SystemDatabase, "cancel_timed_out_workflows", counted)  # noqa: B010

    def wait_for_pass(self) -> None:
        """Wait until all jobs have run once more, or an open transaction has blocked them for too long."""
        with self._changed:
            begun = self._passes + 2  # the pass that ends next may have started before this call
            self._changed.wait_for(lambda: self._passes >= begun, pace.stretched(_PASS_MAX_S))
