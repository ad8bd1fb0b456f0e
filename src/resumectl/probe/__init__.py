"""Run inside the target process: watch commits, kill at a crash point, record events.

Imports only the standard library, dbos, sqlalchemy and the installed database drivers.
"""
