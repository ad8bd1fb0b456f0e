"""Messages from real input, and batch ids that cannot be mistaken for a message's."""

import io
import json
from collections.abc import Iterator

import pytest
import sqlalchemy as sa
from conftest import Workspace

from resumectl.database import open_engine
from resumectl.errors import Refusal
from resumectl.publishing.store import batches
from resumectl.publishing.store.batches import Batch, read_messages
from resumectl.publishing.store.migration import ensure_migrated


def read(data: bytes) -> tuple[list[object], int]:
    return read_messages(io.BytesIO(data), "input.txt")


def test_a_json_object_is_stored_as_one_and_anything_else_as_text() -> None:
    found, blank = read(b'{"order": 1}\n[1, 2]\n{broken\nplain\n"quoted"\n{"n": NaN}\n')
    assert found == [{"order": 1}, "[1, 2]", "{broken", "plain", '"quoted"', '{"n": NaN}']
    assert blank == 0


def test_blank_lines_are_counted_not_published() -> None:
    assert read(b"\xef\xbb\xbfone\r\n\r\n  \ntwo") == (["one", "two"], 2)


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (b"", "holds no message"),
        (b"\n \n", "holds no message"),
        (b"fine\n\xff\xfe\n", "is not UTF-8 text (line 2)"),
        (b"a\0b\n", "holds a NUL character (line 1)"),
    ],
)
def test_input_that_cannot_be_published_is_refused(data: bytes, what: str) -> None:
    with pytest.raises(Refusal) as refused:
        read(data)
    assert what in refused.value.what


@pytest.fixture
def connection(workspace: Workspace) -> Iterator[sa.Connection]:
    engine = open_engine(workspace.settings)
    ensure_migrated(workspace.settings, engine)
    with engine.connect() as found:
        yield found
    engine.dispose()


def create(connection: sa.Connection, publisher: str, batch_id: str | None = None) -> Batch:
    with connection.begin() if not connection.in_transaction() else connection.begin_nested():
        return batches.create(
            connection,
            publisher=publisher,
            guarantee="exactly-once",
            bodies=["one", {"two": 2}],
            batch_id=batch_id,
        )


def test_batches_are_numbered_by_publisher(connection: sa.Connection) -> None:
    ids = [create(connection, name).id for name in ("alpha", "beta", "alpha", "alpha-x")]
    assert ids == ["alpha-1", "beta-1", "alpha-2", "alpha-x-1"]


def test_the_same_id_again_is_the_same_batch(connection: sa.Connection) -> None:
    assert create(connection, "alpha", "mine").is_new
    again = create(connection, "alpha", "mine")
    assert not again.is_new
    assert again.expected == 2


def test_an_id_that_a_message_has_is_no_batchs(connection: sa.Connection) -> None:
    create(connection, "alpha")  # alpha-1, whose messages are alpha-1-1 and alpha-1-2
    with pytest.raises(Refusal, match="is the id of a message"):
        create(connection, "beta", "alpha-1-2")
    with pytest.raises(Refusal, match="is the id of a batch"):
        create(connection, "alpha-1")
    create(connection, "gamma", "alpha-2-1")
    assert create(connection, "alpha").id == "alpha-3"  # alpha-2 would own alpha-2-1


def test_messages_are_stored_in_order_and_whole(connection: sa.Connection) -> None:
    batch = create(connection, "alpha")
    rows = connection.execute(
        sa.select(sa.text("number, body")).select_from(sa.text("messages"))
        if connection.dialect.name == "sqlite"
        else sa.text("SELECT number, body FROM resumectl.messages")
    ).all()
    stored = {n: json.loads(b) if isinstance(b, str) and b[0] in '"{' else b for n, b in rows}
    assert stored == {1: "one", 2: {"two": 2}}
    assert batch.expected == 2


def test_a_count_out_of_range_is_refused() -> None:
    for count in (0, -1, 10**9):
        with pytest.raises(Refusal, match="is not 1 to"):
            batches.generated(count)
