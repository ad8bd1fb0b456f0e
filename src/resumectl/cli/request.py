"""What a user asks to be published, checked before the database is opened."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from resumectl.cli.common import Common
from resumectl.errors import Refusal
from resumectl.text import counted

if TYPE_CHECKING:
    import sqlalchemy as sa

    from resumectl.publishing.store.batches import Batch

DEFAULT_NAME = "alpha"
DEFAULT_COUNT = 20
DELAY_MAX_S = 3600


@dataclass(frozen=True, slots=True)
class Request:
    """One batch to be published, and how."""

    name: str
    bodies: list[Any]
    batch_id: str | None
    guarantee: str
    concurrency: int | None
    delay_s: float

    def write_down(self, connection: "sa.Connection") -> "Batch":
        """Put the batch into the database, in the connection's transaction."""
        from resumectl.publishing.store import batches

        return batches.create(
            connection,
            publisher=self.name,
            guarantee=self.guarantee,
            bodies=self.bodies,
            delay_s=self.delay_s,
            batch_id=self.batch_id,
        )


def read_request(
    common: Common,
    name: str,
    count: int | None,
    from_file: str | None,
    batch_id: str | None,
    guarantee: str,
    concurrency: int | None,
    delay_s: float,
) -> Request:
    """The request that the options make.

    Raises:
        Refusal: One of them cannot be carried out.
    """
    from resumectl.publishing.store import batches, limits
    from resumectl.publishing.store.state import Guarantee

    limits.checked_name(name)
    if batch_id is not None:
        limits.checked_id(batch_id)
    if guarantee not in set(Guarantee):
        raise Refusal(
            f"the guarantee {guarantee!r} is unknown", next_step=f"one of {', '.join(Guarantee)}"
        )
    limits.checked_concurrency(concurrency)
    if not 0 <= delay_s <= DELAY_MAX_S:  # refuses nan, too
        raise Refusal(
            f"the delay {delay_s} is not 0 to {DELAY_MAX_S} seconds", next_step="as in  --delay 0.5"
        )
    if count is not None and from_file is not None:
        raise Refusal(
            "--count and --from exclude each other",
            next_step="leave one out: a file has as many messages as lines",
        )
    if from_file is None:
        bodies = batches.generated(DEFAULT_COUNT if count is None else count)
    else:
        bodies, blank = _read(from_file)
        if blank:
            common.say(f"{from_file}: {counted(blank, 'blank line')} passed over")
    return Request(name, bodies, batch_id, guarantee, concurrency, delay_s)


def _read(from_file: str) -> tuple[list[Any], int]:
    from resumectl.publishing.store.batches import read_messages

    if from_file == "-":
        return read_messages(sys.stdin.buffer, "standard input")
    try:
        with Path(from_file).open("rb") as source:
            return read_messages(source, from_file)
    except OSError as error:
        raise Refusal(
            f"{from_file} cannot be read: {error.strerror}",
            next_step="name a readable file, or - for standard input",
        ) from None
