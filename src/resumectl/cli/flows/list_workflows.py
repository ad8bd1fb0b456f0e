"""`list-workflows`: show workflows of any application, page by page. Loads no dbos."""

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from resumectl.cli.common import Common
from resumectl.cli.list_options import FilterOptions, PageOptions
from resumectl.cli.reading import reading
from resumectl.database import Snapshot
from resumectl.errors import ExitCode, Refusal
from resumectl.publishing.store import workflows
from resumectl.publishing.store.dbos_tables import has_dbos_tables
from resumectl.publishing.store.workflows import WorkflowFilter, WorkflowSeen
from resumectl.report import console, json_documents
from resumectl.report import publisher_tables as tables
from resumectl.statuses import ENDED, STATUSES
from resumectl.text import natural_key, shell_word

LIMIT_MAX, OFFSET_MAX = 1_000_000, 1_000_000_000


@dataclass(frozen=True, slots=True)
class _Page:
    """Workflows in the order of their rows, and the depth of each below its root."""

    workflows: Sequence[WorkflowSeen] = ()
    depths: Sequence[int] = ()
    is_more: bool = False


def list_workflows(common: Common, wanted: FilterOptions, page: PageOptions) -> ExitCode:
    """Show one page of workflows.

    Args:
        common: The options of every command.
        wanted: Conditions on the workflows.
        page: Size and place of the page.

    Raises:
        Refusal: An option cannot be carried out.
    """
    conditions = _conditions(wanted, page)
    found = _read(common, conditions, page)
    if common.as_json:
        json_documents.show(
            {"workflows": [json_documents.workflow_document(each) for each in found.workflows]}
        )
        return ExitCode.DONE
    if found.workflows:
        console.show(tables.workflows_sheet(found.workflows, depths=found.depths))
    else:
        console.show(
            f"no workflows{' match' * wanted.is_any}"
            + (f" after the first {page.offset:,}" if page.offset else "")
        )
    _say_unfinished_children(common, found.workflows)
    if found.is_more:
        common.say_next(_next_page(wanted, page))
    return ExitCode.DONE


def _conditions(wanted: FilterOptions, page: PageOptions) -> WorkflowFilter:
    """Check the options, and return the conditions that they make."""
    if wanted.status is not None and wanted.status.upper() not in STATUSES:
        raise Refusal(
            f"unknown status {wanted.status!r}", next_step=f"one of {', '.join(STATUSES)}"
        )
    if not 1 <= page.limit <= LIMIT_MAX or not 0 <= page.offset <= OFFSET_MAX:
        raise Refusal(
            f"--limit is 1 to {LIMIT_MAX:,}, and --offset 0 to {OFFSET_MAX:,}",
            next_step="as in  --limit 50 --offset 50",
        )
    return WorkflowFilter(
        status=wanted.status.upper() if wanted.status else None,
        name=wanted.name,
        publisher=wanted.publisher,
        since_ms=_since_ms(wanted.since) if wanted.since else None,
        roots_only=page.tree,
    )


def _read(common: Common, conditions: WorkflowFilter, page: PageOptions) -> _Page:
    with reading(common) as view:
        if view is None or not has_dbos_tables(view.connection, common.settings()):
            return _Page()
        # One row more than the page has says whether another page follows.
        found = workflows.list_workflows(
            view.connection, conditions, limit=page.limit + 1, offset=page.offset
        )
        rows, is_more = found[: page.limit], len(found) > page.limit
        if not page.tree:
            return _Page(rows, [0] * len(rows), is_more)
        return _Page(*_with_children(view.connection, rows), is_more)


def _say_unfinished_children(common: Common, found: Sequence[WorkflowSeen]) -> None:
    for each in found:
        if each.status in ENDED and each.unfinished_children:
            what = f"{each.id} has ended, {each.status}; of what it started has not"
            common.say(f"{what}: {each.unfinished_children}")
            common.say_next(f"resumectl resume, or  resumectl cancel {each.id}")


def _next_page(wanted: FilterOptions, page: PageOptions) -> str:
    """Return the command line for the page after this one."""
    options = {
        "--status": wanted.status,
        "--name": wanted.name,
        "--publisher": wanted.publisher,
        "--since": wanted.since,
        "--limit": page.limit,
        "--offset": page.offset + page.limit,
    }
    typed = (f"{name} {shell_word(str(v))}" for name, v in options.items() if v is not None)
    return f"resumectl list-workflows{' --tree' * page.tree} {' '.join(typed)}"


def _with_children(
    connection: Snapshot, roots: Sequence[WorkflowSeen]
) -> tuple[list[WorkflowSeen], list[int]]:
    """Return workflows and all below them, depth first, and the depth of each.

    Children come in the order in which they were made.
    """
    below: dict[str, list[WorkflowSeen]] = {}
    level = list(roots)
    while level:
        children = workflows.list_workflows(
            connection, WorkflowFilter(parents=[each.id for each in level])
        )
        for child in sorted(children, key=lambda w: (w.created_at_ms, natural_key(w.id))):
            below.setdefault(str(child.parent), []).append(child)
        level = children
    found: list[WorkflowSeen] = []
    depths: list[int] = []
    stack = [(root, 0) for root in reversed(roots)]
    while stack:
        workflow, depth = stack.pop()
        found.append(workflow)
        depths.append(depth)
        stack.extend((child, depth + 1) for child in reversed(below.get(workflow.id, [])))
    return found, depths


_SPAN = re.compile(r"([0-9]{1,6})\s*([smhd])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def _since_ms(text: str) -> int:
    """Return a span before now, or a date, in milliseconds of Unix time."""
    span = _SPAN.fullmatch(text.strip())
    if span:
        return int((time.time() - int(span[1]) * _SECONDS[span[2]]) * 1000)
    try:
        return int(datetime.fromisoformat(text.strip()).timestamp() * 1000)
    except (ValueError, OverflowError):
        raise Refusal(
            f"{text!r} is neither a span of time nor a date",
            next_step="as in  --since 10m  or  --since 2026-01-31T12:00",
        ) from None
