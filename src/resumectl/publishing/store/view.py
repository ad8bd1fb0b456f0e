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
    """One snapshot of the database, with the locks that were held just before it.

    Attributes:
        connection: Connection in the transaction of the snapshot.
    """

    connection: Snapshot
    _held: Held
    # Executor ids of processes that began after the locks were read, by process id.
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
    """Open a view; leave it before computing, printing or writing anything.

    A snapshot does not contain locks. The order of the reads makes the two agree. A process takes
    its lock before it writes its row, and records its end before it releases its lock. So the rows
    are read last. A process was killed if its row existed before the locks were read, it held no
    lock, and its row has no end afterwards. In the other order, a process that ended in order
    between the two reads would be shown as killed.

    Args:
        settings: Settings that name the database.
        engine: Engine of the database, which must have resumectl's tables.
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
