"""Where the paths of two runs part, and which difference is no evidence."""

import pytest
from builders import process, replayed, snapshot, step_row, workflow_row

from resumectl.judge.replay_paths import Divergence, never_called, parting, paths_of
from resumectl.model.events import StepReplayed
from resumectl.model.observation import ProcessRecord

Steps = list[tuple[int, str, str]]  # number, name, output


def left(
    steps: Steps, *replays: StepReplayed, status: str = "SUCCESS", given: str = "1"
) -> ProcessRecord:
    rows = [step_row(n, name, output) for n, name, output in steps]
    return process(replays, snapshot([workflow_row(status=status, input=given)], rows))


def parted(here: ProcessRecord, there: ProcessRecord) -> Divergence | None:
    return parting(paths_of(here)["w-1"], paths_of(there)["w-1"])


CHARGE, SHIP, GIFT = (1, "charge", "1"), (2, "ship", "2"), (2, "wrap_gift", "2")


@pytest.mark.parametrize(
    ("here", "there", "found"),
    [
        ([CHARGE, SHIP], [CHARGE, SHIP], None),
        ([CHARGE, SHIP], [CHARGE, GIFT], Divergence(2, "ship", "wrap_gift")),
        ([CHARGE], [CHARGE, GIFT], Divergence(2, "", "wrap_gift")),
        ([], [CHARGE], Divergence(1, "", "charge")),
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
            Divergence(2, "ship", "wrap_gift"),
        ),
    ],
)
def test_paths_part_where_the_same_records_lead_elsewhere(
    here: Steps, there: Steps, found: Divergence | None
) -> None:
    assert parted(left(here), left(there)) == found


@pytest.mark.parametrize("status", ["ERROR", "CANCELLED"])
def test_workflow_that_did_not_succeed_has_not_ended_its_path(status: str) -> None:
    assert parted(left([CHARGE], status=status), left([CHARGE, SHIP])) is None


def test_another_input_leads_elsewhere_by_right() -> None:
    assert parted(left([CHARGE], given="1"), left([CHARGE, SHIP], given="2")) is None


def test_recorded_step_is_called_again_before_its_workflow_ends() -> None:
    again = replayed("charge", 1)
    crashed = left([CHARGE, SHIP], status="PENDING")
    recovered = left([CHARGE, SHIP], again)
    assert [(each.number, each.name) for each in never_called([crashed, recovered])] == [
        (2, "ship")
    ]
    unfinished = left([CHARGE, SHIP], again, status="PENDING")
    assert list(never_called([crashed, unfinished])) == []
    # Nothing is called again of what had ended.
    assert list(never_called([left([CHARGE, SHIP]), recovered])) == []
    # Whichever process comes last.
    called = left([CHARGE, SHIP], again, replayed("ship", 2))
    assert list(never_called([crashed, unfinished, called])) == []
