"""Store batches, complete, before any of their workflows begins.

A batch and its messages commit together: there is never half a batch. Its workflow has the id of
the batch: starting it twice starts it once.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import IO, Any

import sqlalchemy as sa

from resumectl.errors import Refusal
from resumectl.publishing.store.limits import checked_id, checked_name
from resumectl.publishing.store.models import batches, messages, publishers

# One workflow keeps a handle for each message of its batch, and DBOS two steps.
MESSAGES_MAX = 100_000
_ROWS_AN_INSERT = 1_000


@dataclass(frozen=True, slots=True)
class Batch:
    """One `publish`: N messages, numbered from 1, under one workflow id."""

    id: str
    publisher: str
    guarantee: str
    expected: int
    delay_s: float
    is_new: bool  # False: an earlier publish had the same id


def generated(count: int) -> list[Any]:
    """Return generated messages, for an experiment that needs no real ones.

    Args:
        count: Number of messages.

    Raises:
        Refusal: The count is not 1 to MESSAGES_MAX.
    """
    if not 1 <= count <= MESSAGES_MAX:
        raise Refusal(
            f"the count {count} is not 1 to {MESSAGES_MAX:,}", next_step="as in  --count 20"
        )
    return [f"message {number}" for number in range(1, count + 1)]


def read_messages(source: IO[bytes], name: str) -> tuple[list[Any], int]:
    """Read one message per line: a JSON object as an object, any other line as text.

    Args:
        source: Open file with UTF-8 text, with or without a byte order mark.
        name: Name of the file, for refusals.

    Returns:
        The messages, and the number of blank lines that were skipped.

    Raises:
        Refusal: The file is not UTF-8, or has no message or more than MESSAGES_MAX.
    """
    found: list[Any] = []
    blank = 0
    for number, raw in enumerate(source, start=1):
        try:
            line = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
        except UnicodeDecodeError:
            raise Refusal(
                f"{name} is not UTF-8 text (line {number})",
                next_step=f"convert it, as in  iconv -f latin1 -t utf-8 {name}",
            ) from None
        if "\0" in line:
            raise Refusal(f"{name} holds a NUL character (line {number})", next_step="remove it")
        if not line.strip():
            blank += 1
        elif len(found) == MESSAGES_MAX:
            raise Refusal(
                f"{name} holds more than {MESSAGES_MAX:,} messages",
                next_step="publish it in parts, as in  split -l 100000",
            )
        else:
            found.append(_message(line))
    if not found:
        raise Refusal(f"{name} holds no message", next_step="write one message per line into it")
    return found, blank


def _message(line: str) -> Any:
    if line.lstrip().startswith("{"):
        try:
            value = json.loads(line, parse_constant=_not_json)
        except (ValueError, RecursionError):
            return line
        # PostgreSQL's json type refuses this character, escaped or not.
        return line if "\\u0000" in line else value
    return line


def _not_json(constant: str) -> Any:
    raise ValueError(f"{constant} is not JSON")  # NaN and Infinity, which only Python reads


def create(
    connection: sa.Connection,
    *,
    publisher: str,
    guarantee: str,
    bodies: list[Any],
    delay_s: float = 0.0,
    batch_id: str | None = None,
) -> Batch:
    """Store a batch, or find the one that an earlier publish stored under the same id.

    Args:
        connection: Connection whose transaction stores the batch.
        publisher: Name of the publisher; it is created if it is new.
        guarantee: Delivery guarantee of the batch.
        bodies: Messages of the batch, in their order.
        delay_s: Duration of each delivery, in seconds.
        batch_id: Id of the batch; None for `PUBLISHER-K` with the next free K.

    Raises:
        Refusal: A name is not allowed, something else has the id, or the batch of that id differs
            from this one.
    """
    checked_name(publisher)
    now_ms = time.time_ns() // 1_000_000
    _create_publisher(connection, publisher, now_ms)
    if batch_id is not None:
        earlier = find(connection, checked_id(batch_id))
        if earlier is not None:
            _refuse_if_different(connection, earlier, publisher, guarantee, bodies)
            return earlier
        _refuse_if_taken(connection, batch_id)
    else:
        batch_id = _next_id(connection, publisher)
    batch = Batch(batch_id, publisher, guarantee, len(bodies), delay_s, is_new=True)
    connection.execute(
        sa.insert(batches).values(
            id=batch.id,
            publisher=batch.publisher,
            guarantee=batch.guarantee,
            expected=batch.expected,
            delay_s=batch.delay_s,
            created_at_ms=now_ms,
        )
    )
    for start in range(0, len(bodies), _ROWS_AN_INSERT):
        part = bodies[start : start + _ROWS_AN_INSERT]
        connection.execute(
            sa.insert(messages),
            [
                {"batch_id": batch_id, "number": number, "body": body}
                for number, body in enumerate(part, start=start + 1)
            ],
        )
    return batch


def find(connection: sa.Connection, batch_id: str) -> Batch | None:
    """Return the batch of that id; None if there is none."""
    row = connection.execute(
        sa.select(
            batches.c.id,
            batches.c.publisher,
            batches.c.guarantee,
            batches.c.expected,
            batches.c.delay_s,
        ).where(batches.c.id == batch_id)
    ).one_or_none()
    return None if row is None else Batch(**row._mapping, is_new=False)


def _create_publisher(connection: sa.Connection, publisher: str, now_ms: int) -> None:
    # First an UPDATE that changes nothing. It locks, on SQLite the database and on PostgreSQL the
    # publisher's row, before the next free id is read: two processes never take one id.
    known = connection.execute(
        sa.update(publishers).where(publishers.c.name == publisher).values(name=publisher)
    )
    if not known.rowcount:
        connection.execute(sa.insert(publishers).values(name=publisher, created_at_ms=now_ms))


def _next_id(connection: sa.Connection, publisher: str) -> str:
    if find(connection, publisher) is not None:
        # The ids of its batches would be the ids of that batch's messages.
        raise Refusal(
            f"{publisher} is the id of a batch, so {publisher}-1 is one of its messages",
            next_step="choose another --name, or give the batch an --id",
        )
    prefix = f"{publisher}-"
    known = set(
        connection.scalars(
            sa.select(batches.c.id).where(batches.c.id.startswith(prefix, autoescape=True))
        )
    )
    own = (id_.removeprefix(prefix) for id_ in known)
    number = max((int(tail) for tail in own if re.fullmatch(r"[0-9]{1,9}", tail)), default=0) + 1
    while any(re.fullmatch(rf"{re.escape(prefix)}{number}-[0-9]+", id_) for id_ in known):
        number += 1  # a batch of another publisher has the id of one of its messages
    return f"{prefix}{number}"


def _refuse_if_taken(connection: sa.Connection, batch_id: str) -> None:
    """Refuse an id that is also the id of a message, which is BATCH-NUMBER."""
    owner, _, number = batch_id.rpartition("-")
    taken = number.isdigit() and find(connection, owner) is not None
    below = connection.scalars(
        sa.select(batches.c.id).where(batches.c.id.startswith(f"{batch_id}-", autoescape=True))
    )
    if taken or any(id_.removeprefix(f"{batch_id}-").isdigit() for id_ in below):
        raise Refusal(
            f"the id {batch_id} is the id of a message, or a message of it has the id of a batch",
            next_step="choose another --id, or leave it out",
        )


def _refuse_if_different(
    connection: sa.Connection, earlier: Batch, publisher: str, guarantee: str, bodies: list[Any]
) -> None:
    differences = [
        f"{what} {was} there, {now} here"
        for what, was, now in (
            ("name", earlier.publisher, publisher),
            ("guarantee", earlier.guarantee, guarantee),
            ("count", earlier.expected, len(bodies)),
        )
        if was != now
    ]
    if not differences and not _same(_stored(connection, earlier.id), bodies):
        differences = ["other messages"]
    if differences:
        raise Refusal(
            f"the batch {earlier.id} exists and differs: {'; '.join(differences)}",
            next_step="choose another --id, or leave it out",
        )


def _stored(connection: sa.Connection, batch_id: str) -> Iterator[Any]:
    query = sa.select(messages.c.body).where(messages.c.batch_id == batch_id)
    yield from connection.scalars(query.order_by(messages.c.number))


def _same(stored: Iterable[Any], bodies: Iterable[Any]) -> bool:
    return all(was == now for was, now in zip(stored, bodies, strict=True))
