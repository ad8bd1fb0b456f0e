"""The command line: parse, one call, render, exit. This file is its contents page.

`--help` and completion load typer and rich and nothing else: each command imports what it
needs when it is called.
"""

import os
import sys
import threading
from typing import NoReturn

import typer

from resumectl.cli import housekeeping, inspecting, publishing
from resumectl.errors import ExitCode
from resumectl.report import machine
from resumectl.report.text import literal

# \b keeps the lines as they are.
_EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"{c.value:5}  {c.meaning}" for c in ExitCode)

app = typer.Typer(
    name="resumectl",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Resumption experiments with DBOS: publish, die for real, resume, see what survived.",
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    context: typer.Context,
    version: bool = typer.Option(False, "--version", help="Print the version, and exit."),
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
housekeeping.add_to(app)


def _run() -> int:
    """The exit code of the command line, whatever is wrong with it."""
    try:
        code = app(standalone_mode=False)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except Exception as error:
        # What the parser refuses; its classes have moved between releases of typer.
        explain = getattr(error, "format_message", None)
        if explain is None:
            raise
        context = getattr(error, "ctx", None)
        path = context.command_path if context is not None else "resumectl"
        what, next_step = literal(explain()).rstrip("."), f"{path} --help"
        print(f"error: {what}\nnext:  {next_step}", file=sys.stderr)
        if "--json" in sys.argv:  # the parser that would know has given up
            machine.show({"error": what, "next": next_step})
        return ExitCode.REFUSED
    return code if isinstance(code, int) else ExitCode.DONE


def main() -> NoReturn:
    """Run the command line, and exit with its code."""
    status = _run()
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr.flush()
    if any(not t.daemon and t is not threading.main_thread() for t in threading.enumerate()):
        # Workflows cut off by an interruption wait in DBOS's threads, which Python would join.
        os._exit(status)
    sys.exit(status)
