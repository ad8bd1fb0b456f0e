"""Another release of DBOS than resumectl was made for is refused, whatever fails first."""

import tomllib

import pytest
from conftest import CHECKOUT

from resumectl import release
from resumectl.errors import MachineFailure


def test_the_requirement_is_that_of_the_project() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]
    assert release.REQUIREMENT in project["dependencies"]


@pytest.mark.parametrize("found", ["3.3.0", "2.30.0", "4.0.0", ""])
def test_another_release_is_refused(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(release, "dbos_release", lambda: found)
    with pytest.raises(MachineFailure, match=found or "not installed") as refused:
        release.require_dbos()
    assert refused.value.next_step == f"pip install '{release.REQUIREMENT}'"


@pytest.mark.parametrize("found", ["3.4.0", "3.10.1rc2"])
def test_a_release_that_is_supported_is_not(monkeypatch: pytest.MonkeyPatch, found: str) -> None:
    monkeypatch.setattr(release, "dbos_release", lambda: found)
    release.require_dbos()


@pytest.mark.parametrize("found", ["2.13.0", "2.31.1", "3.0.0", "3.4.0", "3.10.1rc2"])
def test_release_of_a_target_is_supported(found: str) -> None:
    assert release.is_supported(found)


@pytest.mark.parametrize("found", ["1.13.2", "2.12.0", "2.32.0", "4.0.0", ""])
def test_other_release_of_a_target_is_not_supported(found: str) -> None:
    assert not release.is_supported(found)
