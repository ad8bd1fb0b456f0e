"""A stored sweep that cannot be read is refused, with the reason and what to do."""

import pytest
from builders import checker_of, run, trial
from conftest import Workspace
from in_process import look

from resumectl import __version__
from resumectl.database import open_engine
from resumectl.errors import ExitCode
from resumectl.model.crash_plan import CrashPlan
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target
from resumectl.runner.sweep_store import SweepStore

STEPS = [("charge", "ok")]


@pytest.fixture
def stored(sqlite_workspace: Workspace) -> Workspace:
    """Return a workspace with one sweep of two planned trials, of which one has been run."""
    sqlite_workspace.ok("migrate")
    engine = open_engine(sqlite_workspace.settings)
    store, seen, runs = SweepStore(engine), trial(STEPS), [run(STEPS)] * 2
    plan = CrashPlan.parse(seen.plan)
    with engine.begin() as connection:
        sweep_id = store.begin(connection, SweepSpec(Target(), Target(), {}), baselines=runs)
        store.plan(connection, sweep_id, 1, [plan, plan], crash_points=2)
    store.trials(sweep_id).keep(1, seen, checker_of(runs).check(seen))
    engine.dispose()
    return sqlite_workspace


def test_unfinished_sweep_is_said_to_be_unfinished(stored: Workspace) -> None:
    ran = look(stored, "check", "1")
    assert ran.code == ExitCode.NOTHING_PROVED
    assert "unfinished: 1 of 2 trials have been run\n" in ran.out
    assert "sweep:1  finishes it\n" in ran.err.partition("next:  resumectl resume ")[2]


DAMAGED = "sweep 1 cannot be read: trial 1 is damaged"
EARLIER = "sweep 1 was stored by resumectl 0.0.9, in a form that this resumectl, "


@pytest.mark.parametrize(
    ("damage", "code", "what", "next_step"),
    [
        ("trials SET observation = x'00'", ExitCode.MACHINE_FAILED, DAMAGED, "sweep again"),
        ("trials SET observation = NULL", ExitCode.MACHINE_FAILED, DAMAGED, "sweep again"),
        ("sweeps SET baselines = x''", ExitCode.MACHINE_FAILED,
         "sweep 1 cannot be read: a run without a crash is damaged", "sweep again"),
        ("sweeps SET spec = 'nonsense'", ExitCode.MACHINE_FAILED,
         "the stored sweeps are damaged: a row cannot be read", "resumectl reset"),
        ("sweeps SET started_at_ms = 'nonsense'", ExitCode.MACHINE_FAILED,
         "the stored sweeps are damaged: a row cannot be read", "resumectl reset"),
        ("trials SET seconds = 'nonsense'", ExitCode.MACHINE_FAILED,
         "the stored sweeps are damaged: a row cannot be read", "resumectl reset"),
        ("sweeps SET spec = json_set(spec, '$.schema', 1, '$.resumectl', '0.0.9')",
         ExitCode.REFUSED, EARLIER, "pip install resumectl==0.0.9"),
        ("sweeps SET spec = json_set(spec, '$.schema', 1)",
         ExitCode.REFUSED, f"was stored by resumectl {__version__}", "sweep again"),
    ],
)  # fmt: skip
def test_sweep_that_cannot_be_read_is_refused(
    stored: Workspace, damage: str, code: ExitCode, what: str, next_step: str
) -> None:
    stored.execute(f"UPDATE {damage} WHERE rowid = 1")
    ran = look(stored, "check", "1")
    assert ran.code == code, ran
    assert what in ran.err
    assert next_step in ran.err
    assert "defect" not in ran.err


def test_number_beyond_every_sweep_is_refused(stored: Workspace) -> None:
    ran = look(stored, "check", str(2**80))
    assert ran.code == ExitCode.REFUSED
    assert f"there is no sweep {2**80}" in ran.err
