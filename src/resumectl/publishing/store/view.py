"""The database at one moment, and who was alive then: what everything that compares looks through."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import sqlalchemy as sa

from resumectl.database import Snapshot, snapshot
from resumectl.publishing.store.lives import Held, executor_locks
from resumectl.publishing.store.models import lives
from resumectl.settings import Settings


@dataclass(frozen=True, slots=True)
class View:
    """One snapshot of the database, with the locks as they were just before it.

    Attributes:
        connection: In the snapshot's transaction.
    """

    connection: Snapshot
    _held: Held
    # Lives that began after the locks were looked at: their executor ids, by their numbers.
    _begun: dict[int, str]

    def is_running(self, executor_id: str, life_id: int) -> bool:
        """Whether a life that has left no end is running, rather than dead."""
        return self._held.life(executor_id) == life_id or life_id in self._begun

    def is_alive(self, executor_id: str | None) -> bool:
        """Whether a living process has the executor id, as a life's or to take over its work."""
        return executor_id in self._held or executor_id in self._begun.values()

    @property
    def is_anyone_alive(self) -> bool:
        """Whether any process is at work here, or just beginning: its row may not be there yet."""
        return not self._held.is_empty or bool(self._begun)


@contextmanager
def viewing(settings: Settings, engine: sa.Engine) -> Iterator[View]:
    """Open a view; leave it before anything is computed, printed or written.

    A lock is no row, so that no snapshot holds it. The order of the reads is what makes the two
    agree. A life takes its lock before it writes its row, and writes its end before it releases
    its lock. So the rows come last: a life whose row was there before the locks were looked at,
    which held none, and whose row still has no end afterwards, has died. In the other order, one
    that ended well between the two reads would be told as dead.

    Args:
        settings: Where the database is.
        engine: On it; resumectl's tables must be there.
    """
    with closing(executor_locks(settings)) as locks:
        with engine.connect() as connection:
            newest = connection.scalar(sa.select(sa.func.max(lives.c.id))) or 0
        held = locks.held()
    with snapshot(engine) as frozen:
        begun = frozen.execute(
            sa.select(lives.c.id, lives.c.executor_id).where(
                lives.c.id > newest, lives.c.how.is_(None)
            )
        )
        yield View(frozen, held, {row.id: row.executor_id for row in begun})
