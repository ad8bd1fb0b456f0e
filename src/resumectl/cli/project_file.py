"""Read the targets that a project names in its pyproject.toml, strictly. Runs nothing of the project."""

import json
import os
import re
import tomllib
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NoReturn

from resumectl.errors import Refusal

FILE_NAME = "pyproject.toml"
TABLE = "tool.resumectl"
# Stands for a text that `init` cannot know.
PLACEHOLDER = "…"
_JSON_KEYS = ("args", "kwargs")
_BYTE_ORDER_MARK = "\ufeff"
_NAME = re.compile(r"[A-Za-z0-9_-]+")
_HEADER = re.compile(r"\[+([^\[\]]+)\]+\s*(?:#.*)?$")


@dataclass(frozen=True, slots=True)
class _Key:
    """A key of a target: the option that it stands for, and how its value becomes that of the option.

    Attributes:
        option: Name of the option, as Python has it.
        kind: What the value must be, for people.
        convert: Function that returns the value of the option, or raises TypeError; takes the directory
            of the file.
    """

    option: str
    kind: str
    convert: Callable[[Any, Path], Any]


@dataclass(frozen=True, slots=True)
class Project:
    """The targets of a project.

    Attributes:
        file: Path of its pyproject.toml.
        defaults: Option to its value, for every target of the project.
        targets: Name of each target to the values of its options.
        lines: Number of the line of each option, by the name of the target, or None for every target.
    """

    file: Path
    defaults: Mapping[str, Any]
    targets: Mapping[str, Mapping[str, Any]]
    lines: Mapping[tuple[str | None, str], int]

    def options_of(self, name: str) -> Mapping[str, Any]:
        """Return the values of a target's options.

        Args:
            name: Name of the target.

        Raises:
            Refusal: The project names no such target.
        """
        if name not in self.targets:
            near = get_close_matches(name, self.targets, n=3) or sorted(self.targets)
            named = f"; it names {', '.join(near)}" if near else ""
            raise Refusal(
                f"{_shown(self.file)} names no target {name!r}{named}",
                next_step=f"add  [{TABLE}.targets.{name}]  to it;  or name the program, as in  "
                "shop.py:checkout",
            )
        return {**self.defaults, **self.targets[name]}

    def refuse_placeholders(self, name: str, typed: Collection[str]) -> None:
        """Refuse an argument that `init` could not know and nobody has written yet.

        Args:
            name: Name of the target.
            typed: Names of the options that the user typed; the others are those of the target.

        Raises:
            Refusal: A value still holds the placeholder of `init`.
        """
        for option in _JSON_KEYS:
            value = self.targets[name].get(option)
            if value is None or option in typed or PLACEHOLDER not in _texts_in(json.loads(value)):
                continue
            raise Refusal(
                f"{self.place_of(name, option)}: {option} still has the text {PLACEHOLDER} that stands "
                "for a value of yours",
                next_step='write the value there, as in  args = ["order-1"]',
            )

    def place_of(self, name: str | None, option: str) -> str:
        """Return the file and the line of an option, as in `pyproject.toml:4`.

        Args:
            name: Name of the target; None for the options of every target.
            option: Name of the option, as Python has it.
        """
        own = (name, option)
        return f"{_shown(self.file)}:{self.lines[own if own in self.lines else (None, option)]}"


def find_project(start: Path) -> Project | None:
    """Return the project around a directory; None if no pyproject.toml there or above has the table.

    Args:
        start: The directory.

    Raises:
        Refusal: The table has an error; it names the line.
    """
    for directory in (start, *start.parents):
        file = directory / FILE_NAME
        if file.is_file():
            project = _read(file)
            if project is not None:
                return project
    return None


def has_table(file: Path) -> bool:
    """Return whether a pyproject.toml has the table, with or without errors in it.

    Args:
        file: The file.

    Raises:
        Refusal: The file cannot be read, or is not TOML.
    """
    return _table_of(file)[0] is not None


def _read(file: Path) -> Project | None:
    table, text = _table_of(file)
    return _Reader(file, text).project(table) if table is not None else None


def _table_of(file: Path) -> tuple[object, str]:
    """Return the table, None if there is none, and the text of the file."""
    if not file.is_file():
        raise Refusal(f"{_shown(file)} is not a file", next_step="move it away")
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise Refusal(f"{_shown(file)} cannot be read: {error}", next_step="correct it") from None
    if text.startswith(_BYTE_ORDER_MARK):
        raise Refusal(
            f"{_shown(file)} is not TOML: it begins with a byte order mark",
            next_step="save it as UTF-8 without one",
        )
    try:
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        if TABLE not in text:
            return None, text  # another tool's concern
        raise Refusal(f"{_shown(file)} is not TOML: {error}", next_step="correct it") from None
    tool = content.get("tool")
    return tool.get("resumectl") if isinstance(tool, dict) else None, text


