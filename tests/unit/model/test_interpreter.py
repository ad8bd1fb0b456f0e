"""A stored sweep keeps the interpreter of its target."""

from dataclasses import replace

from resumectl.model.codec import from_plain, to_plain
from resumectl.model.interpreter import Interpreter
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target

FOUND = Interpreter("/srv/shop/.venv/bin/python", "--python", False, "3.10.13", "2.31.1", "2.0.43")


def test_interpreter_is_stored_with_the_spec() -> None:
    spec = replace(SweepSpec(Target(), Target(), {}), interpreter=FOUND)
    assert from_plain(SweepSpec, to_plain(spec)) == spec
