"""The lab: how a process is made to die at a chosen instant, and what is made of it.

Importing this package loads nothing.
"""
