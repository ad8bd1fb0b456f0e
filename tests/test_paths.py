"""Where the paths of two runs part, and which difference is no evidence; nothing is run."""

from typing import Any

import pytest

from resumectl.judge.replay_paths import Parting, never_asked_for, parting, paths_of
from resumectl.model.observation import LifeSeen

Steps = list[tuple[int, str, str]]  # number, name, output


def life(steps: Steps, *, status: str = "SUCCESS", given: str = "1", **more: Any) -> LifeSeen:
    workflow = {"id": "w", "name": "checkout", "input": given, "status": status}
    rows = [
        {"workflow": "w", "number": n, "name": name, "output": output, "error": None, "child": None}
        for n, name, output in steps
    ]
    left = {"workflows": [workflow], "steps": rows}
    return LifeSeen(more.get("events", []), "ended", None, 0, True, left)


def parted(here: LifeSeen, there: LifeSeen) -> Parting | None:
    return parting(paths_of(here)["w"], paths_of(there)["w"])


CHARGE, SHIP, GIFT = (1, "charge", "1"), (2, "ship", "2"), (2, "wrap_gift", "2")


@pytest.mark.parametrize(
    ("here", "there", "found"),
    [
        ([CHARGE, SHIP], [CHARGE, SHIP], None),
        ([CHARGE, SHIP], [CHARGE, GIFT], Parting(2, "ship", "wrap_gift")),
        ([CHARGE], [CHARGE, GIFT], Parting(2, "", "wrap_gift")),
        ([], [CHARGE], Parting(1, "", "charge")),
        # Another result: whatever comes next may depend on it.
        ([(1, "charge", "7"), SHIP], [CHARGE, GIFT], None),
        # What happened at a number without a record is not known.
        ([(2, "ship", "2")], [CHARGE, SHIP], None),
        ([(2, "ship", "2")], [(2, "wrap_gift", "2")], None),
        # A wait that lasted is recorded, and the time of waking is not for the body to see.
        ([CHARGE], [CHARGE, (2, "DBOS.sleep", "99")], None),
        (
            [(1, "DBOS.sleep", "7"), SHIP],
            [(1, "DBOS.sleep", "8"), GIFT],
            Parting(2, "ship", "wrap_gift"),
        ),
    ],
)
def test_paths_part_where_the_same_records_lead_elsewhere(
    here: Steps, there: Steps, found: Parting | None
) -> None:
    assert parted(life(here), life(there)) == found


def test_a_workflow_that_did_not_succeed_has_not_ended_its_path() -> None:
    assert parted(life([CHARGE], status="ERROR"), life([CHARGE, SHIP])) is None
    assert parted(life([CHARGE], status="CANCELLED"), life([CHARGE, SHIP])) is None


def test_another_input_leads_elsewhere_by_right() -> None:
    assert parted(life([CHARGE], given="1"), life([CHARGE, SHIP], given="2")) is None


def test_a_recorded_step_is_called_again_before_its_workflow_ends() -> None:
    replayed = {"kind": "replayed", "workflow": "w", "number": 1}
    crashed = life([CHARGE, SHIP], status="PENDING")
    recovered = life([CHARGE, SHIP], events=[replayed])
    assert list(never_asked_for([crashed, recovered])) == [("w", 2, "ship")]
    unfinished = life([CHARGE, SHIP], status="PENDING", events=[replayed])
    assert list(never_asked_for([crashed, unfinished])) == []
    # Nothing is called again of what had ended.
    assert list(never_asked_for([life([CHARGE, SHIP]), recovered])) == []
    # Whichever life comes last.
    asked = life([CHARGE, SHIP], events=[replayed, replayed | {"number": 2}])
    assert list(never_asked_for([crashed, unfinished, asked])) == []
