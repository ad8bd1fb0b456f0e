"""Carry out the commands, one file for each."""
