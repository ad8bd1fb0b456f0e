"""An error that no refusal covers is reported with its message and a next step."""

import json

import pytest

from resumectl.cli.common import Common, run_and_report
from resumectl.errors import ExitCode


def raising(error: Exception, common: Common | None = None) -> int:
    """Return the exit code of a command that raises the error."""

    def call() -> ExitCode:
        raise error

    return run_and_report(common or Common(), call)


def test_unexpected_error_keeps_its_message(capsys: pytest.CaptureFixture[str]) -> None:
    error = ImportError("cannot import name 'Queue' from 'dbos'\nsecond line")
    assert raising(error) == ExitCode.MACHINE_FAILED
    assert capsys.readouterr().err.splitlines() == [
        "error: unexpected ImportError: cannot import name 'Queue' from 'dbos'",
        "next:  run it again with --debug, and report the traceback as a defect of resumectl",
    ]


def test_unexpected_error_without_a_message_shows_its_class(
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(LookupError())
    assert capsys.readouterr().err.startswith("error: unexpected LookupError\n")


def test_unexpected_error_shows_no_password(capsys: pytest.CaptureFixture[str]) -> None:
    common = Common(db_url="postgresql://me:hush-hush@localhost/shop", as_json=True)
    raising(RuntimeError("no route to postgresql://me:hush-hush@localhost/shop"), common)
    out, err = capsys.readouterr()
    assert "unexpected RuntimeError: no route to postgresql://me:***@localhost/shop" in err
    assert json.loads(out)["error"].startswith("unexpected RuntimeError: no route")
    assert "hush" not in out + err
