"""Measure how fast resumectl is: the one command.

    python benchmarks/run.py                    everything: half an hour on two cores
    python benchmarks/run.py --quick            the same, small: two minutes
    python benchmarks/run.py startup state      these parts only

Figures of contenders are taken in turn (A B B A …) after a warm-up, and medians are shown:
what else the machine does meanwhile then meets all of them alike.
"""

import signal
import sys
from pathlib import Path


def main() -> None:
    """Find the package that this file is part of, and the tests' server, and run the command."""
    checkout = Path(__file__).resolve().parents[1]
    sys.path[:1] = [str(checkout), str(checkout / "tests")]
    # An end by SIGTERM is an exit: what was made for the measurements is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    from benchmarks.command import main as command

    command()


if __name__ == "__main__":
    main()
