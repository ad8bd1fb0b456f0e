"""Publish batches of messages through DBOS workflows: the built-in target.

Importing this package loads nothing; the names are in its modules.
"""
