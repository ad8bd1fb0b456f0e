"""Publish: messages per second and memory, against a bare DBOS loop on the same kind of database.

Each run is a process of its own on a fresh database: publish_batch.py for resumectl,
bare_loop.py for what a user of DBOS would have written instead.
"""

import json
import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from benchmarks.measuring import interleaved, median_ratio
from benchmarks.table import Table, judged
from benchmarks.workspace import Workspace, script

RATIO_MIN = 0.9
_WARM_UP = 20
_RESUMECTL, _BARE = "resumectl", "bare loop"


@dataclass(frozen=True, slots=True)
class Run:
    """What one process said of itself."""

    messages: int
    seconds: float
    cpu_s: float
    peak_kib: int
    queue: tuple[int, float]  # concurrency, and polling interval in seconds

    @property
    def rate(self) -> float:
        """Messages per second."""
        return self.messages / self.seconds


def measured(workspace: Workspace, sizes: Mapping[int, int]) -> Iterator[Table]:
    """Two tables for each kind of database: the rates, and what a message costs.

    Args:
        workspace: Where to.
        sizes: Messages of a batch to rounds, in the order in which to measure them.
    """
    for kind in workspace.kinds:
        interleaved(_contenders(workspace, kind, _WARM_UP), 1)
        found = {
            size: interleaved(_contenders(workspace, kind, size), rounds)
            for size, rounds in sizes.items()
        }
        yield _rates(kind, found)
        yield _costs(kind, found)


def _contenders(workspace: Workspace, kind: str, messages: int) -> dict[str, Callable[[], Run]]:
    return {
        _RESUMECTL: lambda: _run(workspace, kind, "publish_batch.py", messages),
        _BARE: lambda: _run(workspace, kind, "bare_loop.py", messages),
    }


def _run(workspace: Workspace, kind: str, name: str, messages: int) -> Run:
    with workspace.database(kind) as url:
        said = json.loads(workspace.run(*script(name), url, str(messages)))
    if said["delivered"] != messages:
        raise RuntimeError(f"{name} delivered {said['delivered']} of {messages} messages")
    queue = said["worker_concurrency"], said["polling_interval_sec"]
    return Run(messages, said["seconds"], said["cpu_s"], said["peak_kib"], queue)


def _rates(kind: str, found: Mapping[int, Mapping[str, list[Run]]]) -> Table:
    rows = []
    for size, runs in found.items():
        queues = {run.queue for each in runs.values() for run in each}
        if len(queues) != 1:
            raise RuntimeError(f"the queues differ, so the rates say nothing: {queues}")
        ours, bare = ([run.rate for run in runs[name]] for name in (_RESUMECTL, _BARE))
        ratio = median_ratio(ours, bare)
        rows.append(
            [f"{size:,} messages", str(len(bare)), f"{statistics.median(ours):.1f}",
             f"{statistics.median(bare):.1f}", f"{ratio:.2f}", judged(ratio >= RATIO_MIN)]
        )  # fmt: skip
    return Table(
        f"Publish, {kind}: messages per second, medians, and of the ratios of pairs; goal: at least "
        f"{RATIO_MIN} of the bare loop's",
        ["", "pairs of runs", _RESUMECTL, _BARE, "ratio", "goal"],
        rows,
    )


def _costs(kind: str, found: Mapping[int, Mapping[str, list[Run]]]) -> Table:
    rows = [
        [f"{size:,} messages, {name}", f"{_median_cpu_ms(runs[name]):.1f}",
         f"{_peak_mib(runs[name]):.0f}", _growth(found, name, size)]
        for size, runs in found.items() for name in (_RESUMECTL, _BARE)
    ]  # fmt: skip
    return Table(
        f"Publish, {kind}: what it costs, medians",
        ["", "CPU ms a message", "peak MiB", "KiB more a message"],
        rows,
    )


def _median_cpu_ms(runs: list[Run]) -> float:
    return statistics.median(run.cpu_s / run.messages for run in runs) * 1000


def _peak_mib(runs: list[Run]) -> float:
    return statistics.median(run.peak_kib for run in runs) / 1024


def _growth(found: Mapping[int, Mapping[str, list[Run]]], name: str, size: int) -> str:
    smaller = max((other for other in found if other < size), default=None)
    if smaller is None:
        return ""
    grown_mib = _peak_mib(found[size][name]) - _peak_mib(found[smaller][name])
    return f"{grown_mib * 1024 / (size - smaller):.1f}"
