"""Complete the options of a command by the configuration of the project: flags, then environment, then file."""

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from resumectl.cli.configured_spec import ConfiguredSpec
from resumectl.cli.option_spelling import respell
from resumectl.cli.project_file import Project, find_project, spelled_key
from resumectl.cli.spec_from_options import read_spec
from resumectl.cli.target_options import ChoiceOptions, TargetOptions, TrialOptions
from resumectl.errors import Refusal
from resumectl.model.interpreter import Source
from resumectl.model.sweep_spec import SweepSpec

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    Group = TypeVar("Group", bound=DataclassInstance)

# Options of the built-in publisher: typed without a target, they say that it is meant.
_OF_PUBLISHER = frozenset({"count", "guarantee", "concurrency"})


@dataclass(frozen=True, slots=True)
class Given:
    """The options of one command.

    Attributes:
        target: Options of the target.
        trial: Options of each trial.
        choice: Options that choose trials.
        app_version: Application version of the target; None for its own.
        typed: Names of the options that the user typed.
    """

    target: TargetOptions
    trial: TrialOptions
    choice: ChoiceOptions
    app_version: str | None
    typed: Collection[str]


def read_specs(given: Given, directory: Path) -> list[ConfiguredSpec]:
    """Return a sweep spec for the named target, or for each target that the project names.

    Args:
        given: Options of the command.
        directory: Directory in which, or above which, the project is looked for.

    Raises:
        Refusal: An option or the configuration is invalid.
    """
    project = find_project(directory)
    if given.target.target is None:
        if project is None or _OF_PUBLISHER & set(given.typed):
            return [ConfiguredSpec(_spec(given))]
        if not project.targets:
            raise Refusal(
                "pyproject.toml has a table [tool.resumectl] and names no target in it",
                next_step='add  [tool.resumectl.targets.checkout]  with  target = "shop.py:checkout";'
                "  resumectl sweep --count 5  sweeps the built-in publisher",
            )
        return [_located(given, project, name, None) for name in project.targets]
    return [_named(given, project, given.target.target)]


def is_publisher_by_default(given: Given, specs: Sequence[ConfiguredSpec]) -> bool:
    """Return whether the built-in publisher is swept since no target is named.

    Args:
        given: Options of the command.
        specs: Sweep specs that were read from them.
    """
    return specs[0].spec.target.entry is None and not _OF_PUBLISHER & set(given.typed)


def read_one_spec(given: Given, directory: Path) -> ConfiguredSpec:
    """Return the sweep spec of a command that takes one target.

    Args:
        given: Options of the command.
        directory: Directory in which, or above which, the project is looked for.

    Raises:
        Refusal: No target is named, and the project names several; or an option is invalid.
    """
    specs = read_specs(given, directory)
    if len(specs) > 1:
        project = find_project(directory)
        names = ", ".join(project.targets) if project is not None else ""
        raise Refusal(f"the project names several targets: {names}", next_step="name one of them")
    return specs[0]


def _named(given: Given, project: Project | None, target: str) -> ConfiguredSpec:
    if ":" not in target and project is not None:
        return _located(given, project, target, None)
    if project is None:
        return ConfiguredSpec(_spec(given))
    return _located(given, project, None, target)


def _located(
    given: Given, project: Project, name: str | None, target: str | None
) -> ConfiguredSpec:
    """Return a sweep spec; the refusal of a configured option names its line, and spells it so.

    Args:
        given: Options of the command.
        project: Configuration of the project.
        name: Name of the configured target; None for the options of every target.
        target: Target that the user typed; None for that of the configuration.
    """
    values = project.defaults if name is None else project.options_of(name)
    if name is not None:
        project.refuse_placeholders(name, given.typed)
    try:
        spec = _spec(_completed(given, values, target))
    except Refusal as refusal:
        cause = _cause(given, values, target, refusal.what)
        if cause is not None:
            respell(refusal, spelled_key, place=project.place_of(name, cause))
        raise
    return ConfiguredSpec(spec, project, name, given.typed)


def _cause(given: Given, values: Mapping[str, Any], target: str | None, refused: str) -> str | None:
    """Return the configured option that causes a refusal; None if an option that the user typed does.

    It is the option without which the refusal is another or none, or else the target that is refused
    so by itself.
    """
    for option in (each for each in values if each != "target"):
        rest = {key: value for key, value in values.items() if key != option}
        if _refused(_completed(given, rest, target)) != refused:
            return option
    if "target" not in values:
        return None
    alone = Given(
        TargetOptions(target=values["target"]), TrialOptions(), ChoiceOptions(), None, ["target"]
    )
    return "target" if _refused(alone) == refused else None


def _refused(given: Given) -> str | None:
    """Return why no sweep spec can be made of these options; None if one can."""
    try:
        _spec(given)
    except Refusal as refusal:
        return refusal.what
    return None


def _completed(given: Given, values: Mapping[str, Any], target: str | None) -> Given:
    """Return the options, with the values of the configuration where the user typed none.

    Args:
        given: Options of the command.
        values: Option to its value in the configuration.
        target: Target that the user typed; None for that of the configuration.
    """
    own = {k: v for k, v in values.items() if k not in given.typed or k == "target"}
    if os.environ.get(Source.VARIABLE):
        own.pop("python", None)
    if target is not None:
        own["target"] = target
    return Given(
        _filled(given.target, own),
        _filled(given.trial, own),
        _filled(given.choice, own),
        given.app_version or own.get("app_version"),
        given.typed,
    )


def _filled(group: "Group", values: Mapping[str, Any]) -> "Group":
    names = {each.name for each in fields(group)}
    return replace(group, **{name: value for name, value in values.items() if name in names})


def _spec(given: Given) -> SweepSpec:
    return read_spec(given.target, given.trial, given.choice, given.app_version)
