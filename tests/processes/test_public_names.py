"""The examples in the docstrings of the public names run, and show what they print."""

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import DEADLINE_S

import resumectl

NAMES = [
    *(f"resumectl:{name}" for name in resumectl.__all__ if name != "__version__"),
    "resumectl.errors:MachineFailure",
    "resumectl.errors:Refusal",
]

# A process for all: DBOS is launched in it once, by the example of Runtime.
_RUN = """
import doctest, importlib, sys
for name in sys.argv[1:]:
    module, _, attribute = name.partition(":")
    value = getattr(importlib.import_module(module), attribute)
    (found, *_) = doctest.DocTestFinder(recurse=False).find(value, attribute, globs={})
    assert found.examples, f"{name} has no example"
    result = doctest.DocTestRunner().run(found)
    assert result.failed == 0, name
"""


def test_examples_of_public_names_run(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _RUN, *NAMES],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


_RUN_TWICE = """
import logging
from resumectl import Publisher, Runtime, Settings
settings = Settings.resolve(db_url="sqlite:///own.sqlite", environ={})
levels = [logging.getLogger("dbos").level]
for _ in range(2):
    with Runtime(settings, "publish"):
        levels.append(logging.getLogger("dbos").level)
    levels.append(logging.getLogger("dbos").level)
print(*levels)
"""


def test_a_runtime_that_has_ended_leaves_dbos_its_log_level(tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-c", _RUN_TWICE],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        check=True,
    )
    first, running, ended, running_again, ended_again = ran.stdout.split()
    assert ended == ended_again == first
    assert running_again == running


@pytest.mark.parametrize("name", resumectl.__all__)
def test_public_name_is_loaded_when_it_is_used(name: str) -> None:
    assert getattr(resumectl, name) is not None


def test_package_is_marked_as_typed() -> None:
    assert (Path(resumectl.__file__).parent / "py.typed").is_file()
