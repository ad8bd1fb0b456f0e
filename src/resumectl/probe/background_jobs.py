"""Run DBOS's background jobs at once when the clock is set ahead, as a restart does.

DBOS 3.4.0 releases delayed workflows and cancels timed-out ones at launch, and then once a second.
"""

import threading

from dbos._dbos import _get_dbos_instance

from resumectl.probe import pace
from resumectl.probe.dbos_features import Feature, has

# The jobs take a hundredth of this, unless an open transaction blocks them.
_PASS_MAX_S = 0.5
_CANCELLED_MAX = 1_000  # of one statement, as in DBOS


class BackgroundJobs:
    """A thread that runs the jobs once at each request.

    It is started before the program is imported, so it is no work of the program's.
    """

    def __init__(self) -> None:
        self._requested = threading.Semaphore(0)
        self._ended = threading.Semaphore(0)

    def start(self) -> None:
        """Start the thread."""
        threading.Thread(target=self._serve, name="background jobs", daemon=True).start()

    def run(self) -> None:
        """Run all jobs once; return when they have ended, or when an open transaction blocks them."""
        self._requested.release()
        self._ended.acquire(timeout=pace.stretched(_PASS_MAX_S))

    def _serve(self) -> None:
        while True:
            self._requested.acquire()
            _run_jobs()
            self._ended.release()


def _run_jobs() -> None:
    database = _get_dbos_instance()._sys_db
    if has(Feature.DELAYED_WORKFLOWS):
        database.transition_delayed_workflows()
    if has(Feature.TIMEOUTS_BY_BACKGROUND_JOB):
        while len(database.cancel_timed_out_workflows(_CANCELLED_MAX)) == _CANCELLED_MAX:
            pass