def _shown(file: Path) -> str:
    """Return the path of a file as a user in the working directory types it."""
    here = Path.cwd()
    return str(file.relative_to(here)) if file.is_relative_to(here) else str(file)


class _Reader:
    """Reads the table of one file; its errors name the line.

    Args:
        file: Path of the file.
        text: Its text.
    """

    def __init__(self, file: Path, text: str) -> None:
        self._file = file
        self._lines = text.splitlines()
        self._line_of_option: dict[tuple[str | None, str], int] = {}

    def project(self, table: object) -> Project:
        """Return the project of the table."""
        if not isinstance(table, dict):
            self._refuse("", "", f"{TABLE} is not a table", f"[{TABLE}]")
        targets = table.get("targets", {})
        if not isinstance(targets, dict):
            self._refuse("", "targets", "targets is not a table", f"[{TABLE}.targets.checkout]")
        own = {key: value for key, value in table.items() if key != "targets"}
        usual = {key: each for key, each in KEYS.items() if key not in _OF_ONE_TARGET}
        return Project(
            self._file,
            self._options(None, own, usual),
            {name: self._target(name, each) for name, each in targets.items()},
            self._line_of_option,
        )

    def _target(self, name: str, table: object) -> Mapping[str, Any]:
        within = f"targets.{name}"
        if not _NAME.fullmatch(name):
            what = (
                f"the name {name!r} of a target has other characters than letters, digits, - and _"
            )
            self._refuse(within, "", what, f"[{TABLE}.targets.checkout]")
        if not isinstance(table, dict):
            what = f"{name} is not a table"
            self._refuse("targets", name, what, f"[{TABLE}.targets.{name}]")
        if "target" not in table:
            what = f"the target {name} does not say what it is"
            self._refuse(within, "", what, 'target = "shop.py:checkout"')
        return self._options(name, table, KEYS)

    def _options(
        self, target: str | None, table: Mapping[str, Any], keys: Mapping[str, _Key]
    ) -> dict[str, Any]:
        within = f"targets.{target}" if target else ""
        found = {}
        for key, value in table.items():
            known = keys.get(key)
            if known is None:
                near = get_close_matches(key, keys, n=1)
                meant = f": {near[0]}" if near else f", one of {', '.join(keys)}"
                self._refuse(within, key, f"unknown key {key!r}", f"use a known key{meant}")
            try:
                found[known.option] = known.convert(value, self._file.parent)
            except TypeError:
                self._refuse(within, key, f"{key} is not {known.kind}", f"give it {known.kind}")
            self._line_of_option[target, known.option] = self._line_of(within, key)
        return found

    def _refuse(self, within: str, key: str, what: str, next_step: str) -> NoReturn:
        line = self._line_of(within, key)
        raise Refusal(f"{_shown(self._file)}:{line}: {what}", next_step=next_step)

    def _line_of(self, within: str, key: str) -> int:
        """Return the number of the line of a key; that of its table if it has no line of its own."""
        table = f"{TABLE}.{within}".rstrip(".")
        header, is_inside = self._first_line_of(within, key), False
        for number, line in enumerate(self._lines, start=1):
            stripped = line.strip()
            if header_line := _HEADER.match(stripped):
                name = re.sub(r"\s*\.\s*", ".", re.sub("[\"']", "", header_line[1].strip()))
                is_inside = name == table
                if is_inside or (name.startswith(f"{table}.{key}") and key):
                    header = number
            elif (
                is_inside and key and re.match(rf"""["']?{re.escape(key)}["']?\s*[=.]""", stripped)
            ):
                return number
        return header

    def _first_line_of(self, within: str, key: str) -> int:
        """Return the first line that has the key, or the target, in a dotted key or an inline table."""
        for word in (key, within.rpartition(".")[2], "resumectl"):
            pattern = re.compile(rf"""(?<![\w-])["']?{re.escape(word)}["']?\s*[=.]""")
            for number, line in enumerate(self._lines, start=1):
                if word and pattern.search(line.partition("#")[0]):
                    return number
        return 1


# --- values


def _texts_in(value: object) -> set[str]:
    """Return every text in a value, however deep."""
    if isinstance(value, str):
        return {value}
    parts = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return {text for part in parts for text in _texts_in(part)}


def _text(value: object, _directory: Path) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _program(value: object, directory: Path) -> str:
    """Return a target or function; a file is relative to the directory of pyproject.toml."""
    text = _text(value, directory)
    module, colon, name = text.rpartition(":")
    return f"{directory / module}:{name}" if module.endswith(".py") else f"{module}{colon}{name}"


