"""The command line that runs a specification: for the "next" lines of `points`, `sweep` and `replay`.

Pure. Each option is one line of a table, so that a command line repeats all that was asked for.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from resumectl.model.sweep_spec import Specification
from resumectl.model.target import Subject
from resumectl.text import shell_word


class Command(StrEnum):
    """A command that runs what a specification says."""

    POINTS = "points"
    SWEEP = "sweep"
    REPLAY = "replay"


_ALL = frozenset(Command)
_WITH_TRIALS = frozenset({Command.SWEEP, Command.REPLAY})
_SWEEP = frozenset({Command.SWEEP})

_USUAL = Specification(Subject(), Subject(), {})


@dataclass(frozen=True, slots=True)
class _Option:
    """One option of these commands.

    Args:
        name: As it is typed.
        commands: The commands that take it.
        values: Return the values to type; None for an option that takes none. Empty: the default.
    """

    name: str
    commands: frozenset[Command]
    values: Callable[[Specification], Sequence[str | None]]

    def words(self, specification: Specification) -> list[str]:
        """Return what is typed of it, quoted for a shell."""
        return [
            self.name if value is None else f"{self.name} {shell_word(value)}"
            for value in self.values(specification)
        ]


def _of_subject(field: str) -> Callable[[Specification], Sequence[str]]:
    """Return a reader of one field of the subject, empty where that is the default."""
    return lambda s: _unless(getattr(s.subject, field), getattr(_USUAL.subject, field))


def _of_specification(field: str) -> Callable[[Specification], Sequence[str]]:
    return lambda s: _unless(getattr(s, field), getattr(_USUAL, field))


def _unless(value: object, usual: object) -> list[str]:
    if value is None or value == usual:
        return []
    return [str(value).removesuffix(".0") if isinstance(value, float) else str(value)]


def _json(field: str) -> Callable[[Specification], Sequence[str]]:
    def read(specification: Specification) -> list[str]:
        value = getattr(specification.subject, field)
        return [json.dumps(value)] if value else []

    return read


def _name(subject: Subject) -> str:
    return _typed(subject.target)


def _typed(pair: tuple[str, str] | None) -> str:
    return ":".join(pair or ())


def _pairs(pairs: Mapping[str, object]) -> list[str]:
    return [f"{name}={value}" for name, value in pairs.items()]


# The order is that of the help, with those that may be given several times at the end.
_OPTIONS = (
    _Option("--args", _ALL, _json("args")),
    _Option("--kwargs", _ALL, _json("kwargs")),
    _Option("--count", _ALL, _of_subject("count")),
    _Option("--guarantee", _ALL, _of_subject("guarantee")),
    _Option("--concurrency", _ALL, _of_subject("concurrency")),
    _Option("--next-life", _WITH_TRIALS, lambda s: _unless(_name(s.later), _name(s.subject))),
    _Option("--after-launch", _ALL, lambda s: _unless(_typed(s.subject.after_launch), "")),
    _Option("--longest-sleep", _ALL, _of_subject("longest_sleep_s")),
    _Option("--app-version", _ALL, _of_subject("app_version")),
    _Option(
        "--next-version",
        _WITH_TRIALS,
        lambda s: _unless(s.later.app_version, s.subject.app_version),
    ),
    _Option("--prepare", _ALL, lambda s: _unless(s.subject.access.prepare, None)),
    _Option("--downtime", _WITH_TRIALS, _of_specification("downtime_s")),
    _Option("--timeout", _ALL, _of_specification("timeout_s")),
    _Option("--on", _ALL, _of_specification("on")),
    _Option("--isolation", _WITH_TRIALS, _of_specification("isolation")),
    _Option("--keep", _WITH_TRIALS, lambda s: [None] if s.keep_in is not None else []),
    _Option("--edge", _SWEEP, _of_specification("edge")),
    _Option("--only", _SWEEP, _of_specification("only")),
    _Option("--max", _SWEEP, _of_specification("max_trials")),
    _Option("--seed", _SWEEP, _of_specification("seed")),
    _Option("--deaths", _SWEEP, _of_specification("deaths")),
    _Option("--repeat", _SWEEP, _of_specification("repeat")),
    _Option("--fail-fast", _SWEEP, lambda s: [None] if s.fail_fast else []),
    _Option("--env", _ALL, lambda s: _pairs(s.subject.environ)),
    _Option("--redirect", _ALL, lambda s: s.subject.access.redirects),
    _Option("--allow-database", _ALL, lambda s: s.subject.access.databases),
    _Option("--allow-host", _ALL, lambda s: s.subject.access.hosts),
    _Option("--promise", _WITH_TRIALS, lambda s: _pairs(s.promises)),
)


def command_line(
    command: Command, specification: Specification, directory: str, *, plan: str | None = None
) -> str:
    """Return what is typed to run a specification; only what is not the default.

    Args:
        command: What is to be run.
        specification: What was asked for.
        directory: The directory in which it is to be typed; files in it are named without it.
        plan: The crash plan of a replay.
    """
    shown = replace(
        specification,
        subject=_below(directory, specification.subject),
        later=_below(directory, specification.later),
    )
    arguments = [each for each in (plan, _name(shown.subject)) if each]
    words = ["resumectl", command, *map(shell_word, arguments)]
    for option in _OPTIONS:
        if command in option.commands:
            words.extend(option.words(shown))
    return " ".join(words)


def _below(directory: str, subject: Subject) -> Subject:
    """Return the subject with its file named from this directory, if it is below that."""

    def below(pair: tuple[str, str] | None) -> tuple[str, str] | None:
        return pair and (pair[0].removeprefix(f"{directory}/"), pair[1])

    return replace(subject, target=below(subject.target), after_launch=below(subject.after_launch))
