"""Lay out the tables of the publisher's commands."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.console import RenderableType
from rich.text import Text

from resumectl.publishing.store.state import (
    BatchState,
    Counts,
    PublisherState,
    State,
    broken_promises,
    verdict,
)
from resumectl.report.sheet import (
    Cell,
    Sheet,
    cell,
    dates,
    ids,
    names,
    right,
    sentences,
    words,
)
from resumectl.text import between, clock, counted, literal

if TYPE_CHECKING:
    from resumectl.publishing.store.records import ProcessSeen
    from resumectl.publishing.store.takeover import Blocked
    from resumectl.publishing.store.workflows import StepSeen, WorkflowSeen

_COUNT_COLUMNS = [
    right("expected", dispensable=1), right("delivered"), right("repeated"), right("missing"),
    right("failed", dispensable=3), right("pending"), right("ignored", dispensable=4),
]  # fmt: skip


def _counts(counts: Counts) -> list[Cell]:
    return [
        counts.expected,
        counts.delivered,
        _alarming(counts.repeated),
        _alarming(counts.missing),
        _alarming(counts.failed),
        counts.pending,
        counts.ignored,
    ]


def _alarming(number: int) -> Cell:
    return Text(str(number), style="bold red") if number else number


def batches_sheet(batches: Sequence[BatchState], *, title: str, totals: Counts | None) -> Sheet:
    """Return the table of batches with their counts; ignored attempts only if there are any."""
    shown = slice(None) if any(b.counts.ignored for b in batches) else slice(-1)
    return Sheet(
        title,
        [ids("batch"), words("guarantee", dispensable=2), words("status"), *_COUNT_COLUMNS[shown]],
        [[b.id, b.guarantee, b.status, *_counts(b.counts)[shown]] for b in batches],
        footer=None if totals is None else ["total", "", "", *_counts(totals)[shown]],
    )


def failures(batches: Iterable[BatchState]) -> Iterable[RenderableType]:
    """Yield a line for each failure that was read, and one for the number of the others."""
    for batch in batches:
        for number, error in batch.failures:
            yield Text(literal(f"{batch.id}-{number}: {error}"), style="red")
        more = batch.counts.failed - len(batch.failures)
        if more > 0:
            yield Text(literal(f"{batch.id}: {more} more failed"), style="red")


def outlived_lines(batches: Iterable[BatchState]) -> Iterable[RenderableType]:
    """Yield a line for each ended batch with unfinished workflows."""
    for batch in batches:
        if batch.outlived:
            left = counted(batch.outlived, "workflow")
            what = f"{batch.id} has ended, {batch.status}, and {left} of it can still deliver"
            yield Text(literal(what), style="yellow")


def crash_line(how: str, where: str) -> Text:
    """Return the line that tells how the killed process ended, and at which crash point."""
    return Text.assemble((how, "bold red"), "  at ", (where, "bold"))


def statuses_sheet(statuses: Mapping[str, int]) -> Sheet:
    """Return the table of statuses with their numbers of workflows."""
    return Sheet(
        "Workflows",
        [words("status"), right("workflows")],
        [[status, count] for status, count in sorted(statuses.items())],
    )


@dataclass(frozen=True, slots=True)
class Resumed:
    """The result of a resume for one workflow."""

    workflow_id: str
    before: str
    after: str
    replayed: int  # recorded steps that did not run again
    executed: int  # steps recorded by the resume
    repeated: int  # deliveries beyond the first, made by the resume


# More rows would scroll the totals away; the JSON document has all.
_RESUMED_SHOWN_MAX = 40


def resumed_sheet(rows: Sequence[Resumed]) -> Sheet:
    """Return the table of resumed workflows."""
    return Sheet(
        "Resumed",
        [
            ids("workflow"), words("before"), words("after"), right("replayed"),
            right("executed"), right("repeated"),
        ],
        [
            [r.workflow_id, r.before, r.after, r.replayed, r.executed, _alarming(r.repeated)]
            for r in rows[:_RESUMED_SHOWN_MAX]
        ],
    )  # fmt: skip


def resumed_totals(rows: Sequence[Resumed]) -> Iterable[RenderableType]:
    """Yield the totals, and the number of rows that are not shown."""
    if len(rows) > _RESUMED_SHOWN_MAX:
        yield Text(f"… and {len(rows) - _RESUMED_SHOWN_MAX} more (--json has them all)")
    yield Text(
        f"{counted(len(rows), 'workflow')}: "
        f"{counted(sum(r.replayed for r in rows), 'step')} replayed, "
        f"{sum(r.executed for r in rows)} executed, "
        f"{counted(sum(r.repeated for r in rows), 'delivery', 'deliveries')} repeated"
    )


def blocked_lines(blocked: Sequence["Blocked"]) -> Iterable[RenderableType]:
    """Yield a line for each reason why work was not taken up, with the next step."""
    reasons = Counter((each.reason, each.next_step) for each in blocked)
    for (reason, next_step), count in reasons.items():
        first = next(each for each in blocked if each.reason == reason)
        what = first.workflow.workflow_id + (f" and {count - 1} more" if count > 1 else "")
        yield Text(literal(f"left alone: {what}, {reason}; next:  {next_step}"), style="yellow")


def counters_sheet(publishers: Sequence[PublisherState]) -> Sheet:
    """Return the table of counters: those in memory by process, and the durable one."""
    rows: list[list[Cell]] = []
    for publisher in publishers:
        for process in publisher.processes:
            rows.append(
                [publisher.name, f"process {process.process}", process.command, process.executor, process.pid,
                 process.ended, process.local, process.total]
            )  # fmt: skip
        rows.append(
            [publisher.name, "durable", "deliveries, counted", "", None, "survives",
             publisher.durable, None]
        )  # fmt: skip
    # The newest processes of each publisher are last. Durable counters always stay.
    more = len(rows) - _COUNTERS_SHOWN_MAX
    if more > 0:
        rows = [row for index, row in enumerate(rows) if index >= more or row[1] == "durable"]
    return Sheet(
        "Counters: those in memory are lost with their process, durable ones are not"
        + (f"; without {counted(more, 'older process', 'older processes')} (--json has them)" if more > 0 else ""),
        [
            ids("publisher"), words("counter"), words("of", dispensable=1),
            ids("executor", dispensable=3), right("pid", dispensable=2), words("ended"), right("local"), right("global"),
        ],
        rows,
    )  # fmt: skip


def state_view(state: State) -> list[RenderableType]:
    """Return everything that `state` shows."""
    batches = list(state.batches)
    if not batches:
        return [Text("nothing has been published yet")]
    shown = _most_relevant(batches)
    return [
        batches_sheet(shown, title="Batches", totals=state.totals),
        *_not_shown(len(batches) - len(shown), "batches, all of them kept"),
        *failures(shown),
        *outlived_lines(shown),
        counters_sheet(state.publishers),
        verdict_line(state),
    ]


# More rows would scroll past, and their layout would take longer than counting a million deliveries.
_BATCHES_SHOWN_MAX = 100
_COUNTERS_SHOWN_MAX = 100


def _most_relevant(batches: Sequence[BatchState]) -> list[BatchState]:
    """Return all broken or unfinished batches, and the newest of the others."""
    relevant = {b.id for b in batches if b.is_unfinished or broken_promises(b)}
    room = max(0, _BATCHES_SHOWN_MAX - len(relevant))
    kept = [b.id for b in batches if b.id not in relevant]
    newest = set(kept[len(kept) - room :] if room < len(kept) else kept)
    return [b for b in batches if b.id in relevant or b.id in newest]


def _not_shown(number: int, what: str) -> list[Text]:
    return [Text(f"… and {number} more {what} (--json has them)")] if number > 0 else []


def verdict_line(state: State) -> Text:
    """Return the verdict in words, in its colour."""
    words = verdict(state)
    broken = any(broken_promises(batch) for batch in state.batches)
    style = "bold red" if broken else "yellow" if words.startswith("unfinished") else "bold green"
    return Text(literal(words), style=style)


def workflows_sheet(workflows: Sequence["WorkflowSeen"], *, depths: Sequence[int]) -> Sheet:
    """Return the table of workflows, indented by depth; errors only if there are any."""
    columns = [
        ids("id"), names("name"), ids("publisher", dispensable=2), words("status"),
        ids("queue", dispensable=5), right("steps"), right("attempts", dispensable=3),
        ids("executor", dispensable=4), ids("version", dispensable=6), dates("created"),
        right("duration", dispensable=1), sentences("error"),
    ]  # fmt: skip
    rows: list[list[Cell]] = [
        [
            Text("  " * depth).append_text(cell(w.id)), w.name, w.publisher, w.status, w.queue,
            w.steps, w.attempts, w.executor, w.version, clock(w.created_at_ms),
            between(w.created_at_ms, w.completed_at_ms), w.error,
        ]
        for w, depth in zip(workflows, depths, strict=True)
    ]  # fmt: skip
    shown = slice(None) if any(w.error for w in workflows) else slice(-1)
    return Sheet("Workflows", columns[shown], [row[shown] for row in rows])


def steps_sheet(workflow: "WorkflowSeen", steps: Sequence["StepSeen"]) -> Sheet:
    """Return the table of the recorded steps of one workflow, with their processes."""
    return Sheet(
        f"{workflow.id}: {workflow.status}, {counted(len(steps), 'step')} recorded",
        [
            right("step"), names("name"), ids("child"), words("outcome"), dates("started", dispensable=1),
            right("took", dispensable=2), words("process"),
        ],
        [
            [
                Text(str(s.number)), s.name, s.child, "failed" if s.failed else "recorded",
                clock(s.started_at_ms),
                between(s.started_at_ms, s.completed_at_ms),
                " or ".join(map(str, s.processes)),
            ]
            for s in steps
        ],
    )  # fmt: skip


def processes_sheet(processes: Sequence["ProcessSeen"], *, title: str) -> Sheet:
    """Return the table of processes with their start and end."""
    return Sheet(
        title,
        [
            right("process"), words("command"), ids("executor"), ids("version", dispensable=2),
            right("pid"),
            ids("host", dispensable=1), dates("started"), words("ended"),
        ],
        [
            [each.id, each.command, each.executor, each.app_version, each.pid, each.host,
             clock(each.started_at_ms), each.ended]
            for each in processes
        ],
    )  # fmt: skip
