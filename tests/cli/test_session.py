"""The session that a newcomer types, on both databases."""

from conftest import Workspace


def test_a_crash_is_survived_and_seen(workspace: Workspace) -> None:
    workspace.ok("publish", "--name", "alpha", "--count", "20")
    crashed = workspace.document("crash-after", "7")
    assert crashed["delivered"] == 7
    assert crashed["signal"] == 9
    before = workspace.document("state")
    assert before["totals"]["delivered"] == 27
    assert before["totals"]["pending"] == 13
    workspace.ok("resume")
    after = workspace.document("state")
    assert after["totals"] == {
        "expected": 40,
        "delivered": 40,
        "repeated": 0,
        "missing": 0,
        "failed": 0,
        "cancelled": 0,
        "pending": 0,
        "unfinished": 0,
        "ignored": 0,
    }
    assert workspace.rows("SELECT count(*) FROM deliveries") == [(40,)]
    listed = workspace.document("list-workflows", "--limit", "100")["workflows"]
    assert {w["status"] for w in listed} == {"SUCCESS"}
    assert len(listed) == 42
