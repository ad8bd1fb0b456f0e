"""The pages of `--help`: groups, examples, and help texts as the style guide has them."""

import re
import shlex
from typing import Any

import pytest
import typer

from resumectl.cli import app, help
from resumectl.cli.spec_from_options import GUARANTEES
from resumectl.settings import DEFAULT_APP_VERSION

ROOT: Any = typer.main.get_command(app)
COMMANDS: dict[str, Any] = ROOT.commands


def page(name: str, width: int = 80) -> str:
    """The help of a command, as a terminal of this width shows it."""
    command = COMMANDS[name] if name else ROOT
    path = "resumectl"
    root = command.context_class(ROOT, info_name=path, terminal_width=width)
    context = command.context_class(command, info_name=name or path, parent=root if name else None)
    context.terminal_width = width
    return str(command.get_help(context))


def options(name: str) -> list[Any]:
    return [p for p in COMMANDS[name].params if p.param_type_name == "option"]


@pytest.mark.parametrize("name", ["", *COMMANDS])
@pytest.mark.parametrize("width", [60, 80])
def test_no_line_is_too_long_or_ends_in_blanks(name: str, width: int) -> None:
    for line in page(name, width).splitlines():
        assert line == line.rstrip()
        if not line.startswith(("  $ resumectl", "Usage:")):  # what is copied is one line
            assert len(line) <= width, line


@pytest.mark.parametrize("name", COMMANDS)
def test_no_word_of_a_help_text_is_broken(name: str) -> None:
    shown = " ".join(page(name, 50).split())
    assert " None" not in shown
    assert "\\" not in shown
    for parameter in COMMANDS[name].params:
        is_option = parameter.param_type_name == "option"
        text = parameter.help if is_option else COMMANDS[name].arguments[parameter.name]
        assert " ".join(text.split()) in shown


@pytest.mark.parametrize("name", COMMANDS)
def test_each_option_is_in_a_group_and_says_in_a_sentence_what_it_does(name: str) -> None:
    shown = page(name)
    for each in options(name):
        assert each.rich_help_panel in help._ORDER, each.name
        assert f"\n{each.rich_help_panel}:\n" in shown
        assert re.fullmatch(r"[A-Z].*\.( \[default: .+\])?", each.help, re.DOTALL), each.help
        assert not re.match(r"(Only|Of|At most|As|After|That many)\b", each.help)
        is_flag = each.is_flag or each.count
        assert is_flag or re.fullmatch(r"[A-Z=]+|[a-zA-Z0-9|-]+\|[a-zA-Z0-9|-]+", each.metavar)


@pytest.mark.parametrize("name", COMMANDS)
def test_groups_are_few_and_none_is_long(name: str) -> None:
    groups = [each.rich_help_panel for each in options(name)]
    own = [group for group in groups if group != help.COMMON]
    assert len(set(own)) <= 8
    assert all(own.count(group) <= 8 for group in own)


@pytest.mark.parametrize("name", COMMANDS)
def test_the_usage_says_what_may_be_left_out(name: str) -> None:
    usage = page(name).splitlines()[0]
    assert usage.startswith(f"Usage: resumectl {name} ")
    for each in COMMANDS[name].params:
        if each.param_type_name == "argument":
            optional = re.escape(each.metavar) + r"(\.\.\.)?"
            shown = re.search(rf" (\[{optional}\]|{re.escape(each.metavar)})(?= )", usage)
            assert shown, usage
            assert shown[1].startswith("[") is not each.required
        elif each.required:
            assert f" {each.opts[0]} {each.metavar} " in usage


@pytest.mark.parametrize("name", COMMANDS)
def test_the_examples_of_a_command_can_be_typed(name: str) -> None:
    lines = re.findall(r"^  \$ resumectl (.+)$", page(name), re.MULTILINE)
    assert lines
    for line in lines:
        typed, *words = shlex.split(line)
        assert typed == name
        COMMANDS[name].make_context(name, words)  # the parser refuses what it does not know


def test_the_groups_of_options_are_the_same_in_points_sweep_and_replay() -> None:
    found = {
        name: {each.name: each.rich_help_panel for each in options(name)}
        for name in ("points", "sweep", "replay")
    }
    for name in found["points"]:
        assert found["points"][name] == found["sweep"][name] == found["replay"][name]


def test_every_command_is_in_a_group_of_commands() -> None:
    shown = page("")
    for name, command in COMMANDS.items():
        assert command.rich_help_panel in help._COMMAND_ORDER
        assert re.search(rf"^  {name} +[A-Z].*\.$", shown, re.MULTILINE), name


def test_a_default_in_seconds_is_a_plain_number() -> None:
    assert not re.search(r"default: [0-9]+\.0\b", " ".join(map(page, COMMANDS)))


def test_defaults_that_the_parser_does_not_know_are_the_real_ones() -> None:
    assert f"[default: {DEFAULT_APP_VERSION}]" in " ".join(page("publish").split())
    for name in ("publish", "sweep"):
        shown = " ".join(page(name).split())
        assert ", ".join(GUARANTEES[:-1]) + f" or {GUARANTEES[-1]}." in shown
