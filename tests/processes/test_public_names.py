"""The examples in the docstrings of the public names run, and show what they print."""

import subprocess
import sys
from pathlib import Path

import pytest

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
        timeout=120,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("name", resumectl.__all__)
def test_public_name_is_loaded_when_it_is_used(name: str) -> None:
    assert getattr(resumectl, name) is not None


def test_package_is_marked_as_typed() -> None:
    assert (Path(resumectl.__file__).parent / "py.typed").is_file()
