"""Define the options of every command, and show refusals. Opens no database."""

import functools
import inspect
import re
import signal
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.models import ArgumentInfo

from resumectl.cli import streams
from resumectl.cli.help import COMMON, examples, option, page
from resumectl.errors import ExitCode, MachineFailure, Refusal
from resumectl.text import literal, one_line, shell_word

if TYPE_CHECKING:
    from resumectl.settings import Settings


@dataclass(frozen=True, slots=True)
class Common:
    """The options of every command, in the order of the help."""

    db_url: Annotated[
        str | None,
        option(
            group=COMMON,
            metavar="URL",
            help="URL of resumectl's database, SQLite or PostgreSQL. [default: "
            "$RESUMECTL_DATABASE_URL, $DBOS_SYSTEM_DATABASE_URL, $POSTGRES_URL, the configuration file, then "
            "sqlite:///resumectl.sqlite]",
        ),
    ] = None
    config: Annotated[
        Path | None,
        option(
            group=COMMON, metavar="FILE", help="Configuration file. [default: dbos-config.yaml]"
        ),
    ] = None
    app_version: Annotated[
        str | None,
        option(
            group=COMMON,
            metavar="VERSION",
            help="Application version of this process [default: resumectl-1]; for points, sweep and "
            "replay, that of the target.",
        ),
    ] = None
    executor: Annotated[
        str | None,
        option(
            group=COMMON,
            metavar="ID",
            help="Executor id of this process. [default: the first free one of local, local-2, …]",
        ),
    ] = None
    as_json: Annotated[
        bool, option("--json", group=COMMON, help="Print one JSON document on standard output.")
    ] = False
    verbose: Annotated[
        bool,
        option("--verbose", "-v", group=COMMON, help="Log each delivery to standard error."),
    ] = False
    log_format: Annotated[
        str, option(group=COMMON, metavar="text|json", help="Format of log lines.")
    ] = "text"
    debug: Annotated[bool, option("--debug", group=COMMON, help="Show tracebacks.")] = False

    @functools.cache  # noqa: B019 (one instance a process)
    def settings(self) -> "Settings":
        """Return the settings that the options make; they are resolved once."""
        from resumectl.settings import Settings

        return Settings.resolve(
            db_url=self.db_url,
            config=self.config,
            app_version=self.app_version,
            executor_id=self.executor,
        )

    def start_logging(self) -> None:
        """Send log lines to standard error, in the format of the options."""
        from resumectl.logs import LogFormat, start_logging

        if self.log_format not in set(LogFormat):
            raise Refusal(
                f"unknown log format {self.log_format!r}",
                next_step="use  --log-format text  or  --log-format json",
            )
        start_logging(
            verbose=self.verbose,
            log_format=LogFormat(self.log_format),
            settings=self.settings(),
            debug=self.debug,
        )
        self._report_ignored_sources()

    @functools.cache  # noqa: B019 (one instance a process)
    def _report_ignored_sources(self) -> None:
        """Report once that the database of another application is ignored."""
        settings = self.settings()
        if settings.not_used:
            self.say(
                f"resumectl's own database is {settings.shown_url}; not used: {settings.not_used}"
            )

    def say(self, text: str) -> None:
        """Print a message for the user on standard error."""
        print("\n".join(streams.folded(literal(text))), file=sys.stderr, flush=True)

    def say_next(self, text: str) -> None:
        """Print the next step on standard error, with the options of this command."""
        self.say_line(f"next:  {self.retyped(text)}")

    def say_line(self, text: str) -> None:
        """Print a line to copy on standard error, without folding it."""
        print(literal(text), file=sys.stderr, flush=True)

    def retyped(self, text: str) -> str:
        """Return a text with the options of this command added to each command line in it.

        The next command then uses the same database, configuration file and version.

        Args:
            text: Text with command lines, such as "resumectl resume".
        """
        words = [f"{name} {shell_word(value)}" for name, value in self._given()]
        return _COMMAND_LINE.sub(lambda line: self._completed(line, words), text)

    def _completed(self, line: re.Match[str], words: Sequence[str]) -> str:
        if line[1] not in command_names():
            return line[0]
        # An option in the text wins: doctor names the version that can take up the work.
        return " ".join([line[0], *(w for w in words if f"{w.split()[0]} " not in line.string)])

    def _given(self) -> Iterator[tuple[str, str]]:
        if self.db_url is not None:
            yield "--db-url", self.settings().shown_url if self._is_secret else self.db_url
        if self.config is not None:
            yield "--config", str(self.config)
        if self.app_version is not None:
            yield "--app-version", self.app_version

    @property
    def _is_secret(self) -> bool:
        """Whether the given URL contains a password, and must not be shown."""
        return bool(self.settings().secrets)

    def say_traceback(self) -> None:
        """Print the traceback of the current error, without passwords."""
        text = traceback.format_exc()
        # Without settings no password is known. None is in the traceback either: errors that
        # quote a URL or a file are raised "from None".
        with suppress(Refusal):
            text = self.settings().without_secrets(text)
        print(text, file=sys.stderr, flush=True)


