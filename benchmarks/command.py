"""The command: run the parts that are asked for, and print a table for each."""

import argparse
from collections.abc import Iterator

from benchmarks import publish, startup, state, sweep, verdict
from benchmarks.machine import described
from benchmarks.table import Table
from benchmarks.workspace import Workspace

PARTS = ("startup", "state", "verdict", "sweep", "publish")


def tables(part: str, workspace: Workspace, arguments: argparse.Namespace) -> Iterator[Table]:
    """The tables of one part, each as soon as it is measured."""
    quick: bool = arguments.quick
    if part == "startup":
        yield startup.measured(workspace, rounds=5 if quick else 21)
    elif part == "state":
        yield state.measured(
            workspace, deliveries=50_000 if quick else 1_000_000, rounds=3 if quick else 7
        )
    elif part == "verdict":
        yield verdict.measured(workspace, rounds=3 if quick else 9)
    elif part == "sweep":
        yield from sweep.measured(workspace, rounds=2 if quick else 3, pairs=2 if quick else 24)
    else:
        # So many messages, so many pairs of runs.
        sizes = {200: 1} if quick else {1_000: 5, 10_000: 1}
        if arguments.messages:
            sizes = dict.fromkeys(arguments.messages, arguments.rounds)
        yield from publish.measured(workspace, sizes)


def main() -> None:
    """Parse, measure, print."""
    parser = argparse.ArgumentParser(prog="benchmarks/run.py", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    parser.add_argument("--quick", action="store_true", help="a short version")
    parser.add_argument(
        "--database", choices=("sqlite", "postgresql"), help="on one kind of database only"
    )
    parser.add_argument(
        "--postgres-url", metavar="URL", help="a server to use, instead of an embedded one"
    )
    parser.add_argument(
        "--messages", type=int, action="append", metavar="N", help="publish: this size, not 1,000"
    )
    parser.add_argument(
        "--rounds", type=int, default=1, metavar="N", help="publish: with --messages, pairs of runs"
    )
    arguments = parser.parse_args()
    parts = arguments.parts or PARTS
    if unknown := set(parts) - set(PARTS):
        parser.error(f"no part {', '.join(sorted(unknown))}: there are {', '.join(PARTS)}")
    kinds = [arguments.database] if arguments.database else ["sqlite", "postgresql"]
    with Workspace(kinds, arguments.postgres_url) as workspace:
        print(described(workspace), flush=True)
        for part in parts:
            for table in tables(part, workspace, arguments):
                print(f"\n{table}", flush=True)
