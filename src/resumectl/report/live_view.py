"""Show what processes are doing now, as tables that fit the terminal."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from rich.console import RenderableType
from rich.text import Text

from resumectl.model.verdict import Verdict
from resumectl.publishing.store.state import FROZEN, KILLED, RUNNING
from resumectl.report.console import VERDICT_STYLES
from resumectl.report.sheet import STATUS_STYLES, Cell, Sheet, ids, right, words
from resumectl.text import clock, counted, literal

if TYPE_CHECKING:
    from resumectl.publishing.store.live_counts import Live

_ENDED_MAX = 5  # processes, batches and sweeps that have ended


@dataclass(frozen=True, slots=True)
class LiveSweep:
    """A sweep, as it is now.

    Attributes:
        id: Number of the sweep.
        target: Its target, for people.
        planned: Number of planned trials.
        verdicts: Verdict to the number of its trials so far.
        state: `running`, `ended`, or `unfinished` if its process was killed.
    """

    id: int
    target: str
    planned: int
    verdicts: Mapping[str, int]
    state: str

    @property
    def trials(self) -> int:
        """Number of trials that have ended."""
        return sum(self.verdicts.values())


@dataclass(frozen=True, slots=True)
class Frame:
    """What is shown at one moment.

    Attributes:
        database: The database, without a password.
        at_ms: The time, in milliseconds since the epoch.
        live: What processes are doing.
        sweeps: Sweeps, the newest first.
        rates: Number per second, since the frame before, of "deliveries" and "trials"; empty for the
            first frame.
        failure: Why nothing could be read since then; empty if this is the present state.
    """

    database: str
    at_ms: int
    live: "Live"
    sweeps: Sequence[LiveSweep]
    rates: Mapping[str, float]
    failure: str


def live_view(frame: Frame) -> Iterator[RenderableType]:
    """Yield everything that `watch` shows, the most important first."""
    live = frame.live
    rates = [f"{rate:,.1f} {what} per second" for what, rate in frame.rates.items()]
    said = [clock(frame.at_ms), counted(live.deliveries, "delivery", "deliveries")]
    yield Text("   ".join([*said, *rates]), style="bold")
    yield Text(literal(frame.database), style="dim")
    if frame.failure:
        yield Text(f"nothing new since then: {literal(frame.failure)}", style="red")
    if not (live.processes or frame.sweeps):
        yield Text("nothing has been published or swept yet")
        return
    running = [each for each in live.processes if each.state in (RUNNING, FROZEN)]
    others = [each for each in live.processes if each not in running][:_ENDED_MAX]
    yield Sheet(
        "Processes",
        [right("process"), words("command"), words("state"), right("in memory"), right("durable"),
         right("pid", dispensable=2), ids("executor", dispensable=3)],
        [
            [each.id, each.command, _state(each.state), each.in_memory, each.deliveries,
             Text(str(each.pid)), each.executor]
            for each in [*running, *others]
        ],
    )  # fmt: skip
    if live.batches:
        yield _batches_sheet(frame)
    if live.queues:
        yield Sheet(
            "Queues",
            [ids("queue"), right("waiting"), right("running")],
            [[each.name, each.waiting, each.running] for each in live.queues],
        )
    if frame.sweeps:
        yield _sweeps_sheet(frame.sweeps)
    if live.newest:
        yield Sheet(
            "Newest deliveries",
            [words("at"), ids("workflow"), right("process")],
            [[clock(each.at_ms), each.workflow, each.process] for each in live.newest],
        )


def first_lines(lines: Sequence[Text], height: int) -> list[Text]:
    """Return as many lines as fit; the last one says how many are left out.

    Args:
        lines: Lines of a frame.
        height: Number of lines that fit.
    """
    room = max(height, 2)
    if len(lines) <= room:
        return list(lines)
    left_out = counted(len(lines) - (room - 1), "more line")
    return [*lines[: room - 1], Text(f"{left_out}: watch --once", style="dim")]


def _state(state: str) -> Text:
    styles = {RUNNING: "green", FROZEN: "yellow", KILLED: "red"}
    return Text(literal(state), style=styles.get(state, ""))


def _batches_sheet(frame: Frame) -> Sheet:
    unfinished = [each for each in frame.live.batches if each.is_unfinished]
    ended = [each for each in frame.live.batches if not each.is_unfinished][:_ENDED_MAX]
    return Sheet(
        "Batches",
        [ids("batch"), words("status"), right("messages"), right("deliveries")],
        [
            [each.id, Text(each.status, style=STATUS_STYLES.get(each.status, "")), each.expected, each.deliveries]
            for each in [*unfinished, *ended]
        ],
    )  # fmt: skip


def _sweeps_sheet(sweeps: Sequence[LiveSweep]) -> Sheet:
    running = [each for each in sweeps if each.state == "running"]
    ended = [each for each in sweeps if each.state != "running"][:_ENDED_MAX]
    return Sheet(
        "Sweeps",
        [right("sweep"), words("target"), right("trials"), right("of"), *map(right, Verdict),
         words("state", dispensable=1)],
        [
            [Text(str(each.id)), each.target, each.trials, each.planned,
             *(_count(v, each.verdicts.get(v, 0)) for v in Verdict),
             each.state]
            for each in [*running, *ended]
        ],
    )  # fmt: skip


def _count(verdict: str, number: int) -> Cell:
    return Text(str(number), style=VERDICT_STYLES[verdict]) if number else 0


def live_document(frame: Frame) -> dict[str, Any]:
    """Return one frame for JSON."""
    live = frame.live
    return {
        "at": frame.at_ms,
        "deliveries": live.deliveries,
        "processes": [
            {
                "process": each.id,
                "command": each.command,
                "executor": each.executor,
                "pid": each.pid,
                "state": each.state,
                "in_memory": each.in_memory,
                "durable": each.deliveries,
            }
            for each in live.processes
        ],
        "batches": [
            {
                "batch": each.id,
                "status": each.status,
                "messages": each.expected,
                "deliveries": each.deliveries,
            }
            for each in live.batches
        ],
        "queues": [
            {"queue": each.name, "waiting": each.waiting, "running": each.running}
            for each in live.queues
        ],
        "sweeps": [
            {
                "sweep": each.id,
                "target": each.target,
                "planned": each.planned,
                "verdicts": {str(v): each.verdicts.get(v, 0) for v in Verdict},
                "state": each.state,
            }
            for each in frame.sweeps
        ],
        "newest_deliveries": [
            {"at": each.at_ms, "workflow": each.workflow, "process": each.process}
            for each in live.newest
        ],
    }
