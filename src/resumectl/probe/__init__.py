"""What runs inside the target process: it watches commits, kills, and records what it sees.

Imports the standard library, and the dbos, sqlalchemy and drivers that are installed there.
"""
