"""Find messages that a retrying client sent again and that were not received.

A received message affects its workflow, and is compared there.
"""

from collections import Counter

from resumectl.judge.baseline import Baseline
from resumectl.judge.fields import Field, FieldKind, said_field, texts_of
from resumectl.judge.trial_view import TrialView
from resumectl.model.crash_plan import subject_of
from resumectl.model.events import Committed

_NOTIFIED = "/notified"


def unread_repeats(view: TrialView, baseline: Baseline) -> dict[Field, int]:
    """Return the inboxes with more messages than usual because a client or a step sent them again.

    A workflow's own `DBOS.send` is one of its steps and does not count here.

    Args:
        view: The trial.
        baseline: Baseline of uninterrupted runs.

    Returns:
        Inbox to how often one message was sent.
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
    """Return how many messages to an inbox were sent again; messages of workflow steps are left out."""
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
