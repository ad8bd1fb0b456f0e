"""Define values that cross a process boundary or are stored: crash plans, targets, observations, verdicts.

Standard library only.
"""
