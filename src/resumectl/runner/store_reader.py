"""Read the stored sweeps: each statement alone, or all of them as of one moment."""

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa

from resumectl.database import Snapshot, snapshot
from resumectl.errors import MachineFailure


class StoreReader:
    """Reader of the tables of sweeps.

    Args:
        engine: Engine of a database that has resumectl's tables.
        frozen: Open snapshot in which everything is read; None to open one for each read.
    """

    def __init__(self, engine: sa.Engine, frozen: Snapshot | None = None) -> None:
        self.engine = engine
        self._frozen = frozen

    @contextmanager
    def reading(self) -> Iterator[Snapshot]:
        """Yield the snapshot to read in.

        Raises:
            MachineFailure: A row holds something else than resumectl writes.
        """
        try:
            if self._frozen is not None:
                yield self._frozen
                return
            with snapshot(self.engine) as connection:
                yield connection
        except (TypeError, ValueError) as error:  # no JSON, no number
            raise MachineFailure(
                f"the stored sweeps are damaged: a row cannot be read ({error})",
                next_step="restore the database; or  resumectl reset  deletes everything in it",
            ) from error
