"""Measure sweeps: trials per second beside a hand-written kill script, and what watching costs.

A trial of the script is two new interpreters: one is killed, the next recovers. A trial of the
sweep is two forked processes. Both kill by a real SIGKILL.
"""

import json
import statistics
import subprocess
import time
from collections.abc import Iterator

from benchmarks.measuring import interleaved, median_ratio, standard_error
from benchmarks.table import Table, judged
from benchmarks.workspace import Workspace, resumectl, script

TRIALS_PER_SECOND_MIN = 10.0
TIMES_THE_SCRIPT_MIN = 60.0
ON_POSTGRESQL_MIN = 4.0
WATCHED_MIN = 0.95
_PAIRS_MIN = 8  # of fewer, chance decides: a single one scatters by a tenth
_MESSAGES = 5
_WATCHED_MESSAGES = 300
_NEVER = "before:nothing/succeeded"


def measured(workspace: Workspace, *, rounds: int, pairs: int) -> Iterator[Table]:
    """The tables of this part.

    Args:
        workspace: Where to.
        rounds: Trials of the hand-written script.
        pairs: Of runs, watched and bare.
    """
    yield _trials(workspace, rounds)
    yield _watching(workspace, pairs)


def _trials(workspace: Workspace, rounds: int) -> Table:
    script_s = _script_seconds(workspace, rounds)
    rows = [["hand-written script", str(rounds), f"{1 / script_s:.2f}", "", ""]]
    sweeps = [("sqlite", _MESSAGES, TRIALS_PER_SECOND_MIN), ("sqlite", 20, None)]
    if "postgresql" in workspace.kinds:
        sweeps.append(("postgresql", _MESSAGES, ON_POSTGRESQL_MIN))
    for kind, messages, rate_min in sweeps:
        on = "postgres" if kind == "postgresql" else kind
        with workspace.database(kind) as url:
            options = ["--count", str(messages), "--on", on, "--json", "--db-url", url]
            said = json.loads(workspace.run(resumectl(), "sweep", *options))
        if said["verdicts"]["KEPT"] != said["trials"]:
            raise RuntimeError(f"the sweep came out otherwise: {said['verdicts']}")
        rate = said["trials_per_second"]
        goal = ""
        if rate_min is not None:
            is_met = rate >= rate_min and (
                kind != "sqlite" or rate * script_s >= TIMES_THE_SCRIPT_MIN
            )
            goal = judged(is_met)
        rows.append(
            [f"sweep --count {messages} --on {on}", str(said["trials"]), f"{rate:.2f}",
             f"{rate * script_s:.0f}", goal]
        )  # fmt: skip
    return Table(
        f"Trials per second; goal: at least {TRIALS_PER_SECOND_MIN:.0f} and {TIMES_THE_SCRIPT_MIN:.0f} "
        f"times the script; on PostgreSQL at least {ON_POSTGRESQL_MIN:.0f}",
        ["", "trials", "per second", "times the script", "goal"],
        rows,
    )


def _watching(workspace: Workspace, pairs: int) -> Table:
    """Publishing under a plan that matches nothing, against publishing.

    A pair of runs scatters by a tenth, whatever its length: many short ones tell more.
    """
    rows = []
    for kind in workspace.kinds:

        def rate(*plan: str, kind: str = kind) -> float:
            with workspace.database(kind) as url:
                said = json.loads(
                    workspace.run(*script("publish_batch.py"), url, str(_WATCHED_MESSAGES), *plan)
                )
            return float(_WATCHED_MESSAGES / said["seconds"])

        found = interleaved({"watched": lambda: rate(_NEVER), "bare": rate}, pairs)
        watched, bare = (statistics.median(found[name]) for name in ("watched", "bare"))
        ratio = median_ratio(found["watched"], found["bare"])
        error = standard_error(found["watched"], found["bare"])
        goal = judged(ratio >= WATCHED_MIN) if pairs >= _PAIRS_MIN else "too few pairs"
        rows.append(
            [f"{kind}, {_WATCHED_MESSAGES:,} messages", str(pairs), f"{watched:.1f}", f"{bare:.1f}",
             f"{ratio:.3f}", f"{error:.3f}", goal]
        )  # fmt: skip
    return Table(
        f"Publishing under a plan that matches nothing; goal: at least {WATCHED_MIN} of bare",
        ["", "pairs of runs", "watched, per second", "bare, per second", "ratio", "standard error",
         "goal"],
        rows,
    )  # fmt: skip


def _script_seconds(workspace: Workspace, rounds: int) -> float:
    seconds = 0.0
    for number in range(rounds):
        with workspace.database("sqlite") as url:
            began = time.monotonic()
            command = [*script("kill_script.py"), url, str(number % _MESSAGES + 1)]
            killed = subprocess.run(
                command, cwd=workspace.directory, capture_output=True, check=False
            )
            if killed.returncode != -9:
                raise RuntimeError(f"it was to be killed, and ended with {killed.returncode}")
            delivered = workspace.run(*script("kill_script.py"), url).strip()
            seconds += time.monotonic() - began
        if delivered != str(_MESSAGES):
            raise RuntimeError(f"{delivered} deliveries rather than {_MESSAGES}")
    return seconds / rounds
