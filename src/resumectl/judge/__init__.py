"""Judge observations against a baseline: recorded data in, findings out. Standard library only."""
