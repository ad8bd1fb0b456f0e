"""Make the directory of all sandboxes of a pool, and delete those that another process has left.

It is in memory-backed storage if the machine has some. Its owner holds a lock that the kernel releases
when the owner's process ends. The next runner deletes a directory without an owner.
"""

import fcntl
import os
import shutil
import tempfile
from pathlib import Path

_PREFIX = "resumectl-sandboxes-"
_MEMORY = Path("/dev/shm")


class SandboxRoot:
    """Directory of all sandboxes; `close` deletes it.

    Attributes:
        directory: Its path.
    """

    def __init__(self) -> None:
        parent = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
        _clear_ownerless(parent)
        self.directory = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=parent))
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC
        self._owner = os.open(self.directory / "owner", flags, 0o600)
        fcntl.flock(self._owner, fcntl.LOCK_EX)

    def close(self) -> None:
        """Delete everything in it."""
        shutil.rmtree(self.directory, ignore_errors=True)
        os.close(self._owner)


def _clear_ownerless(parent: Path) -> None:
    for root in parent.glob(f"{_PREFIX}*"):
        try:
            owner = os.open(root / "owner", os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            continue  # it belongs to another user, or is being made
        try:
            fcntl.flock(owner, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue  # its owner is running
        else:
            shutil.rmtree(root, ignore_errors=True)
        finally:
            os.close(owner)
