"""kill -9 at random moments, on every command that runs workflows: nothing is lost, and
nothing is delivered more often than promised."""

import random
import subprocess

import pytest
from conftest import Workspace, slowness

from resumectl.publishing.store.state import Guarantee

KILLS = 16  # on each database; `pytest --kills 100` for more


def kill_after(process: subprocess.Popen[str], seconds: float) -> None:
    """SIGKILL after so long, wherever it is by then; or it has ended before."""
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        process.kill()
    process.communicate()


@pytest.mark.slow
@pytest.mark.parametrize("seed", [1, pytest.param(2, marks=pytest.mark.long)])
def test_kills_at_random_moments_break_no_promise(
    workspace: Workspace, seed: int, pytestconfig: pytest.Config
) -> None:
    chance = random.Random(seed)
    kills = int(pytestconfig.getoption("--kills") or KILLS) // 2
    workspace.ok("publish", "--count", "1")  # so that there are tables, however slow the first is
    for _ in range(kills):
        command = chance.choice(("publish", "publish", "resume", "worker"))
        options = (
            ("--count", "30", "--guarantee", chance.choice(list(Guarantee)))
            if command == "publish"
            else ()
        )
        # From before the first import is done to after everything has ended.
        kill_after(
            workspace.start_interpreter(command, *options), chance.uniform(0.3, 2.2) * slowness()
        )
    workspace.ok("resume")
    state = workspace.document("state", "--check")
    batches = [batch for publisher in state["publishers"] for batch in publisher["batches"]]
    assert {batch["status"] for batch in batches} <= {"SUCCESS"}
    for batch in batches:
        assert batch["expected"] == batch["delivered"] + batch["missing"]
        if batch["guarantee"] in ("exactly-once", "idempotent"):
            assert (batch["repeated"], batch["missing"]) == (0, 0)
    by_hand = workspace.rows(
        "SELECT batch_id, count(*), count(DISTINCT message_number) FROM deliveries"
        " GROUP BY batch_id ORDER BY batch_id"
    )
    assert by_hand == sorted(
        (b["id"], b["delivered"] + b["repeated"], b["delivered"]) for b in batches if b["delivered"]
    )
