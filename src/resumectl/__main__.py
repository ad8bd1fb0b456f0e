"""`python -m resumectl`, the same as the command `resumectl`."""

from resumectl.cli import main

main()
