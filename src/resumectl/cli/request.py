"""Declare what a user asks to be published, and check it before the database is opened."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from resumectl.cli.common import Common
from resumectl.cli.help import DELIVERY, MESSAGES, option
from resumectl.errors import Refusal
from resumectl.publishing.store.limits import DEFAULT_CONCURRENCY
from resumectl.text import counted

if TYPE_CHECKING:
    import sqlalchemy as sa

    from resumectl.publishing.store.batches import Batch

DEFAULT_NAME = "alpha"
DEFAULT_COUNT = 20
DELAY_MAX_S = 3600


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """The messages of a batch, and how they are delivered."""

    name: Annotated[str, option(group=MESSAGES, metavar="NAME", help="Name of the publisher.")] = (
        DEFAULT_NAME
    )
    count: Annotated[
        int | None,
        option(
            group=MESSAGES,
            metavar="N",
            help=f"Number of generated messages. [default: {DEFAULT_COUNT}]",
        ),
    ] = None
    from_file: Annotated[
        str | None,
        option(
            "--from",
            group=MESSAGES,
            metavar="FILE",
            help="Read the messages from a file, one per line; - for standard input.",
        ),
    ] = None
    batch_id: Annotated[
        str | None,
        option(
            "--id",
            group=MESSAGES,
            metavar="ID",
            help="Id of the batch. [default: the name and the next free number, as in alpha-1]",
        ),
    ] = None
    guarantee: Annotated[
        str,
        option(
            group=DELIVERY,
            metavar="GUARANTEE",
            help="Delivery guarantee: exactly-once, idempotent, at-least-once or at-most-once.",
        ),
    ] = "exactly-once"
    concurrency: Annotated[
        int | None,
        option(
            group=DELIVERY,
            metavar="N",
            help="Maximum number of messages in progress per process."
            f" [default: {DEFAULT_CONCURRENCY}]",
        ),
    ] = None
    delay: Annotated[
        float,
        option(group=DELIVERY, metavar="SECONDS", help="Duration of each delivery, in seconds."),
    ] = 0.0


@dataclass(frozen=True, slots=True)
class Request:
    """One batch to be published, checked."""

    name: str
    bodies: list[Any]
    batch_id: str | None
    guarantee: str
    concurrency: int | None
    delay_s: float

    def store(self, connection: "sa.Connection") -> "Batch":
        """Store the batch in the connection's transaction."""
        from resumectl.publishing.store import batches

        return batches.create(
            connection,
            publisher=self.name,
            guarantee=self.guarantee,
            bodies=self.bodies,
            delay_s=self.delay_s,
            batch_id=self.batch_id,
        )


def read_request(common: Common, options: BatchOptions) -> Request:
    """Return the request that the options make.

    Args:
        common: The options of every command.
        options: The batch, as it was typed.

    Raises:
        Refusal: An option cannot be carried out.
    """
    from resumectl.publishing.store import limits
    from resumectl.publishing.store.state import Guarantee

    limits.checked_name(options.name)
    if options.batch_id is not None:
        limits.checked_id(options.batch_id)
    if options.guarantee not in set(Guarantee):
        raise Refusal(
            f"unknown guarantee {options.guarantee!r}", next_step=f"one of {', '.join(Guarantee)}"
        )
    limits.checked_concurrency(options.concurrency)
    if not 0 <= options.delay <= DELAY_MAX_S:  # refuses nan, too
        raise Refusal(
            f"the delay {options.delay} is not 0 to {DELAY_MAX_S} seconds",
            next_step="as in  --delay 0.5",
        )
    return Request(
        name=options.name,
        bodies=_bodies(common, options),
        batch_id=options.batch_id,
        guarantee=options.guarantee,
        concurrency=options.concurrency,
        delay_s=options.delay,
    )


def _bodies(common: Common, options: BatchOptions) -> list[Any]:
    """Return the messages: generated, or read from the file."""
    from resumectl.publishing.store import batches

    if options.from_file is None:
        return batches.generated(DEFAULT_COUNT if options.count is None else options.count)
    if options.count is not None:
        raise Refusal(
            "--count and --from exclude each other",
            next_step="leave one out: a file has as many messages as lines",
        )
    bodies, blank = _read(options.from_file)
    if blank:
        common.say(f"{options.from_file}: {counted(blank, 'blank line')} skipped")
    return bodies


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
