"""Check the options of the commands that run a target, and make a sweep spec of them. Opens no database."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NoReturn

from resumectl.cli.target_options import ChoiceOptions, TargetOptions, TrialOptions
from resumectl.errors import Refusal
from resumectl.model.crash_plan import Edge
from resumectl.model.promise import Promise
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import (
    PREPARE_MAX_S,
    TIMEOUT_MAX_S,
    Access,
    Client,
    Target,
    parse_target,
)
from resumectl.text import shell_word

GUARANTEES = ("exactly-once", "idempotent", "at-least-once", "at-most-once")
DATABASES = ("sqlite", "postgres")
ISOLATIONS = ("fork", "spawn")
_UNITS = {"s": 1, "m": 60, "h": 3_600}
_NUMBER_MAX = 1_000_000  # of crash points, and of repetitions
# Directory of the sandboxes of trials that are not KEPT, below the working directory.
KEPT_DIRECTORY = ".resumectl/kept"


def read_target(given: TargetOptions, app_version: str | None = None) -> Target:
    """Return the target that the options name.

    Args:
        given: The options, as they were typed.
        app_version: Application version of the target's processes; None for its own.

    Raises:
        Refusal: An option has an invalid value.
    """
    if given.guarantee not in GUARANTEES:
        raise Refusal(
            f"unknown guarantee {given.guarantee!r}",
            next_step=f"one of {', '.join(GUARANTEES)}",
        )
    if not 1 <= given.count <= 1_000:
        raise Refusal(f"the count {given.count} is not 1 to 1,000", next_step="as in  --count 5")
    if not 1 <= given.concurrency <= 16:
        raise Refusal(
            f"the concurrency {given.concurrency} is not 1 to 16", next_step="leave it out"
        )
    return Target(
        entry=None if given.target is None else located(given.target),
        args=_json(given.args, list, "--args", "'[\"order-1\"]'"),
        kwargs=_json(given.kwargs, dict, "--kwargs", "'{\"order\": 1}'"),
        environ=_environ(given.env or ()),
        count=given.count,
        guarantee=given.guarantee,
        concurrency=given.concurrency,
        app_version=app_version,
        max_sleep_s=_checked_seconds(given.max_sleep, "--max-sleep", "0.5"),
        after_launch=located(given.after_launch, "--after-launch shop.py:setup")
        if given.after_launch
        else None,
        observe=located(given.observe, "--observe shop.py:orders") if given.observe else None,
        access=_read_access(given),
        client=_read_client(given.client),
    )


def _read_client(given: str | None) -> Client | None:
    if given is not None and given not in set(Client):
        raise Refusal(
            f"unknown client {given!r}",
            next_step="  or  ".join(f"--client {each}" for each in Client),
        )
    return Client(given) if given is not None else None


def _environ(given: Sequence[str]) -> dict[str, str]:
    """Return the environment variables of the target process, with absolute import paths."""
    environ = dict(_pair(each, "--env", "VALUE") for each in given)
    if "PYTHONPATH" in environ:
        entries = environ["PYTHONPATH"].split(os.pathsep)
        environ["PYTHONPATH"] = os.pathsep.join(
            each if each.startswith("{") else str(Path(each).absolute()) for each in entries if each
        )
    return environ


def _read_access(given: TargetOptions) -> Access:
    """Return what the target may use outside its sandbox.

    Raises:
        Refusal: An option has an invalid value.
    """
    redirects = _databases(given.redirect, "--redirect")
    for url in redirects:
        if url.startswith("postgresql:") and given.on != "postgres":
            raise Refusal(
                f"the trials are on SQLite, and {url} is a PostgreSQL database",
                next_step=f"--redirect {shell_word(url)} --on postgres",
            )
        if not url.startswith(("postgresql:", "sqlite:")):
            raise Refusal(
                f"{url} cannot be redirected: only SQLite and PostgreSQL have sandboxes",
                next_step=f"let every trial write to it:  --allow-database {shell_word(url)}",
            )
    if sum(url.startswith("postgresql:") for url in redirects) > 1:
        raise Refusal(
            "a sandbox has one PostgreSQL database: only one can be redirected to it",
            next_step="name the others in the program's environment, with --env",
        )
    return Access(
        redirects=tuple(redirects),
        databases=tuple(_databases(given.allow_database, "--allow-database")),
        hosts=tuple(_hosts(given.allow_host)),
        prepare=given.prepare,
        prepare_in=str(Path.cwd()),
        prepare_max_s=checked_timeout(given.timeout) or PREPARE_MAX_S,
    )


def _databases(given: Sequence[str] | None, option: str) -> list[str]:
    """Return the URLs in canonical form, without passwords."""
    if not given:
        return []
    from resumectl.storage.outside_access import canonical_urls  # loads sqlalchemy

    try:
        return [url for each in given for url in canonical_urls(each)]
    except ValueError:
        raise Refusal(
            f"{option}: the value is not the URL of a database outside the sandbox",
            next_step=f"as in  {option} sqlite:////srv/shop.db  or  {option} "
            "postgresql://localhost/shop",
        ) from None


def _hosts(given: Sequence[str] | None) -> list[str]:
    """Return the hosts, checked to be `HOST` or `HOST:PORT`."""
    if not given:
        return []
    from resumectl.storage.outside_access import parse_host  # loads sqlalchemy

    for text in given:
        try:
            parse_host(text)
        except ValueError:
            raise Refusal(
                f"--allow-host {text!r} is not HOST or HOST:PORT",
                next_step="as in  --allow-host api.example.com:443",
            ) from None
    return list(given)


def located(text: str, example: str = "shop.py:checkout") -> tuple[str, str]:
    """Return module and name of a target, with the absolute path of a file.

    The path is absolute since each trial has its own directory.

    Args:
        text: Target, as it was typed.
        example: Example of a target, for the refusal.

    Raises:
        Refusal: The file does not exist, or the text is not a target.
    """
    if text.endswith(".py"):  # the name is missing
        example = example.rpartition(" ")[0] + f" {text}:checkout"
    module, name = parse_target(text, example.strip())
    path = Path(module).absolute()
    if module.endswith(".py"):
        if not path.is_file():
            what = f"{module} is not a file" if path.exists() else f"there is no file {module}"
            raise Refusal(what, next_step=f"as in  {example}")
        return str(path), name
    if path.is_file() and "." in module:
        raise Refusal(
            f"{module} is not a Python file: its name does not end with .py",
            next_step=f"as in  {example}",
        )
    return module, name


def read_promises(given: Sequence[str] | None) -> dict[str, Promise]:
    """Return the promises that were given as `NAME=PROMISE`.

    Raises:
        Refusal: A promise is unknown, or one thing has two.
    """
    found: dict[str, Promise] = {}
    for name, text in (_pair(each, "--promise", Promise.EXACTLY_ONCE) for each in given or ()):
        promise = Promise.named(text, of=name, option="--promise")
        if found.setdefault(name, promise) is not promise:
            raise Refusal(
                f"two promises for {name}: {found[name]} and {promise}",
                next_step=f"leave one of them out, as in  --promise {shell_word(f'{name}={promise}')}",
            )
    return found


def read_spec(
    target: TargetOptions,
    trial: TrialOptions,
    choice: ChoiceOptions | None = None,
    app_version: str | None = None,
) -> SweepSpec:
    """Return the sweep spec that the options make.

    Args:
        target: Options of the target.
        trial: Options of each trial.
        choice: Options that choose trials; None for the defaults.
        app_version: Application version of the target's processes; None for its own.

    Raises:
        Refusal: An option has an invalid value.
    """
    from resumectl.runner.interpreters import interpreters_of  # loads subprocess

    chosen = choice or ChoiceOptions()
    _check_choice(chosen)
    if trial.isolation not in ISOLATIONS:
        raise Refusal(f"unknown isolation {trial.isolation!r}", next_step="fork or spawn")
    first = read_target(target, app_version)
    next_entry = (
        located(trial.resume_with, "--resume-with new/shop.py:checkout")
        if trial.resume_with
        else first.entry
    )
    return SweepSpec(
        target=first,
        later=replace(
            first,
            entry=next_entry,
            after_launch=_of_next_program(first, first.after_launch, next_entry),
            observe=_of_next_program(first, first.observe, next_entry),
            app_version=trial.resume_version or first.app_version,
        ),
        promises=read_promises(trial.promise),
        timeout_s=checked_timeout(target.timeout),
        on=checked_database(target.on),
        isolation=trial.isolation,
        downtime_s=_checked_downtime(trial.downtime),
        interpreters=interpreters_of(first, target.python, trial.resume_python),
        edge=Edge(chosen.edge) if chosen.edge else None,
        only=chosen.only,
        trials_max=chosen.max_trials,
        seed=chosen.seed,
        crashes=chosen.crashes,
        repeat=chosen.repeat,
        fail_fast=chosen.fail_fast,
        budget_s=read_budget(chosen.budget),
        only_failed=chosen.failed,
        keep_in=str(Path(KEPT_DIRECTORY).absolute()) if trial.keep else None,
    )


def _check_choice(chosen: ChoiceOptions) -> None:
    """Check the options that choose trials.

    Raises:
        Refusal: One has an invalid value.
    """
    if chosen.edge is not None and chosen.edge not in set(Edge):
        raise Refusal(f"unknown edge {chosen.edge!r}", next_step="before or after")
    if chosen.crashes not in (1, 2):
        raise Refusal(f"--crashes {chosen.crashes} is not 1 or 2", next_step="as in  --crashes 2")
    for name, number in (("max", chosen.max_trials), ("repeat", chosen.repeat)):
        if number is not None and not 1 <= number <= _NUMBER_MAX:
            what = f"--{name} {number} is not 1 to {_NUMBER_MAX:,}"
            raise Refusal(what, next_step="leave it out")


def _of_next_program(
    first: Target, function_entry: tuple[str, str] | None, next_entry: tuple[str, str] | None
) -> tuple[str, str] | None:
    """Return a function of the later processes: from the next file if it was in the first one."""
    if function_entry is None or first.entry is None or next_entry is None:
        return function_entry
    file, function = function_entry
    return (next_entry[0] if file == first.entry[0] else file, function)


def read_budget(text: str | None) -> float | None:
    """Return a budget in seconds; None for no limit.

    Args:
        text: Duration, such as `60s`, `5m` or `90`.

    Raises:
        Refusal: The text is no duration above 0.
    """
    if text is None:
        return None
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)?", text.strip())
    seconds = float(match[1]) * _UNITS[match[2] or "s"] if match else 0.0
    if seconds <= 0:
        raise Refusal(f"--budget {text!r} is no duration above 0", next_step="as in  --budget 60s")
    return seconds


def checked_database(on: str) -> str:
    """Return the kind of database of trials, checked.

    Raises:
        Refusal: The kind is unknown.
    """
    if on not in DATABASES:
        raise Refusal(f"unknown database --on {on!r}", next_step=" or ".join(DATABASES))
    return on


def checked_timeout(timeout_s: float | None) -> float | None:
    """Return the maximum duration of a process, in seconds, checked; None for the default.

    Raises:
        Refusal: The duration is not above 0, or more than an hour.
    """
    return _checked_seconds(timeout_s, "--timeout", "10")


def checked_jobs(jobs: int | None) -> int:
    """Return the maximum number of trials at a time, by default one for each core.

    Raises:
        Refusal: The number is not 1 to 256.
    """
    if jobs is not None and not 1 <= jobs <= 256:
        raise Refusal(f"--jobs {jobs} is not 1 to 256", next_step="leave it out")
    return jobs or os.cpu_count() or 1


def _checked_downtime(seconds: float) -> float:
    if not 0 <= seconds <= 31_536_000:
        raise Refusal(
            f"--downtime {seconds:g} is not 0 to 31536000 (a year)",
            next_step="as in  --downtime 3600",
        )
    return seconds


def _checked_seconds(seconds: float | None, option: str, example: str) -> float | None:
    if seconds is not None and not 0 < seconds <= TIMEOUT_MAX_S:
        raise Refusal(
            f"{option} {seconds} is not above 0 and at most {TIMEOUT_MAX_S}",
            next_step=f"as in  {option} {example}",
        )
    return seconds


def _pair(text: str, option: str, example: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise Refusal(
            f"{option} {text!r} is not NAME=VALUE",
            next_step=f"as in  {option} {shell_word((name or 'NAME') + '=' + example)}",
        )
    return name, value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _json(text: str, kind: type, option: str, example: str) -> Any:
    try:
        found = json.loads(text, parse_constant=_refuse_constant)
    except ValueError:
        found = None
    if not isinstance(found, kind):
        name = "list" if kind is list else "object"
        raise Refusal(
            f"{option} {text!r} is not a JSON {name}", next_step=f"as in  {option} {example}"
        )
    return found
