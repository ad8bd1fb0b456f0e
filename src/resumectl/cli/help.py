"""Format the pages of `--help`: options in named groups, and examples for each command.

The pages are plain text, even with rich installed: they can be piped, copied and searched, and no
line ends in blanks. Loads typer and nothing else.
"""

import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any, Final

import typer
from typer.core import TyperCommand, TyperGroup

# Groups of options, in the order of a page.
TARGET: Final = "Target"
PUBLISHER: Final = "Built-in publisher"
MESSAGES: Final = "Messages"
DELIVERY: Final = "Delivery"
FILTERS: Final = "Filters"
CRASH: Final = "Crash"
CRASH_POINTS: Final = "Crash points"
NEXT_RELEASE: Final = "Next release"
OUTSIDE: Final = "Databases and services outside of the sandbox"
TRIALS: Final = "Trials"
JUDGING: Final = "Judging"
REPORTS: Final = "Reports"
COMMAND: Final = "Options"
COMMON: Final = "Common options"
_ORDER = (
    TARGET, PUBLISHER, MESSAGES, DELIVERY, FILTERS, CRASH, CRASH_POINTS, NEXT_RELEASE, OUTSIDE,
    TRIALS, JUDGING, REPORTS, COMMAND, COMMON,
)  # fmt: skip

# Groups of commands, in the order of the page.
PUBLISH: Final = "Publish, crash and resume"
INSPECT: Final = "Inspect"
EXPERIMENT: Final = "Test any DBOS program"
MAINTAIN: Final = "Maintain"
_COMMAND_ORDER = (PUBLISH, INSPECT, EXPERIMENT, MAINTAIN)

# The parser's classes for contexts, formatters and parameters have moved between releases of typer.
_Context = Any
_Formatter = Any
_Parameter = Any


class _Plain:
    """A page whose usage line and epilog are shown as they are written."""

    epilog: str | None

    def format_usage(self, ctx: _Context, formatter: _Formatter) -> None:
        """Write the usage line as one line, for a terminal to fold."""
        words = [ctx.command_path, *ctx.command.collect_usage_pieces(ctx)]
        formatter.write(f"Usage: {' '.join(words)}\n")

    def format_epilog(self, ctx: _Context, formatter: _Formatter) -> None:  # noqa: ARG002
        """Write the epilog line by line."""
        if self.epilog:
            formatter.write(f"\n{self.epilog}\n")


class GroupedOptions(_Plain, TyperCommand):
    """A command whose help names its arguments, then its options group by group."""

    # Help by name of the argument: some releases of typer do not keep it with the parameter.
    arguments: Mapping[str, str] = {}

    def collect_usage_pieces(self, ctx: _Context) -> list[str]:
        """Return the words of the usage line, with optional ones in brackets."""
        arguments = [p for p in self.get_params(ctx) if p.param_type_name == "argument"]
        required = [
            f"{p.opts[0]} {p.metavar}"
            for p in self.get_params(ctx)
            if p.param_type_name == "option" and p.required
        ]
        return [*map(_usage, arguments), *required, "[OPTIONS]"]

    def format_options(self, ctx: _Context, formatter: _Formatter) -> None:
        """Write the arguments and each group of options."""
        parameters: list[_Parameter] = list(self.get_params(ctx))
        arguments = [
            (str(p.metavar), self.arguments[p.name])
            for p in parameters
            if p.param_type_name == "argument"
        ]
        if arguments:
            _write_section(formatter, "Arguments", arguments)
        for group in _ORDER:
            own = [p for p in parameters if p.param_type_name == "option" and group_of(p) == group]
            records = [record for p in own if (record := p.get_help_record(ctx)) is not None]
            if records:
                _write_section(formatter, group, records)


def group_of(option: _Parameter) -> str:
    """Return the group of an option; `--help` belongs to the common options."""
    return getattr(option, "rich_help_panel", None) or COMMON


def _write_section(formatter: _Formatter, title: str, records: Sequence[tuple[str, str]]) -> None:
    """Write names and their help in two columns, without breaking words at hyphens."""
    width = max(len(name) for name, _ in records)
    lines = [f"\n{title}:"]
    for name, text in records:
        lines.extend(
            textwrap.wrap(
                " ".join(_cleared(text).split()),
                formatter.width,
                initial_indent=f"  {name:<{width}}  ",
                subsequent_indent=" " * (width + 4),
                break_long_words=False,
                break_on_hyphens=False,
            )
        )
    formatter.write("\n".join(lines) + "\n")


def _cleared(text: str) -> str:
    """Return a help text without typer 0.16's escapes for rich, and with `5` instead of `5.0`."""
    return re.sub(r"\[default: ([0-9]+)\.0\]", r"[default: \1]", text.replace("\\[", "["))


def _usage(argument: _Parameter) -> str:
    word = str(argument.metavar) + ("..." if argument.nargs == -1 else "")
    return word if argument.required else f"[{word}]"


class GroupedCommands(_Plain, TyperGroup):
    """A program whose help names its commands group by group."""

    def format_commands(self, ctx: _Context, formatter: _Formatter) -> None:  # noqa: ARG002
        """Write each group of commands."""
        width = max(map(len, self.commands))
        for group in _COMMAND_ORDER:
            rows = [
                (f"{name:<{width}}", command.get_short_help_str(formatter.width))
                for name, command in self.commands.items()
                if getattr(command, "rich_help_panel", None) == group
            ]
            _write_section(formatter, group, rows)


def page(arguments: Mapping[str, str]) -> type[GroupedOptions]:
    """Return the class of a command whose arguments have these help texts.

    Args:
        arguments: Help of each argument, by name of the parameter.
    """
    return type("Page", (GroupedOptions,), {"arguments": arguments})


def examples(*lines: str) -> str:
    """Return the epilog with these command lines."""
    return "\n".join(["Examples:", *(f"  $ resumectl {line}" for line in lines)])


def option(*names: str, group: str, help: str, metavar: str | None = None, **more: Any) -> Any:
    """Declare an option in its group.

    Args:
        names: Names of the option, if they differ from the name of the parameter.
        group: Group of the option, one of this module's constants.
        help: Help text, one sentence; it states a default that the parser does not know.
        metavar: Name of the option's value.
        more: Further arguments for `typer.Option`.
    """
    return typer.Option(*names, rich_help_panel=group, help=help, metavar=metavar, **more)
