"""A snapshot holds rows as DBOS stored them."""

from builders import snapshot

from resumectl.model.snapshot import KeyedValueRow


def test_values_are_listed_by_the_way_in_which_a_workflow_said_them() -> None:
    event, message = KeyedValueRow("w-1", "status", '"paid"'), KeyedValueRow("w-1", "topic", '"go"')
    rows = snapshot(event=[event], inbox=[message])
    assert rows.said == {"event": (event,), "stream": (), "inbox": (message,)}
