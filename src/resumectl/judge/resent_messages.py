"""Messages that are sent once more because the client asks again, and that nobody receives. Pure.

What is received changes what its workflow does, and is compared there.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

from resumectl.judge.baseline import Baseline
from resumectl.judge.trial_view import Field, field_said
from resumectl.model.crash_plan import subject_of
from resumectl.model.observation import Observation

_NOTIFIED = "/notified"


def unread_repeats(
    trial: Observation, found: Mapping[Field, Any], baseline: Baseline
) -> dict[Field, int]:
    """Inboxes that hold more than uninterrupted, since a client, or a step, has sent it again.

    A workflow's own `DBOS.send` is one of its steps, and never counts here.

    Args:
        trial: Lives, and what was committed in each.
        found: What it ended with.
        baseline: What an uninterrupted run ends with.

    Returns:
        Inbox to how often a message was sent.
    """
    inboxes = {}
    for key, texts in found.items():
        if key.kind == "inbox":
            usual = Counter(baseline.fields.get(key, ((),))[0])
            more = Counter(texts) - usual
            if more and not usual - Counter(texts) and more.total() <= _sent_again(trial, key):
                inboxes[key] = max(more.values()) + 1
    return inboxes


def _sent_again(trial: Observation, inbox: Field) -> int:
    """How often what was sent to an inbox, by no workflow's own step, had been sent before."""
    times: list[int] = [
        sum(
            name.endswith(_NOTIFIED) and field_said("inbox", subject_of(name), topic) == inbox
            for event in life.events
            if event["kind"] == "commit"
            for name, topic in event["facts"]
        )
        for life in trial.lives
    ]
    return sum(times) - max(times)
