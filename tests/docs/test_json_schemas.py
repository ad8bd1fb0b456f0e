"""Real output is what the JSON Schema files of docs/schemas say."""

import json
import shlex
from typing import Any

import make_docs
import pytest
from conftest import Workspace
from jsonschema import Draft202012Validator, ValidationError
from referencing import Registry, Resource

from resumectl.errors import ExitCode

SCHEMAS: dict[str, Any] = {
    path.stem: json.loads(path.read_text()) for path in make_docs.SCHEMAS.glob("*.json")
}
REGISTRY: Registry[Any] = Registry().with_resources(
    (schema["$id"], Resource.from_contents(schema)) for schema in SCHEMAS.values()
)
TARGET = make_docs.SWEEP.removeprefix("resumectl sweep ")
# In this order, in one directory: the list of sweeps is not empty after a sweep.
COMMANDS = (
    ("publish", "--count 3", ExitCode.DONE),
    ("crash-after", "2 --count 3", ExitCode.DONE),
    ("state", "", ExitCode.DONE),
    ("list-workflows", "", ExitCode.DONE),
    ("points", TARGET.partition(" --promise")[0], ExitCode.DONE),
    ("sweep", TARGET, ExitCode.PROMISE_BROKEN),
    ("replay", f"before:checkout-1/step-1 {TARGET}", ExitCode.PROMISE_BROKEN),
    ("sweeps", "", ExitCode.DONE),
)


def validate(name: str, document: Any) -> None:
    Draft202012Validator(SCHEMAS[name], registry=REGISTRY).validate(document)


@pytest.fixture
def shop(sqlite_workspace: Workspace) -> Workspace:
    """Return a workspace on SQLite that holds shop.py."""
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    return workspace


@pytest.mark.slow
def test_real_output_is_valid(shop: Workspace) -> None:
    for name, arguments, code in COMMANDS:
        ran = shop.run(name, *shlex.split(arguments), "--json")
        assert ran.code == code, f"{name}: {ran}"
        validate(name, ran.document)
    stored = [json.loads(row) for (row,) in shop.rows("SELECT judgement FROM trials") if row]
    assert len(stored) >= 8
    for judgement in stored:
        validate("judgement", judgement)


def test_refused_document_is_not_valid(shop: Workspace) -> None:
    """A schema that accepts anything would prove nothing."""
    ran = shop.run("sweep", "absent.py:checkout", "--json")
    assert ran.code == ExitCode.REFUSED
    with pytest.raises(ValidationError):
        validate("sweep", ran.document)


def test_every_schema_is_a_schema() -> None:
    assert {name for name, _, _ in COMMANDS} | {"observation", "judgement"} == SCHEMAS.keys()
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)
