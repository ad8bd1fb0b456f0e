"""Measure the time from a command to its verdict, beside `import dbos` in the same run.

A multiple of `import dbos` depends less on the machine than seconds do: most of a start is imports.
"""

import json
import shutil
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.measuring import interleaved
from benchmarks.table import Table, judged
from benchmarks.workspace import Workspace, resumectl

BEYOND_TRIALS_MAX = 1.7
RATE_TIMES_IMPORT_MIN = {"sqlite": 9.0, "postgresql": 4.0}
_MESSAGES = 5
_PROGRAM = Path(__file__).parents[1] / "docs" / "tutorial" / "shop.py"


@dataclass(frozen=True, slots=True)
class Run:
    """One command: its duration, the time of its trials, and their rate."""

    seconds: float
    trial_seconds: float = 0.0
    per_second: float = 0.0


def measured(workspace: Workspace, *, rounds: int) -> Table:
    """The table of this part.

    Args:
        workspace: Where to.
        rounds: Runs of each command.
    """
    shutil.copy(_PROGRAM, workspace.directory)
    commands = {"sweep shop.py:checkout": ["shop.py:checkout", "--args", '["order-1"]']}
    kinds = {"sweep shop.py:checkout": "sqlite"}
    for kind in workspace.kinds:
        name = f"sweep --count {_MESSAGES}, {kind}"
        on = "postgres" if kind == "postgresql" else kind
        commands[name], kinds[name] = ["--count", str(_MESSAGES), "--on", on], kind

    def swept(name: str) -> Callable[[], Run]:
        return lambda: _swept(workspace, kinds[name], commands[name])

    found = interleaved(
        {"import dbos": lambda: _imported(workspace), **{name: swept(name) for name in commands}},
        rounds,
    )
    import_s = statistics.median(run.seconds for run in found["import dbos"])
    rows = [["import dbos", f"{import_s:.2f}", "", "", "", "", "", ""]]
    for name in commands:
        seconds, trials, rate = (
            statistics.median(getattr(run, key) for run in found[name])
            for key in ("seconds", "trial_seconds", "per_second")
        )
        beyond = (seconds - trials) / import_s
        is_whole = name == "sweep shop.py:checkout"
        goals = [
            judged(beyond <= BEYOND_TRIALS_MAX) if is_whole else "",
            "" if is_whole else judged(rate * import_s >= RATE_TIMES_IMPORT_MIN[kinds[name]]),
        ]
        rows.append(
            [name, f"{seconds:.2f}", f"{trials:.2f}", f"{beyond:.2f}", goals[0], f"{rate:.1f}",
             f"{rate * import_s:.1f}", goals[1]]
        )  # fmt: skip
    least = " and ".join(f"{value:.0f} on {kind}" for kind, value in RATE_TIMES_IMPORT_MIN.items())
    return Table(
        f"From command to verdict, medians of {rounds}; goals: beyond the trials at most "
        f"{BEYOND_TRIALS_MAX} times `import dbos`; trials per second times the seconds of `import dbos` "
        f"at least {least}",
        ["", "seconds", "trials, seconds", "beyond, in imports", "goal", "trials per second",
         "times import", "goal"],
        rows,
    )  # fmt: skip


def _imported(workspace: Workspace) -> Run:
    began = time.perf_counter()
    workspace.run(sys.executable, "-c", "import dbos")
    return Run(time.perf_counter() - began)


def _swept(workspace: Workspace, kind: str, options: list[str]) -> Run:
    with workspace.database(kind) as url:
        began = time.perf_counter()
        said = json.loads(workspace.run(resumectl(), "sweep", *options, "--json", "--db-url", url))
        seconds = time.perf_counter() - began
    if said["verdicts"]["KEPT"] != said["trials"]:
        raise RuntimeError(f"the sweep came out otherwise: {said['verdicts']}")
    return Run(seconds, said["seconds"], said["trials_per_second"])
