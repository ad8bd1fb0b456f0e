"""Log lines: one a delivery and one a failure, for people and for machines."""

import json
import logging
import traceback

import pytest
from conftest import Workspace

from resumectl.logs import FIELDS, LogFormat, start_logging
from resumectl.settings import Settings


def test_there_is_a_json_line_for_each_delivery(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.ok("publish", "--count", "3", "-v", "--log-format", "json")
    lines = [json.loads(line) for line in ran.err.splitlines()]
    delivered = [line for line in lines if line["message"] == "delivered"]
    assert len(delivered) == 3
    for line in delivered:
        assert set(FIELDS) <= set(line)
    assert sorted(line["message_number"] for line in delivered) == [1, 2, 3]
    assert sorted(line["global"] for line in delivered) == [1, 2, 3]
    assert {line["logger"] for line in lines} == {"dbos", "resumectl"}


def test_text_lines_carry_the_same_fields(sqlite_workspace: Workspace) -> None:
    ran = sqlite_workspace.ok("publish", "--count", "1", "-v")
    (line,) = [line for line in ran.err.splitlines() if " delivered " in line]
    assert line.endswith(
        "publisher=alpha workflow_id=alpha-1-1 message_number=1 local=1 global=1 process_id=1"
    )


def test_without_v_a_good_run_logs_nothing(sqlite_workspace: Workspace) -> None:
    assert sqlite_workspace.ok("publish", "--count", "3").err == ""


def test_a_failure_is_logged_without_v(sqlite_workspace: Workspace) -> None:
    sqlite_workspace.ok("migrate")
    sqlite_workspace.execute(
        "CREATE TRIGGER refuse BEFORE INSERT ON deliveries WHEN NEW.message_number = 2"
        " BEGIN SELECT RAISE(ABORT, 'no second one'); END"
    )
    ran = sqlite_workspace.run("publish", "--count", "3")
    (line,) = [line for line in ran.err.splitlines() if "not delivered" in line]
    assert "no second one" in line
    assert "message_number=2" in line


@pytest.mark.parametrize("log_format", list(LogFormat))
def test_a_password_or_a_traceback_is_never_logged(
    log_format: LogFormat, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Settings.resolve(db_url="postgresql://u:hunter2@h/d", environ={})
    start_logging(verbose=True, log_format=log_format, settings=settings)
    try:
        raise ValueError("cannot reach postgresql://u:hunter2@h/d")
    except ValueError:
        logging.getLogger("dbos").exception("failed with %s", "hunter2")
        logging.getLogger("dbos").error(f"while polling: {traceback.format_exc()}")
        logging.getLogger("sqlalchemy.pool.impl.QueuePool").error("reset", exc_info=True)
    said = capsys.readouterr().err
    assert said.count("cannot reach") == len(said.splitlines()) == 3
    assert "hunter2" not in said
    assert "Traceback" not in said
