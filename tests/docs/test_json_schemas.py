"""Real output is what the JSON Schema files of docs/schemas say."""

import json
import shlex
import signal

import make_docs
import pytest
from conftest import Workspace
from jsonschema import Draft202012Validator, ValidationError
from make_docs import app_commands
from running_worker import worker
from schema_validation import SCHEMAS, validate

from resumectl.errors import ExitCode

TARGET = make_docs.SWEEP.removeprefix("resumectl sweep ")
# Schema, command line and exit code. In this order, in one directory: each finds what those before
# it have stored.
COMMANDS = (
    ("doctor", "doctor", ExitCode.DONE),
    ("migrate", "migrate", ExitCode.DONE),
    ("publish", "publish --name alpha --count 3", ExitCode.DONE),
    ("crash-after", "crash-after 2 --count 3", ExitCode.DONE),
    ("state", "state", ExitCode.DONE),
    ("resume", "resume", ExitCode.DONE),
    ("resume", "resume", ExitCode.DONE),  # nothing is left
    ("steps", "steps alpha-1", ExitCode.DONE),
    ("watch", "watch --once", ExitCode.DONE),
    ("list-workflows", "fork alpha-1 --from-step 1", ExitCode.DONE),
    ("list-workflows", "cancel {forked}", ExitCode.DONE),
    ("list-workflows", "list-workflows", ExitCode.DONE),
    ("points", f"points {TARGET.partition(' --promise')[0]}", ExitCode.DONE),
    ("sweep", f"sweep {TARGET}", ExitCode.PROMISE_BROKEN),
    ("sweep", "check 1", ExitCode.PROMISE_BROKEN),
    ("replay", f"replay before:checkout-1/step-1 {TARGET}", ExitCode.PROMISE_BROKEN),
    ("sweeps", "sweeps", ExitCode.DONE),
    ("repro", "repro 1 --runs 1", ExitCode.DONE),
    ("report", "report 1", ExitCode.DONE),
    ("init", "init", ExitCode.DONE),
    ("project-sweep", "sweep", ExitCode.DONE),
    ("refusal", "sweep absent.py:checkout", ExitCode.REFUSED),
    ("refusal", "sweep --no-such-option", ExitCode.REFUSED),
    ("reset", "reset --yes", ExitCode.DONE),
)
# Their documents are validated by tests of their own.
ELSEWHERE = {"worker", "selftest"}
NO_COMMAND = {"observation", "judgement", "refusal"}


@pytest.fixture
def shop(sqlite_workspace: Workspace) -> Workspace:
    """Return a workspace on SQLite that holds shop.py."""
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    (workspace.directory / "other.py").write_text("from dbos import DBOS\n" + OTHER)
    return workspace


OTHER = """
@DBOS.workflow()
def other():
    return 1
"""


@pytest.mark.slow
def test_real_output_is_valid(shop: Workspace) -> None:
    forked = ""
    for name, command, code in COMMANDS:
        ran = shop.run(*shlex.split(command.format(forked=forked)), "--json")
        assert ran.code == code, f"{command}: {ran}"
        validate(name, ran.document)
        if name == "init":
            file = shop.directory / "pyproject.toml"
            file.write_text(file.read_text().replace("…", "order-1"))
        if command.startswith("fork"):
            (workflow,) = ran.document["workflows"]
            forked = workflow["id"]
        if command.startswith("sweep shop"):
            stored = [row for (row,) in shop.rows("SELECT judgement FROM trials") if row]
            assert len(stored) >= 8
            for judgement in stored:
                validate("judgement", json.loads(judgement))


def test_output_of_a_worker_is_valid(shop: Workspace) -> None:
    with worker(shop, "--json") as process:
        process.send_signal(signal.SIGTERM)
        output, _ = process.communicate()
    validate("worker", json.loads(output))


def test_refused_document_is_not_valid(shop: Workspace) -> None:
    """A schema that accepts anything would prove nothing."""
    ran = shop.run("sweep", "absent.py:checkout", "--json")
    assert ran.code == ExitCode.REFUSED
    with pytest.raises(ValidationError):
        validate("sweep", ran.document)


def test_every_schema_is_a_schema() -> None:
    for schema in SCHEMAS.values():
        Draft202012Validator.check_schema(schema)


def test_every_command_and_every_schema_is_tested() -> None:
    schemas = {name for name, _, _ in COMMANDS} | ELSEWHERE
    assert schemas | NO_COMMAND == SCHEMAS.keys()
    commands = {command.split()[0] for _, command, _ in COMMANDS} | ELSEWHERE
    assert commands == app_commands().keys()
