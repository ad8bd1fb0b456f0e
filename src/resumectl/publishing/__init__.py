"""The shared publisher library: the system under study.

Publishers deliver batches of messages through DBOS workflows, one process's run at a time
being a process. The names are in the modules: importing this package loads nothing.
"""
