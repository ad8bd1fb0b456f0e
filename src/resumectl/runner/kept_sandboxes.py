"""Choose the directory in which the sandbox of a trial is kept, if the trial is not KEPT."""

import re
import uuid
from collections.abc import Callable
from pathlib import Path

from resumectl.model.observation import Observation
from resumectl.model.verdict import Judgement, Verdict
from resumectl.runner.lab_directory import make_lab_directory

_NAME_MAX = 120  # maximum number of characters of a directory's name


def keep_unless_kept(
    judge: Callable[[Observation], Judgement], directory: str
) -> Callable[[Observation], Path | None]:
    """Return a function that returns the directory for the sandbox of a trial; None to delete it.

    Args:
        judge: Function that judges a trial.
        directory: Directory of the kept sandboxes.
    """

    def keep_at(trial: Observation) -> Path | None:
        if not trial.plan or judge(trial).verdict is Verdict.KEPT:
            return None
        name = re.sub(r"[^a-zA-Z0-9.-]+", "-", trial.plan).strip("-")
        make_lab_directory(Path(directory).parent)
        return Path(directory, f"{name[:_NAME_MAX]}.{uuid.uuid4().hex[:6]}")

    return keep_at
