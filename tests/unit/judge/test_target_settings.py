"""Which settings a target's processes recorded."""

from builders import observed, process

from resumectl.judge.target_settings import settings_of_target
from resumectl.model.events import Launched, StartedWorkflow, TargetImported
from resumectl.model.observation import LATER_BASELINE, Observation


def run(version: str, plan: str = "") -> Observation:
    imported = TargetImported(1, (StartedWorkflow("w-1", "work"),))
    launched = Launched(1, version, True, "shop", 1, ("conductor_key",), "")
    return observed(process([imported, launched]), plan=plan)


def test_settings_are_those_of_the_first_run_of_each_program() -> None:
    runs = [observed(process(), plan=""), run("1"), run("9"), run("2", LATER_BASELINE)]
    first, later = (settings_of_target(runs, later=each) for each in (False, True))
    assert first is not None
    assert later is not None
    assert (first.app_version, later.app_version) == ("1", "2")
    assert (first.executor_id, first.replaced, first.started_at_import) == (
        "shop", ("conductor_key",), ("work",),
    )  # fmt: skip


def test_program_without_a_run_has_no_settings() -> None:
    assert settings_of_target([run("1")], later=True) is None