Command = Callable[..., ExitCode]
# Names of the options that the user typed; the configuration of a project stands for the others.
_typed_options: set[str] = set()


def typed_options() -> frozenset[str]:
    """Return the names of the options and arguments that the user typed, as Python has them."""
    return frozenset(_typed_options)


_names: set[str] = set()


def command_names() -> frozenset[str]:
    """Return the names of the commands."""
    return frozenset(_names)


_COMMAND_LINE = re.compile(r"\bresumectl ([a-z][a-z-]*)")


def command(
    app: typer.Typer, name: str, function: Command, *, group: str, example: Sequence[str]
) -> None:
    """Add a command: its own parameters first, then those of every command.

    A parameter whose type is a dataclass is a group of options, one for each field.

    Args:
        app: Program to which the command is added.
        name: Name of the command, as it is typed.
        function: Function that takes a `Common` and its own parameters, and returns the exit code.
        group: Group of commands in which the help lists it.
        example: Command lines for its help, without the name of the program.
    """
    common, *own = inspect.signature(function, eval_str=True).parameters.values()
    given = [*own, common]

    def run(context: typer.Context, **values: Any) -> None:
        sources = {name: str(context.get_parameter_source(name)) for name in values}
        _typed_options.clear()
        _typed_options.update(n for n, source in sources.items() if source.endswith("COMMANDLINE"))
        arguments = {each.name: _gathered(each, values) for each in given}
        found: Common = arguments[common.name]
        raise typer.Exit(run_and_report(found, lambda: function(**arguments)))

    parameters = [option for each in given for option in _options(each)]
    of_typer = inspect.Parameter(
        "context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context
    )
    run.__signature__ = inspect.Signature([of_typer, *parameters])  # type: ignore[attr-defined]
    run.__annotations__ = {p.name: p.annotation for p in (of_typer, *parameters)}
    run.__doc__ = function.__doc__
    _names.add(name)
    app.command(
        name,
        cls=page(_argument_helps(parameters)),
        rich_help_panel=group,
        epilog=examples(*example),
    )(run)


def _argument_helps(parameters: Sequence[inspect.Parameter]) -> dict[str, str]:
    """Return the help of each parameter that is an argument, by its name."""
    declared = (
        (p.name, declaration)
        for p in parameters
        for declaration in getattr(p.annotation, "__metadata__", ())
    )
    return {
        name: str(declaration.help)
        for name, declaration in declared
        if isinstance(declaration, ArgumentInfo)
    }


def _options(parameter: inspect.Parameter) -> list[inspect.Parameter]:
    """Return the options of a parameter: itself, or one for each field of a group."""
    keyword = inspect.Parameter.KEYWORD_ONLY
    if not is_dataclass(parameter.annotation):
        return [parameter.replace(kind=keyword)]
    return [
        inspect.Parameter(each.name, keyword, default=each.default, annotation=each.type)
        for each in fields(parameter.annotation)
    ]


def _gathered(parameter: inspect.Parameter, values: Mapping[str, Any]) -> Any:
    if not is_dataclass(parameter.annotation):
        return values[parameter.name]
    names = [each.name for each in fields(parameter.annotation)]
    group: Any = parameter.annotation
    return group(**{name: values[name] for name in names})


def run_and_report(common: Common, call: Callable[[], ExitCode]) -> ExitCode:
    """Return the exit code of a call, and print its refusal.

    A traceback is printed under `--debug` only.
    """
    try:
        return call()
    except KeyboardInterrupt:
        common.say("interrupted")
        return ExitCode.INTERRUPTED
    except Exception as error:  # noqa: BLE001 (the last to see it; nothing is dropped)
        if common.debug:
            common.say_traceback()
        return _report(common, error if isinstance(error, Refusal) else _as_refusal(common, error))


def _report(common: Common, refusal: Refusal) -> ExitCode:
    common.say(f"{refusal.label}: {refusal.what}")
    next_step = refusal.next_step
    with suppress(Refusal):  # the given URL may be the cause
        next_step = common.retyped(next_step)
    for line in (f"next:  {next_step}", *refusal.paste):
        common.say_line(line)
    if common.as_json:
        from resumectl.report import json_documents

        whole = "\n".join([next_step, *refusal.paste])
        json_documents.show({**refusal.document, "error": refusal.what, "next": whole})
    return refusal.exit_code


def _as_refusal(common: Common, error: Exception) -> Refusal:
    from sqlalchemy.exc import SQLAlchemyError

    from resumectl.database import explain
    from resumectl.release import require_dbos

    try:
        require_dbos()
    except MachineFailure as refusal:
        return refusal
    if isinstance(error, SQLAlchemyError | OSError):
        return explain(error, common.settings())
    what = f"unexpected {one_line(error)}".rstrip(": ")
    with suppress(Refusal):  # the given URL may be the cause
        what = common.settings().without_secrets(what)
    return MachineFailure(
        what,
        next_step="run it again with --debug, and report the traceback as a defect of resumectl",
    )


@contextmanager
def ends_in_order() -> Iterator[None]:
    """Handle SIGTERM as Ctrl-C: end in order."""

    def interrupt(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
