"""Know what the release of DBOS in this interpreter has: one table, the first release of each feature.

No other module of the probe asks for the release. Read from the sources of DBOS 2.13 to 3.4.
"""

from enum import Enum
from importlib.metadata import version


class Feature(Enum):
    """Something that DBOS has since a release; the value is that release."""

    RESULT_CHECKS = (2, 14)  # a method that looks once for a result; before: one that polls
    DELAYED_WORKFLOWS = (2, 16)
    STORED_QUEUES = (2, 20)  # DBOS.register_queue, DBOS.enqueue_workflow; before: Queue(…) only
    DATASOURCES = (2, 22)  # SQLAlchemyDatasource and AsyncSQLAlchemyDatasource
    LOOP_AWARE_EVENTS = (2, 28)  # for waits of `recv` and `get_event`; before: threading.Event
    ONE_DATABASE = (3, 0)  # before: a second one, with the rows and records of transactions
    MIGRATION_WITHOUT_LAUNCH = (3, 2)  # DBOS.migrate
    STEP_RESERVATION = (3, 4)  # DBOS.reserve_step
    TIMEOUTS_BY_BACKGROUND_JOB = (3, 1)  # before: by a thread for each workflow
    LATEST_VERSION_ASKED_OFTEN = (3, 4)  # at each look at a queue


RELEASE = tuple(int(part) for part in version("dbos").split(".")[:2])


def has(feature: Feature) -> bool:
    """Return whether this release of DBOS has a feature."""
    return feature.value <= RELEASE
