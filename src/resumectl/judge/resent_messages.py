"""Find messages that are sent once more because the client asks again, and that nobody receives.

What is received changes what its workflow does, and is compared there.
"""

from collections import Counter

from resumectl.judge.baseline import Baseline
from resumectl.judge.fields import Field, FieldKind, said_field, texts_of
from resumectl.judge.trial_view import TrialView
from resumectl.model.crash_plan import subject_of
from resumectl.model.events import Committed

_NOTIFIED = "/notified"


def unread_repeats(view: TrialView, baseline: Baseline) -> dict[Field, int]:
    """Return the inboxes that hold more than in the baseline, since a client, or a step, sent it again.

    A workflow's own `DBOS.send` is one of its steps, and never counts here.

    Args:
        view: The trial.
        baseline: What uninterrupted runs end with.

    Returns:
        Inbox to how often a message was sent.
    """
    inboxes = {}
    for key, value in view.fields.items():
        if key.kind is FieldKind.INBOX:
            usual = Counter(texts_of(baseline.fields.get(key, ((),))[0]))
            messages = Counter(texts_of(value))
            more = messages - usual
            is_complete = not usual - messages
            if more and is_complete and more.total() <= _sent_again(view, key):
                inboxes[key] = max(more.values()) + 1
    return inboxes


def _sent_again(view: TrialView, inbox: Field) -> int:
    """Return how often what was sent to an inbox, by no workflow's own step, had been sent before."""
    times = [
        sum(
            fact.name.endswith(_NOTIFIED)
            and said_field(FieldKind.INBOX, subject_of(fact.name), fact.detail) == inbox
            for event in process.all(Committed)
            for fact in event.facts
        )
        for process in view.processes
    ]
    return sum(times) - max(times)
