"""Start a `worker`, and read the status of a batch."""

from collections.abc import Iterator
from contextlib import contextmanager

from command_server import Forked
from conftest import Workspace


@contextmanager
def worker(workspace: Workspace, *options: str) -> Iterator[Forked]:
    """A worker process, killed at the latest when the test is over."""
    process = workspace.start("worker", *options)
    try:
        assert process.stderr is not None
        assert "serving as" in process.stderr.readline()
        yield process
    finally:
        process.kill()
        process.communicate()


def status(workspace: Workspace, workflow_id: str) -> str:
    sql = f"SELECT status FROM workflow_status WHERE workflow_uuid = '{workflow_id}'"
    return str(workspace.rows(sql)[0][0])
