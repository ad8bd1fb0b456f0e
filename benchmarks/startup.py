"""Start-up: what resumectl adds to a bare interpreter that imports the same libraries.

A bare typer program with the same imports and one command of one option stands beside each,
for information: how much of the time is typer's own.
"""

import sys

from benchmarks.measuring import median_seconds
from benchmarks.table import Table, judged
from benchmarks.workspace import Workspace, resumectl

RATIO_MAX = 1.5

_RICH = "import typer, rich.console, rich.table"
_SQL = "import sqlalchemy, typer, rich.console, rich.table"
_PROGRAM = """
app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False)

@app.command()
def command(name: str = typer.Option("alpha", help="A name.")) -> None:
    print(name)

app()
"""


def measured(workspace: Workspace, *, rounds: int) -> Table:
    """The table of this part."""
    python = (sys.executable, "-c")
    with workspace.database("sqlite") as url:
        workspace.run(resumectl(), "publish", "--count", "3", "--db-url", url)
        seconds = median_seconds(
            {
                "resumectl --help": workspace.runner(resumectl(), "--help"),
                "import typer, rich": workspace.runner(*python, _RICH),
                "typer program, --help": workspace.runner(*python, _RICH + _PROGRAM, "--help"),
                "resumectl state": workspace.runner(resumectl(), "state", "--db-url", url),
                "import sqlalchemy, typer, rich": workspace.runner(*python, _SQL),
                "typer program, one command": workspace.runner(
                    *python, _SQL + _PROGRAM, "--name", "beta"
                ),
            },
            rounds,
        )
    references = {
        "resumectl --help": "import typer, rich",
        "typer program, --help": "import typer, rich",
        "resumectl state": "import sqlalchemy, typer, rich",
        "typer program, one command": "import sqlalchemy, typer, rich",
    }
    rows = []
    for name, taken in seconds.items():
        reference = references.get(name)
        ratio = taken / seconds[reference] if reference else None
        goal = judged(ratio <= RATIO_MAX) if ratio and name.startswith("resumectl") else ""
        rows.append([name, f"{taken:.3f}", f"{ratio:.2f}" if ratio else "", goal])
    return Table(
        f"Start-up: median of {rounds} runs; goal: at most {RATIO_MAX} of the imports alone",
        ["", "seconds", "ratio", "goal"],
        rows,
    )
