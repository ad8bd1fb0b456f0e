"""Names replace ids in texts of the program, in their encodings, and inside longer words."""

import base64
import pickle

import pytest
from builders import effect, observed, process, snapshot, workflow_row

from resumectl.judge.renaming import renamed

UUID = "0b0f2c1e-6d1e-4e0c-9b33-dd1b5c2a4cc4"


@pytest.mark.parametrize(
    ("text", "names", "shown"),
    [
        (f"receipt_{UUID}.pdf", {UUID: "w"}, "receipt_w.pdf"),
        ("a ab x-ab ab-1", {"ab": "w"}, "a w x-ab ab-1"),
        ("order%201", {"order 1": "w"}, "w"),
        (f"{UUID}-1 {UUID}", {UUID: "w", f"{UUID}-1": "child"}, "child w"),
    ],
)
def test_id_is_replaced_where_it_stands(text: str, names: dict[str, str], shown: str) -> None:
    (event,) = renamed(observed(process([effect("paid", text)])), names).final.events
    assert event == effect("paid", shown)


def test_id_inside_a_stored_value_is_replaced_and_other_values_stay() -> None:
    stored, other = (base64.b64encode(pickle.dumps([text])).decode() for text in (UUID, "x"))
    row = workflow_row(UUID, output=stored, input=other)
    (seen,) = renamed(observed(process([], snapshot([row]))), {UUID: "w"}).final.snapshot.workflows
    assert (seen.id, seen.output, seen.input) == ("w", "['w']", other)
