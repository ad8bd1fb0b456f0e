"""A stored sweep keeps the interpreter of its target."""

from dataclasses import replace

from resumectl.model.codec import from_plain, to_plain
from resumectl.model.interpreter import Interpreter, Interpreters, Source
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target

FOUND = Interpreter(
    "/srv/shop/.venv/bin/python", Source.OPTION, False, "3.10.13", "2.31.1", "2.0.43"
)


def test_interpreters_are_stored_with_the_spec() -> None:
    spec = replace(SweepSpec(Target(), Target(), {}), interpreters=Interpreters.alike(FOUND))
    assert from_plain(SweepSpec, to_plain(spec)) == spec


def test_database_of_another_release_is_migrated() -> None:
    newer = replace(FOUND, path="/srv/next/bin/python", dbos="3.4.0")
    other = replace(FOUND, path="/srv/next/bin/python")
    for later, are_two, migrates in (
        (FOUND, False, False),
        (other, True, False),
        (newer, True, True),
    ):
        found = Interpreters(FOUND, later)
        assert (found.are_two, found.migrates) == (are_two, migrates)
