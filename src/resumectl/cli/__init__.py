"""Assemble the command line: parse, one call, render, exit.

`--help` and completion load only typer and rich: each command imports what it needs when it is
called.
"""

import os
import sys
from typing import NoReturn

import typer

from resumectl.cli import housekeeping, inspecting, publishing, streams, trials
from resumectl.cli.common import command_names
from resumectl.cli.help import GroupedCommands, examples
from resumectl.errors import ExitCode
from resumectl.report import json_documents
from resumectl.text import literal

_EXIT_CODES = "Exit codes:\n" + "\n".join(f"{c.value:5}  {c.meaning}" for c in ExitCode)
_EXAMPLES = examples(
    """sweep shop.py:checkout --args '["order-1"]'""",
    "publish --name alpha --count 20",
    "crash-after 7",
    "resume",
)

app = typer.Typer(
    name="resumectl",
    cls=GroupedCommands,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Test whether a DBOS program survives crashes: kill it at every durable write, recover it, "
    "and report what was lost, repeated or left stuck.",
    epilog=f"{_EXIT_CODES}\n\n{_EXAMPLES}",
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    if version:
        from resumectl import __version__

        print(f"resumectl {__version__}")
        raise typer.Exit
    if context.invoked_subcommand is None:
        print(context.get_help())
        raise typer.Exit


publishing.add_to(app)
inspecting.add_to(app)
trials.add_to(app)
housekeeping.add_to(app)


def _run() -> int:
    """Run the command line and return its exit code, also for errors of the parser."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except Exception as error:
        # An error of the parser; its classes have moved between releases of typer.
        explain = getattr(error, "format_message", None)
        if explain is None:
            raise
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else _path_typed()
        what, next_step = literal(explain()).rstrip("."), f"{path} --help"
        print(f"error: {what}\nnext:  {next_step}", file=sys.stderr)
        if "--json" in sys.argv:  # the parser has failed and cannot say
            json_documents.show({"error": what, "next": next_step})
        return ExitCode.REFUSED
    return code if isinstance(code, int) else ExitCode.DONE


def _path_typed() -> str:
    """Return the program and, if one was typed, its command."""
    typed = [each for each in sys.argv[1:2] if each in command_names()]
    return " ".join(["resumectl", *typed])


def main() -> NoReturn:
    """Run the command line and exit with its code."""
    streams.open_streams()
    status: int = ExitCode.INTERRUPTED
    try:
        status = _run()
        error = streams.flush()
        if error is not None and status != ExitCode.MACHINE_FAILED:  # not reported yet
            status = streams.fail(error)
    except SystemExit as ending:  # raised by shell completion
        status = ending.code if isinstance(ending.code, int) else ExitCode.DONE
    except OSError as failure:  # raised by the parser's help; commands explain their own errors
        status = streams.fail(failure)
    except KeyboardInterrupt:  # before the command began, or after it ended
        status = ExitCode.INTERRUPTED
    except BaseException:  # noqa: BLE001 (it is shown, and no thread may outlive it)
        sys.excepthook(*sys.exc_info())
        status = ExitCode.MACHINE_FAILED
    finally:
        # Not sys.exit: interrupted workflows wait in threads of DBOS's executor, and Python would
        # join these, daemons included. Unloading the modules would cost 0.03 s.
        os._exit(status)
