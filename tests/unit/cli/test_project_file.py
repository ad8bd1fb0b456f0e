"""The targets of pyproject.toml are read strictly, and an error names the line."""

import json
from pathlib import Path

import pytest

from resumectl.cli.project_file import KEYS, find_project
from resumectl.errors import Refusal

PROJECT = """
[project]
name = "shop"

[tool.resumectl]
timeout = 20
env = { MODE = "test" }

[tool.resumectl.targets.checkout]
target = "src/shop.py:checkout"
args = ["order-1", { n = 1 }]
promises = { charge = "exactly-once" }
after-launch = "shop.flows:set_up"

[tool.resumectl.targets.refund]
target = "shop.flows:refund"
timeout = 3.5
python = ".venv/bin/python"
"""


def write(directory: Path, text: str) -> Path:
    file = directory / "pyproject.toml"
    file.write_text(text)
    return file


def test_target_has_its_own_options_and_those_of_the_project(tmp_path: Path) -> None:
    write(tmp_path, PROJECT)
    inner = tmp_path / "src" / "deep"
    inner.mkdir(parents=True)
    project = find_project(inner)
    assert project is not None
    assert list(project.targets) == ["checkout", "refund"]
    checkout, refund = map(project.options_of, project.targets)
    assert checkout == {
        "timeout": 20,
        "env": ["MODE=test"],
        "target": f"{tmp_path}/src/shop.py:checkout",
        "args": json.dumps(["order-1", {"n": 1}]),
        "promise": ["charge=exactly-once"],
        "after_launch": "shop.flows:set_up",
    }
    assert refund["timeout"] == 3.5
    assert refund["python"] == str(tmp_path / ".venv/bin/python")


@pytest.mark.parametrize("text", ["", "[project]\nname = 'x'\n", "[tool.black]\n", "= broken"])
def test_file_without_the_table_names_nothing(tmp_path: Path, text: str) -> None:
    write(tmp_path, text)
    assert find_project(tmp_path) is None


OF = '[tool.resumectl.targets.a]\ntarget = "a.py:f"\n'


@pytest.mark.parametrize(
    ("text", "line", "what", "next_step"),
    [
        (f"\n{OF}argz = []\n", 4, "unknown key 'argz'", "args"),
        (f"{OF}args = 3\n", 3, "args is not an array", "array of JSON values"),
        (f"{OF}args = [2026-01-01]\n", 3, "args is not an array", "array of JSON values"),
        (f"{OF}kwargs = []\n", 3, "kwargs is not a table", "table of JSON values"),
        (f"{OF}timeout = true\n", 3, "timeout is not a number", "number of seconds"),
        (f"{OF}max = 1.5\n", 3, "max is not a whole number", "whole number"),
        (f"{OF}keep = 1\n", 3, "keep is not true or false", "true or false"),
        (f"{OF}redirect = 'x'\n", 3, "redirect is not an array of texts", "array of texts"),
        (f"{OF}env.A = 1\n", 3, "env is not a table of texts", "table of texts"),
        (f"{OF}env = {{ 'A=B' = 'x' }}\n", 3, "env is not a table of texts", "table of texts"),
        (f"\n{OF.replace(']', '] # mine')}max = 'x'\n", 4, "max is not", "whole number"),
        (
            f"\n{OF.replace('[tool.resumectl.targets.a]', '[ tool . resumectl.targets . a ]')}max = 'x'\n",
            4,
            "max is not",
            "whole number",
        ),
        (
            "[tool.resumectl]\ntargets.a.target = 'a.py:f'\ntargets.a.max = 'x'\n",
            3,
            "max is not",
            "number",
        ),
        (
            "[project]\n[tool]\nresumectl = { targets = { a = { target = 'a:f', max = 'x' } } }\n",
            3,
            "max is not",
            "number",
        ),
        (f"{OF}[tool.resumectl.targets.a.env]\nA = 1\n", 3, "env is not a table", "table"),
        ("[tool.resumectl.targets.a]\nargs = []\n", 1, "a does not say what it is", "target = "),
        ('[tool.resumectl.targets."a b"]\ntarget = "x"\n', 1, "the name 'a b'", "targets.checkout"),
        ("[tool.resumectl]\ntargets = 1\n", 2, "targets is not a table", "targets.checkout"),
        ("[tool.resumectl.targets]\na = 1\n", 2, "a is not a table", "targets.a"),
        ("[tool]\nresumectl = 1\n", 2, "tool.resumectl is not a table", "[tool.resumectl]"),
        ("[tool.resumectl]\nargs = []\n", 2, "unknown key 'args'", "one of"),
    ],
)
def test_error_names_the_line_and_what_to_write(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, line: int, what: str, next_step: str
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, text)
    with pytest.raises(Refusal) as error:
        find_project(tmp_path)
    assert error.value.what.startswith(f"pyproject.toml:{line}: ")
    assert what in error.value.what
    assert next_step in error.value.next_step


def test_file_that_is_not_toml_is_refused_where_it_names_targets(tmp_path: Path) -> None:
    write(tmp_path, "[tool.resumectl]\nx = = 1\n")
    with pytest.raises(Refusal, match=r"is not TOML: .*line 2"):
        find_project(tmp_path)


def test_unknown_target_is_refused_with_the_nearest_names(tmp_path: Path) -> None:
    write(tmp_path, PROJECT)
    project = find_project(tmp_path)
    assert project is not None
    with pytest.raises(Refusal, match="names no target 'chekout'; it names checkout"):
        project.options_of("chekout")


def test_every_key_is_an_option_of_a_command() -> None:
    from resumectl.cli.target_options import ChoiceOptions, TargetOptions, TrialOptions

    groups = (TargetOptions, TrialOptions, ChoiceOptions)
    options = {name for group in groups for name in group.__dataclass_fields__}
    of_publisher = {"count", "guarantee", "concurrency"}
    assert {key.option for key in KEYS.values()} == options - of_publisher | {"app_version"}


def test_placeholder_of_init_is_refused_unless_the_option_is_typed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    write(tmp_path, f"{OF}args = [{{ id = '\u2026' }}]\n")
    project = find_project(tmp_path)
    assert project is not None
    project.refuse_placeholders("a", ["args"])
    with pytest.raises(Refusal) as error:
        project.refuse_placeholders("a", [])
    assert error.value.what.startswith("pyproject.toml:3: args still has the text")
    assert "write the value there" in error.value.next_step
