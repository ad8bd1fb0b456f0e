"""State: what `state` and the first page of `list-workflows` take beyond their start-up.

The start-up is the same command on a database that holds nothing yet.
"""

from contextlib import ExitStack

from benchmarks.filling import fill
from benchmarks.measuring import median_seconds
from benchmarks.table import Table, judged
from benchmarks.workspace import Workspace, resumectl

BEYOND_MAX_S = 1.0
_COMMANDS = ("state", "list-workflows")


def measured(workspace: Workspace, *, deliveries: int, rounds: int) -> Table:
    """The table of this part."""
    rows = []
    for kind in workspace.kinds:
        with ExitStack() as stack:
            full, empty = (stack.enter_context(workspace.database(kind)) for _ in range(2))
            for url in (full, empty):
                workspace.run(resumectl(), "migrate", "--db-url", url)
            fill(full, deliveries)
            for command in _COMMANDS:
                seconds = median_seconds(
                    {
                        "full": workspace.runner(resumectl(), command, "--db-url", full),
                        "empty": workspace.runner(resumectl(), command, "--db-url", empty),
                    },
                    rounds,
                )
                beyond_s = seconds["full"] - seconds["empty"]
                rows.append(
                    [f"{command}, {kind}", f"{seconds['full']:.2f}", f"{seconds['empty']:.2f}",
                     f"{beyond_s:.2f}", judged(beyond_s < BEYOND_MAX_S)]
                )  # fmt: skip
    return Table(
        f"Over {deliveries:,} deliveries: seconds, median of {rounds} runs; goal: less than "
        f"{BEYOND_MAX_S:.0f} beyond the start-up",
        ["", "seconds", "start-up", "beyond", "goal"],
        rows,
    )
