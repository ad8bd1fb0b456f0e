"""Crash points are kept until something changes that they depend on."""

from dataclasses import replace
from pathlib import Path

import pytest

from resumectl.model.crash_plan import CrashPlan
from resumectl.model.promise import Promise
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target
from resumectl.testing.point_cache import PointCache

PLANS = [CrashPlan.parse("before:w-1/step-1"), CrashPlan.parse("after:w-1/step-1")]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "shop.py"
    path.write_text("text")
    return path


@pytest.fixture
def spec(source: Path) -> SweepSpec:
    target = Target((str(source), "checkout"))
    return SweepSpec(target, target, {})


DIGEST = "982d9e3eb996f559e633f4d194def3761d909f5a3b647d1a851fead67c32c9d1"  # of "text"


def filled(tmp_path: Path, spec: SweepSpec, source: Path) -> PointCache:
    cache = PointCache(tmp_path / ".resumectl")
    with cache.locked():
        assert cache.get(spec) is None
        cache.put(spec, PLANS, {str(source): DIGEST})
    return cache


def test_points_of_an_unchanged_target_are_kept_in_their_order(
    tmp_path: Path, spec: SweepSpec, source: Path
) -> None:
    cache = filled(tmp_path, spec, source)
    assert cache.get(spec) == PLANS
    # Neither of these changes where a program can be killed.
    assert cache.get(replace(spec, promises={"charge": Promise.EXACTLY_ONCE}, seed=7)) == PLANS


def test_points_are_forgotten_when_a_source_changes(
    tmp_path: Path, spec: SweepSpec, source: Path
) -> None:
    cache = filled(tmp_path, spec, source)
    source.write_text("edited")
    assert cache.get(spec) is None
    source.unlink()
    assert cache.get(spec) is None


@pytest.mark.parametrize("change", [{"only": "*/step-2"}, {"on": "postgres"}])
def test_points_belong_to_the_options_of_the_target(
    tmp_path: Path, spec: SweepSpec, source: Path, change: dict[str, str]
) -> None:
    cache = filled(tmp_path, spec, source)
    assert cache.get(replace(spec, **change)) is None  # type: ignore[arg-type]


def test_points_belong_to_the_releases_of_the_libraries(
    tmp_path: Path, spec: SweepSpec, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installed = tmp_path / "site-packages" / "sqlmodel-1.0.dist-info"
    installed.mkdir(parents=True)
    monkeypatch.syspath_prepend(str(installed.parent))
    monkeypatch.syspath_prepend(str(tmp_path / "missing"))
    cache = filled(tmp_path, spec, source)
    other = installed.rename(installed.with_name("sqlmodel-1.1.dist-info"))
    assert cache.get(spec) is None
    other.rename(installed)
    assert cache.get(spec) == PLANS


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"plans": ["x"], "sources": {}}'])
def test_damaged_file_is_as_if_it_were_missing(
    tmp_path: Path, spec: SweepSpec, source: Path, damage: str
) -> None:
    cache = filled(tmp_path, spec, source)
    (file,) = (tmp_path / ".resumectl" / "crash-points").iterdir()
    file.write_text(damage)
    assert cache.get(spec) is None


def test_directory_that_cannot_be_made_is_told_and_nothing_is_kept(
    tmp_path: Path, spec: SweepSpec
) -> None:
    (tmp_path / ".resumectl").touch()
    cache = PointCache(tmp_path / ".resumectl")
    lock = cache.locked()
    with pytest.warns(UserWarning, match="crash points are found in each session"):
        lock.__enter__()
    cache.put(spec, PLANS, {})
    assert cache.get(spec) is None
