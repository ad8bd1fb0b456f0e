"""Start the fork servers of a pool, as early as possible: they import dbos while the rest is loaded.

Loads neither sqlalchemy nor dbos.
"""

import itertools
from collections.abc import Sequence

from resumectl.model.interpreter import Interpreter, Interpreters
from resumectl.model.orders import HASH_SEEDS
from resumectl.release import require_dbos
from resumectl.runner.fork_server_client import ForkServerClient
from resumectl.runner.interpreters import own_interpreter, probe_start
from resumectl.runner.sandbox_root import SandboxRoot


class ForkServers:
    """The fork servers of one pool, and the directory of its sandboxes.

    Args:
        interpreters: Interpreters of all targets; None for resumectl's own.
        isolation: `fork`, or `spawn` for a fresh interpreter for each process.

    Attributes:
        root: Directory of the sandboxes.
        interpreters: Interpreters of the targets.

    Raises:
        MachineFailure: resumectl's own DBOS is not supported.
    """

    def __init__(self, interpreters: Interpreters | None = None, isolation: str = "fork") -> None:
        require_dbos()
        self.root = SandboxRoot()
        self._isolation = isolation
        self.interpreters = interpreters or Interpreters.alike(own_interpreter())
        first = self._start(self.interpreters.first, "probe")
        later = first
        if self.interpreters.are_two:
            later = self._start(self.interpreters.later, "later-probe")
        self._servers = (first, later)
        self._is_closed = False

    def _start(self, interpreter: Interpreter, directory: str) -> Sequence[ForkServerClient]:
        root = self.root.directory
        start = probe_start(interpreter, root / directory)
        return [ForkServerClient(start, root, seed, self._isolation) for seed in HASH_SEEDS]

    def server(self, number: int, *, later: bool) -> ForkServerClient:
        """Return the fork server for a process.

        Args:
            number: Number of its hash seed, 0 or 1.
            later: Whether it runs as the processes after the first one.
        """
        return self._servers[later][number]

    @property
    def all(self) -> Sequence[ForkServerClient]:
        """All fork servers; the first one makes the template."""
        return list(dict.fromkeys(itertools.chain(*self._servers)))

    def is_later(self, server: ForkServerClient) -> bool:
        """Return whether a fork server is for the processes after the first one alone."""
        return server not in self._servers[0]

    def close(self) -> None:
        """End the fork servers and all their processes, and delete the sandboxes; once."""
        if self._is_closed:
            return
        self._is_closed = True
        for server in self.all:
            server.close()
        self.root.close()