def _python(value: object, directory: Path) -> str:
    text = _text(value, directory)
    return str(directory / text) if os.sep in text and not text.startswith("~") else text


def _number(value: object, _directory: Path) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError
    return value


def _whole(value: object, _directory: Path) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError
    return value


def _yes_or_no(value: object, _directory: Path) -> bool:
    if not isinstance(value, bool):
        raise TypeError
    return value


def _texts(value: object, _directory: Path) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
        raise TypeError
    return value


def _pairs(value: object, _directory: Path) -> list[str]:
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise TypeError
    if any("=" in name for name in value) or "\0" in "".join([*value, *value.values()]):
        raise TypeError
    return [f"{name}={text}" for name, text in value.items()]


def _json(kind: type) -> Callable[[Any, Path], str]:
    def convert(value: object, _directory: Path) -> str:
        if not isinstance(value, kind):
            raise TypeError
        return json.dumps(value)  # a TypeError for a date or a time of TOML

    return convert


_A_PROGRAM = 'a text such as "shop.py:checkout"'
_A_TEXT = "a text"
KEYS: Mapping[str, _Key] = {
    "target": _Key("target", _A_PROGRAM, _program),
    "args": _Key("args", "an array of JSON values", _json(list)),
    "kwargs": _Key("kwargs", "a table of JSON values", _json(dict)),
    "promises": _Key("promise", 'a table such as { charge = "exactly-once" }', _pairs),
    "client": _Key("client", '"retries" or "gives-up"', _text),
    "prepare": _Key("prepare", _A_TEXT, _text),
    "observe": _Key("observe", _A_PROGRAM, _program),
    "after-launch": _Key("after_launch", _A_PROGRAM, _program),
    "env": _Key("env", "a table of texts, with names without =", _pairs),
    "redirect": _Key("redirect", "an array of texts", _texts),
    "allow-database": _Key("allow_database", "an array of texts", _texts),
    "allow-host": _Key("allow_host", "an array of texts", _texts),
    "python": _Key("python", "the path of an interpreter", _python),
    "on": _Key("on", '"sqlite" or "postgres"', _text),
    "timeout": _Key("timeout", "a number of seconds", _number),
    "max-sleep": _Key("max_sleep", "a number of seconds", _number),
    "downtime": _Key("downtime", "a number of seconds", _number),
    "isolation": _Key("isolation", '"fork" or "spawn"', _text),
    "app-version": _Key("app_version", _A_TEXT, _text),
    "resume-with": _Key("resume_with", _A_PROGRAM, _program),
    "resume-version": _Key("resume_version", _A_TEXT, _text),
    "resume-python": _Key("resume_python", "the path of an interpreter", _python),
    "keep": _Key("keep", "true or false", _yes_or_no),
    "edge": _Key("edge", '"before" or "after"', _text),
    "only": _Key("only", _A_TEXT, _text),
    "max": _Key("max_trials", "a whole number", _whole),
    "seed": _Key("seed", "a whole number", _whole),
    "crashes": _Key("crashes", "1 or 2", _whole),
    "repeat": _Key("repeat", "a whole number", _whole),
    "budget": _Key("budget", 'a duration such as "60s"', _text),
    "failed": _Key("failed", "true or false", _yes_or_no),
    "fail-fast": _Key("fail_fast", "true or false", _yes_or_no),
}
_OF_ONE_TARGET: Sequence[str] = ("target", "args", "kwargs", "observe", "resume-with")


def _key_of(flag: str) -> str:
    return "promises" if flag == "promise" else flag


def option_of(flag: str) -> str | None:
    """Return Python's name of an option of the command line; None if pyproject.toml has no such key.

    Args:
        flag: Name of the option, without its hyphens in front.
    """
    known = KEYS.get(_key_of(flag))
    return known.option if known is not None else None


def spelled_key(option: str, value: str | None) -> str | None:
    """Return an option of the command line as pyproject.toml spells it; None if it is no key there.

    Args:
        option: Name of the option, without its hyphens in front.
        value: Value of the option; None if the text names the option alone.
    """
    name = _key_of(option)
    if name not in KEYS:
        return None
    if value is None:
        return name
    convert = KEYS[name].convert
    if convert in (_number, _whole) or name in _JSON_KEYS:
        return f"{name} = {value}"
    if convert is _pairs:
        key, _, text = value.partition("=")
        return f"{name} = {{ {json.dumps(key)} = {json.dumps(text)} }}"
    return f"{name} = {json.dumps([value] if convert is _texts else value)}"
