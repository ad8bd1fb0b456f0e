"""Every module of the judge and the model has a unit test of its own."""

from pathlib import Path

import pytest

import resumectl

SOURCES = Path(resumectl.__file__).parent
TESTS = Path(__file__).parent


@pytest.mark.parametrize("package", ["judge", "model"])
def test_every_module_has_a_test_file_of_its_name(package: str) -> None:
    modules = {path.stem for path in (SOURCES / package).glob("*.py")} - {"__init__"}
    tested = {path.stem.removeprefix("test_") for path in (TESTS / package).glob("test_*.py")}
    assert modules, package
    assert not modules - tested, "add tests/unit/PACKAGE/test_MODULE.py"
