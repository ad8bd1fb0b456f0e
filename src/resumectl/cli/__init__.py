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

# \b keeps the lines as they are.
_EXIT_CODES = "\b\nExit codes:\n" + "\n".join(f"{c.value:5}  {c.meaning}" for c in ExitCode)

app = typer.Typer(
    name="resumectl",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Resumption experiments with DBOS: publish, die for real, resume, see what survived.",
    epilog=_EXIT_CODES,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback(invoke_without_command=True)
def _root(
    version: bool = typer.Option(False, "--version", help="Print the version, and exit."),
) -> None:
    if version:
        from resumectl import __version__

        print(f"resumectl {__version__}")
        raise typer.Exit


publishing.add_to(app)
inspecting.add_to(app)
housekeeping.add_to(app)


def main() -> NoReturn:
    """Run the command line, and exit with its code."""
    try:
        code = app(standalone_mode=True)
    except SystemExit as end:
        code = end.code
    status = code if isinstance(code, int) else 0 if code is None else 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr.flush()
    if any(not t.daemon and t is not threading.main_thread() for t in threading.enumerate()):
        # Workflows cut off by an interruption wait in DBOS's threads, which Python would join.
        os._exit(status)
    sys.exit(status)
