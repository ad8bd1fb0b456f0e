"""Read the database at one moment, with the processes that were running then."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from resumectl.database import Snapshot, snapshot
from resumectl.publishing.store.models import processes
from resumectl.publishing.store.processes import Held, executor_locks
from resumectl.settings import Settings


@dataclass(frozen=True, slots=True)
class View:
    """One snapshot of the database, with the locks as they were just before it.

    Attributes:
        connection: In the snapshot's transaction.
    """

    connection: Snapshot
    _held: Held
    # Processes that began after the locks were looked at: their executor ids, by their numbers.
    _begun: dict[int, str]

    def is_running(self, executor_id: str, process_id: int) -> bool:
        """Return whether a process that recorded no end is running; otherwise it was killed."""
        return self._held.process(executor_id) == process_id or process_id in self._begun

    def is_held(self, executor_id: str | None) -> bool:
        """Return whether a running process holds the executor id, to use it or to take over its work."""
        return executor_id in self._held or executor_id in self._begun.values()

    @property
    def is_in_use(self) -> bool:
        """Whether a process uses the database, or has just begun and has no row yet."""
        return not self._held.is_empty or bool(self._begun)


@contextmanager
def viewing(settings: Settings, engine: sa.Engine) -> Iterator[View]:
    """Open a view; leave it before anything is computed, printed or written.

    A lock is no row, so that no snapshot holds it. The order of the reads is what makes the two
    agree. A process takes its lock before it writes its row, and writes its end before it releases
    its lock. So the rows come last: a process whose row was there before the locks were looked at,
    which held none, and whose row still has no end afterwards, has died. In the other order, one
    that ended well between the two reads would be told as dead.

    Args:
        settings: Where the database is.
        engine: On it; resumectl's tables must be there.
    """
    with closing(executor_locks(settings)) as locks:
        with engine.connect() as connection:
            newest = connection.scalar(sa.select(sa.func.max(processes.c.id))) or 0
        held = locks.held()
    with snapshot(engine) as frozen:
        begun = frozen.execute(
            sa.select(processes.c.id, processes.c.executor_id).where(
                processes.c.id > newest, processes.c.how.is_(None)
            )
        )
        yield View(frozen, held, {row.id: row.executor_id for row in begun})
