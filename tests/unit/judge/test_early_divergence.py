"""Whether a trial had diverged before any of its processes was killed."""

import pytest
from builders import Steps, baseline_of, run, trial

from resumectl.judge.early_divergence import diverged_before_crash
from resumectl.judge.trial_view import TrialView

USUAL = [("look", "usual"), ("tell", "x")]


@pytest.mark.parametrize(
    ("recorded", "found"),
    [
        ([], ()),
        (USUAL[:1], ()),
        ([("look", "rare")], ("w-1/step-1: output",)),
        ([("look", "rare"), ("tell", "y")], ("w-1/step-1: output",)),  # the first of a workflow
        ([("peek", "usual")], ("w-1/step-1: name",)),
    ],
)
def test_first_process_is_an_uninterrupted_run_until_it_is_killed(
    recorded: Steps, found: tuple[str, ...]
) -> None:
    baseline = baseline_of([run(USUAL)] * 2)
    seen = trial(USUAL, first=recorded)
    assert diverged_before_crash(TrialView(seen), baseline) == found


def test_what_varies_is_no_divergence() -> None:
    baseline = baseline_of([run([("look", each)]) for each in "ab"])
    seen = trial([("look", "c")], first=[("look", "c")])
    assert diverged_before_crash(TrialView(seen), baseline) == ()
