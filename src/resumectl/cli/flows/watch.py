"""Sweep again each time that a file of a program changes. The fork servers stay, so no start is repeated."""

import hashlib
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Protocol

from resumectl.cli.common import Common, run_and_report
from resumectl.cli.configured_spec import ConfiguredSpec
from resumectl.cli.project_scan import source_files
from resumectl.errors import ExitCode
from resumectl.text import counted

_POLL_S = 0.2
_VERDICTS = (ExitCode.DONE, ExitCode.PROMISE_BROKEN, ExitCode.UNSTABLE)


class Sweeps(Protocol):
    """Interface of what sweeps."""

    def run(self, specs: Sequence[ConfiguredSpec]) -> ExitCode:
        """Sweep these targets, and show the results."""

    def sources(self, configured: ConfiguredSpec) -> Mapping[str, str]:
        """Return the files of a program as they were when it was swept last, with their digests."""


def sweep_at_each_change(
    common: Common, specs: Sequence[ConfiguredSpec], sweeps: Sweeps
) -> ExitCode:
    """Sweep, wait until a file changes, and sweep again the targets that import it; until Ctrl-C.

    Args:
        common: Options of the command.
        specs: Spec of each sweep.
        sweeps: What sweeps.

    Returns:
        The exit code of the last sweep.
    """
    due = list(specs)
    while True:
        before = _digests(_project_files())
        code = run_and_report(common, partial(sweeps.run, due))
        if code is ExitCode.INTERRUPTED:
            return code
        imported = [sweeps.sources(spec).keys() for spec in specs]
        known = _digests(set().union(*imported))
        known |= {file: before[file] for file in known.keys() & before.keys()}
        try:
            if code in _VERDICTS:
                changed = _wait_for_change(common, known, known.keys)
            else:  # the correction may be in any file, also in a new one
                changed = _wait_for_change(common, known | before, _project_files)
        except KeyboardInterrupt:
            return code
        if code in _VERDICTS:
            due = [s for s, own in zip(specs, imported, strict=True) if own & changed]


def _project_files() -> set[str]:
    return set(map(str, source_files(Path.cwd())))


def _wait_for_change(
    common: Common, before: Mapping[str, str], files: Callable[[], Iterable[str]]
) -> set[str]:
    """Return the files that have changed, as soon as there are any and they change no more.

    Args:
        common: Options of the command.
        before: Digest of each file when the last sweep began.
        files: Function that returns the files to look at besides these.
    """
    common.say(f"watching {counted(len(before), 'file')}: a change sweeps again, Ctrl-C ends")
    last: dict[str, str] = {}
    while True:
        now = _digests({*before, *files()})
        changed = {file for file, digest in now.items() if digest != before.get(file)}
        if changed and now == last:
            common.say(f"changed: {', '.join(sorted(Path(file).name for file in changed))}")
            return changed
        last = now
        time.sleep(_POLL_S)  # between two looks: a file tells nobody that it changes


def _digests(files: Iterable[str]) -> dict[str, str]:
    """Return the digest of each file; empty for a file that cannot be read."""
    return {file: _digest(Path(file)) for file in files}


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError:
        return ""
