"""The command lines of "next" lines repeat everything that was asked for."""

import shlex
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import typer

from resumectl.cli import app
from resumectl.cli.spec_from_options import read_spec
from resumectl.cli.target_options import (
    ChoiceOptions,
    TargetOptions,
    TrialOptions,
)
from resumectl.model.interpreter import Interpreter, Interpreters, Source
from resumectl.model.sweep_spec import SweepSpec
from resumectl.report.replay_command import Command, command_line


@pytest.fixture(autouse=True)
def no_active_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave resumectl's own interpreter, wherever these tests run."""
    for variable in ("VIRTUAL_ENV", "RESUMECTL_PYTHON"):
        monkeypatch.delenv(variable, raising=False)


# A value for each option of these commands that is not its default; an option without one fails.
EXAMPLES: dict[str, list[str | None]] = {
    "--args": ['["an order", 1]'],
    "--kwargs": ['{"it\'s": true}'],
    "--env": ["SHOP=the corner", "TWO=two\nlines"],
    "--python": [sys.executable],
    "--client": ["gives-up"],
    "--count": ["7"],
    "--guarantee": ["idempotent"],
    "--concurrency": ["3"],
    "--on": ["postgres"],
    "--after-launch": ["my shop.py:set_up"],
    "--observe": ["my shop.py:orders"],
    "--redirect": ["sqlite:////srv/the shop.db", "postgresql://db.example.com:5432/shop"],
    "--prepare": ["alembic -n 'the shop' upgrade head"],
    "--allow-database": ["sqlite:////srv/prices.db", "mysql://db.example.com:3306/prices"],
    "--allow-host": ["api.example.com:443", "::1"],
    "--max-sleep": ["0.25"],
    "--timeout": ["1234.56789"],
    "--downtime": ["86400"],
    "--promise": ["charge=exactly-once", "ship it=at-most-once"],
    "--resume-with": ["edited shop.py:checkout"],
    "--resume-version": ["2; rm -rf x"],
    "--resume-python": [sys.executable],
    "--isolation": ["spawn"],
    "--keep": [None],
    "--edge": ["before"],
    "--only": ["*/step-1"],
    "--max": ["5"],
    "--seed": ["9"],
    "--crashes": ["2"],
    "--repeat": ["4"],
    "--budget": ["90s"],
    "--failed": [None],
    "--fail-fast": [None],
}
# How it is run and shown on this machine, rather than what is asked for.
NOT_REPEATED = {
    "--jobs", "--times", "--db-url", "--config", "--app-version", "--executor", "--json",
    "--verbose", "--log-format", "--debug", "--help", "--junit", "--summary", "--sarif", "--html", "--watch",
}  # fmt: skip


def options_of(command: Command) -> set[str]:
    """The long options of a command, as its parser has them."""
    group = typer.main.get_command(app)
    found = group.commands[command].params  # type: ignore[attr-defined]
    return {
        next(name for name in each.opts if name.startswith("--"))
        for each in found
        if each.param_type_name == "option"
    }


def parsed(line: str) -> SweepSpec:
    """What a command line asks for, read by the parser itself; no command is run."""
    program, name, *words = shlex.split(line)
    assert program == "resumectl"
    group = typer.main.get_command(app)
    values = group.commands[name].make_context(name, words).params  # type: ignore[attr-defined]
    groups = [
        options(**{name: values[name] for name in options.__dataclass_fields__ if name in values})
        for options in (TargetOptions, TrialOptions, ChoiceOptions)
    ]
    return read_spec(*groups)  # type: ignore[arg-type]


@pytest.mark.parametrize("command", list(Command))
def test_every_option_that_says_what_to_run_is_repeated(
    command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my shop.py", "edited shop.py"):
        Path(name).touch()
    plan = "after:checkout/step-1#2" if command is Command.REPLAY else None
    options = options_of(command) - NOT_REPEATED
    assert options <= set(EXAMPLES)
    every = " ".join(
        name if value is None else f"{name} {shlex.quote(value)}"
        for name in sorted(options)
        for value in EXAMPLES[name]
    )
    given = f"resumectl {command} {plan or ''} 'my shop.py:checkout' {every}"
    asked = parsed(given)
    line = command_line(command, asked, str(tmp_path), plan=plan)
    assert all(name in line.split() for name in options), line
    assert str(tmp_path) not in line
    # A line break would end the line; bash reads the form in which it is written.
    assert len(line.splitlines()) == 1
    assert parsed(line.replace(r"$'TWO=two\nlines'", "'TWO=two\nlines'")) == asked


def test_what_is_the_default_is_left_out() -> None:
    usual = parsed("resumectl sweep")
    assert command_line(Command.SWEEP, usual, "/") == "resumectl sweep"
    assert command_line(Command.POINTS, usual, "/") == "resumectl points"


def test_what_a_command_does_not_take_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("shop.py").touch()
    asked = parsed("resumectl sweep shop.py:checkout --count 2 --keep --crashes 2")
    shown = command_line(Command.POINTS, asked, str(tmp_path))
    assert shown == "resumectl points shop.py:checkout --count 2"
    shown = command_line(Command.REPLAY, asked, str(tmp_path), plan="before:a/step-1")
    assert shown == "resumectl replay before:a/step-1 shop.py:checkout --count 2 --keep"


@pytest.mark.parametrize(
    ("name", "value", "is_secret"),
    [
        ("DB_PASSWORD", "s3kret", True),
        ("STRIPE_API_KEY", "s3kret", True),
        ("SHOP_URL", "postgresql://bob:s3kret@db.example.com/shop", True),
        ("SHOP_URL", "postgresql:///shop?user=bob&password=s3kret", True),
        ("SHOP_URL", "postgresql://bob@db.example.com/shop", False),
        ("KEYBOARD", "s3kret", False),
    ],
)
def test_secret_is_left_to_the_environment_of_the_shell(
    name: str, value: str, is_secret: bool
) -> None:
    asked = parsed(f"resumectl points --env '{name}={value}'")
    line = command_line(Command.POINTS, asked, "/")
    assert not (is_secret and "s3kret" in line)
    assert line.endswith(f'--env "{name}=${name}"') == is_secret


@pytest.mark.parametrize(
    ("source", "is_own", "is_named"),
    [
        (Source.VARIABLE, False, True),
        (Source.ACTIVE, False, True),
        (Source.ACTIVE, True, False),
        (Source.OWN, True, False),
        (Source.OPTION, True, True),
        (Source.PROJECT, False, False),  # found again
    ],
)
def test_interpreter_that_another_shell_would_not_find_is_named(
    source: Source, is_own: bool, is_named: bool
) -> None:
    found = Interpreter("/srv/python", source, is_own, "3.12.1", "3.4.0", "2.1.9")
    asked = replace(parsed("resumectl sweep"), interpreters=Interpreters.alike(found))
    named = " --python /srv/python" if is_named else ""
    assert command_line(Command.POINTS, asked, "/") == f"resumectl points{named}"
