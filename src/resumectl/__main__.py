"""Run resumectl as `python -m resumectl`."""

from resumectl.cli import main

main()
