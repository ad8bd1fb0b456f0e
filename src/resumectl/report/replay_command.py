"""Build the command line that runs a target again, for the next steps of `points`, `sweep` and `replay`.

One table lists every option, and the command line repeats all options that were given.
"""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from resumectl.model.interpreter import Source
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target
from resumectl.text import shell_word


class Command(StrEnum):
    """A command that runs a target."""

    POINTS = "points"
    SWEEP = "sweep"
    REPLAY = "replay"


_ALL = frozenset(Command)
_WITH_TRIALS = frozenset({Command.SWEEP, Command.REPLAY})
_SWEEP = frozenset({Command.SWEEP})

_USUAL = SweepSpec(Target(), Target(), {})
_SECRET_NAME = re.compile(r"PASSW|SECRET|TOKEN|CREDENTIAL|API_?KEY|PRIVATE_?KEY", re.IGNORECASE)
_URL_WITH_PASSWORD = re.compile(r"://[^/?#\s]*:[^/?#\s]*@|[?&;]password=", re.IGNORECASE)


class _Quoted(str):
    """A word that is quoted for a shell already."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class _Option:
    """One option of these commands.

    Args:
        name: Name of the option, as it is typed.
        commands: Commands that take the option.
        values: Function that returns the values to type: None for an option without a value, and no
            value for the default.
    """

    name: str
    commands: frozenset[Command]
    values: Callable[[SweepSpec], Sequence[str | None]]

    def words(self, spec: SweepSpec) -> list[str]:
        """Return the words to type for the option, quoted for a shell."""
        return [
            self.name
            if value is None
            else f"{self.name} {value if isinstance(value, _Quoted) else shell_word(value)}"
            for value in self.values(spec)
        ]


def _of_target(field: str) -> Callable[[SweepSpec], Sequence[str]]:
    """Return a reader of one field of the target; it returns nothing for the default."""
    return lambda s: _unless(getattr(s.target, field), getattr(_USUAL.target, field))


def _of_spec(field: str) -> Callable[[SweepSpec], Sequence[str]]:
    return lambda s: _unless(getattr(s, field), getattr(_USUAL, field))


def _unless(value: object, usual: object) -> list[str]:
    if value is None or value == usual:
        return []
    return [str(value).removesuffix(".0") if isinstance(value, float) else str(value)]


def _seconds(duration_s: float | None) -> list[str]:
    return [] if duration_s is None else [f"{_unless(duration_s, None)[0]}s"]


def _json(field: str) -> Callable[[SweepSpec], Sequence[str]]:
    def read(spec: SweepSpec) -> list[str]:
        value = getattr(spec.target, field)
        return [json.dumps(value)] if value else []

    return read


def _python(spec: SweepSpec) -> list[str]:
    """Return the interpreter, unless the same command finds it again in another shell."""
    first = spec.interpreters.first if spec.interpreters is not None else None
    if first is None or first.source is Source.PROJECT:
        return []
    return [first.path] if first.source is Source.OPTION or not first.is_own else []


def _later_python(spec: SweepSpec) -> list[str]:
    found = spec.interpreters
    return (
        [found.later.path]
        if found is not None and found.later.source is Source.LATER_OPTION
        else []
    )


def _name(target: Target) -> str:
    return _typed(target.entry)


def _typed(pair: tuple[str, str] | None) -> str:
    return ":".join(pair or ())


def _pairs(pairs: Mapping[str, object]) -> list[str]:
    return [f"{name}={value}" for name, value in pairs.items()]


def _environ(spec: SweepSpec) -> list[str]:
    """Return the environment variables; one that holds a secret is left to the user's shell."""
    return [
        _Quoted(f'"{name}=${name}"') if _is_secret(name, value) else f"{name}={value}"
        for name, value in spec.target.environ.items()
    ]


def _is_secret(name: str, value: str) -> bool:
    return bool(_SECRET_NAME.search(name) or _URL_WITH_PASSWORD.search(value))


