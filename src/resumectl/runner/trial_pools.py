"""Keep one trial pool for each program whose trials this process runs."""

import json
from dataclasses import replace

from resumectl.model.codec import to_plain
from resumectl.model.sweep_spec import SweepSpec
from resumectl.runner.fork_servers import ForkServers
from resumectl.runner.trial_pool import TrialPool, open_trial_pool
from resumectl.settings import Settings


class TrialPools:
    """Trial pools of a process; `close` closes them. The caller lets one thread in at a time.

    Args:
        settings: Settings with the configured server.
        jobs: Maximum number of trials at the same time, for each program.
        started: Fork servers that have been started, for this spec; None to start all here.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        jobs: int,
        started: tuple[SweepSpec, ForkServers] | None = None,
    ) -> None:
        self._settings = settings
        self._started = started
        # The fork servers of a program have imported its libraries.
        self._pools: dict[str, TrialPool] = {}
        self.jobs = jobs

    def of(self, spec: SweepSpec) -> TrialPool:
        """Return the pool for the trials of a sweep, not yet warmed up if it is new.

        Args:
            spec: Spec of the sweep.

        Raises:
            MachineFailure: No sandbox can be made.
        """
        programs = (replace(each, args=(), kwargs={}) for each in (spec.target, spec.later))
        interpreters = to_plain(spec.interpreters) if spec.interpreters else None
        key = json.dumps([spec.on, spec.isolation, interpreters, *map(to_plain, programs)])
        if key not in self._pools:
            servers = self._take_started(spec)
            self._pools[key] = open_trial_pool(
                self._settings, spec, jobs=self.jobs, servers=servers
            )
        return self._pools[key]

    def _take_started(self, spec: SweepSpec) -> ForkServers | None:
        """Return the fork servers that have been started for a spec, once."""
        if self._started is None or self._started[0] is not spec:
            return None
        servers = self._started[1]
        self._started = None
        return servers

    def close(self) -> None:
        """End all fork servers, and delete all sandboxes."""
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()
