"""Declare the options of `list-workflows`."""

from dataclasses import dataclass
from typing import Annotated

from resumectl.cli.help import COMMAND, FILTERS, option


@dataclass(frozen=True, slots=True)
class FilterOptions:
    """The workflows that are listed."""

    status: Annotated[
        str | None, option(group=FILTERS, metavar="STATUS", help="Filter by workflow status.")
    ] = None
    name: Annotated[
        str | None,
        option(group=FILTERS, metavar="TEXT", help="Filter by workflow name (substring)."),
    ] = None
    publisher: Annotated[
        str | None, option(group=FILTERS, metavar="NAME", help="Filter by publisher.")
    ] = None
    since: Annotated[
        str | None,
        option(
            group=FILTERS,
            metavar="WHEN",
            help="Filter by creation time: 30s, 10m, 2h or 1d ago, or since a date such as "
            "2026-01-31T12:00.",
        ),
    ] = None

    @property
    def is_any(self) -> bool:
        """Whether any workflow may be left out."""
        return any((self.status, self.name, self.publisher, self.since))


@dataclass(frozen=True, slots=True)
class PageOptions:
    """How many workflows are listed, and in what order."""

    limit: Annotated[
        int,
        option(
            group=COMMAND,
            metavar="N",
            help="Maximum number of workflows to list; with --tree, of workflows without a parent.",
        ),
    ] = 50
    offset: Annotated[
        int,
        option(group=COMMAND, metavar="N", help="Number of workflows to skip, for the next page."),
    ] = 0
    tree: Annotated[
        bool,
        option("--tree", group=COMMAND, help="Indent child workflows under their parents."),
    ] = False