# In the order of the help, with repeatable options at the end.
_OPTIONS = (
    _Option("--args", _ALL, _json("args")),
    _Option("--kwargs", _ALL, _json("kwargs")),
    _Option(Source.OPTION, _ALL, _python),
    _Option("--count", _ALL, _of_target("count")),
    _Option("--guarantee", _ALL, _of_target("guarantee")),
    _Option("--concurrency", _ALL, _of_target("concurrency")),
    _Option("--client", _ALL, _of_target("client")),
    _Option("--resume-with", _WITH_TRIALS, lambda s: _unless(_name(s.later), _name(s.target))),
    _Option("--after-launch", _ALL, lambda s: _unless(_typed(s.target.after_launch), "")),
    _Option("--observe", _ALL, lambda s: _unless(_typed(s.target.observe), "")),
    _Option("--max-sleep", _ALL, _of_target("max_sleep_s")),
    _Option("--app-version", _ALL, _of_target("app_version")),
    _Option(
        "--resume-version",
        _WITH_TRIALS,
        lambda s: _unless(s.later.app_version, s.target.app_version),
    ),
    _Option(Source.LATER_OPTION, _WITH_TRIALS, _later_python),
    _Option("--prepare", _ALL, lambda s: _unless(s.target.access.prepare, None)),
    _Option("--downtime", _WITH_TRIALS, _of_spec("downtime_s")),
    _Option("--timeout", _ALL, _of_spec("timeout_s")),
    _Option("--on", _ALL, _of_spec("on")),
    _Option("--isolation", _WITH_TRIALS, _of_spec("isolation")),
    _Option("--keep", _WITH_TRIALS, lambda s: [None] if s.keep_in is not None else []),
    _Option("--edge", _SWEEP, _of_spec("edge")),
    _Option("--only", _SWEEP, _of_spec("only")),
    _Option("--max", _SWEEP, _of_spec("trials_max")),
    _Option("--seed", _SWEEP, _of_spec("seed")),
    _Option("--crashes", _SWEEP, _of_spec("crashes")),
    _Option("--repeat", _SWEEP, _of_spec("repeat")),
    _Option("--budget", _SWEEP, lambda s: _seconds(s.budget_s)),
    _Option("--failed", _SWEEP, lambda s: [None] if s.only_failed else []),
    _Option("--fail-fast", _SWEEP, lambda s: [None] if s.fail_fast else []),
    _Option("--env", _ALL, _environ),
    _Option("--redirect", _ALL, lambda s: s.target.access.redirects),
    _Option("--allow-database", _ALL, lambda s: s.target.access.databases),
    _Option("--allow-host", _ALL, lambda s: s.target.access.hosts),
    _Option("--promise", _WITH_TRIALS, lambda s: _pairs(s.promises)),
)


def command_line(
    command: Command, spec: SweepSpec, directory: str, *, plan: str | None = None
) -> str:
    """Return the command line that runs a sweep spec, without defaults.

    Args:
        command: Command to run.
        spec: The sweep spec.
        directory: Directory in which it will be typed; paths below it are relative to it.
        plan: Crash plan of a replay.
    """
    shown = replace(
        spec,
        target=_below(directory, spec.target),
        later=_below(directory, spec.later),
    )
    arguments = [each for each in (plan, _name(shown.target)) if each]
    words = ["resumectl", command, *map(shell_word, arguments)]
    for option in _OPTIONS:
        if command in option.commands:
            words.extend(option.words(shown))
    return " ".join(words)


def _below(directory: str, target: Target) -> Target:
    """Return the target, with a file below this directory as a relative path."""

    def below(pair: tuple[str, str] | None) -> tuple[str, str] | None:
        return pair and (pair[0].removeprefix(f"{directory}/"), pair[1])

    return replace(
        target,
        entry=below(target.entry),
        after_launch=below(target.after_launch),
        observe=below(target.observe),
    )
