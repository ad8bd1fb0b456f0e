"""How fields and counts are named, for findings and for people."""

import pytest

from resumectl.judge.fields import Count, Field, FieldKind, numbered_field, said_field, shortened
from resumectl.model.evidence import Occurrence
from resumectl.model.snapshot import NO_TOPIC


@pytest.mark.parametrize(
    ("key", "shown", "subject", "owner"),
    [
        (Field(FieldKind.WORKFLOW, "w-1", "status"), "workflow w-1: status", "w-1", "w-1"),
        (numbered_field("w-1", 2, "output"), "w-1/step-2: output", "w-1/step-2", "w-1"),
        (Field(FieldKind.OBSERVED, "sold"), "observed sold", "observed sold", ""),
        (Field(FieldKind.OBSERVED, ""), "observed", "observed", ""),
        (Field(FieldKind.ANSWER, ""), "answer", "answer", ""),
        (said_field(FieldKind.INBOX, "w-1", "paid"), "inbox w-1 paid", "inbox w-1 paid", "w-1"),
        (said_field(FieldKind.INBOX, "w-1", NO_TOPIC), "inbox w-1", "inbox w-1", "w-1"),
        (Field(FieldKind.RECEIVED, "w-1", "", "w-1"), "received w-1", "w-1", "w-1"),
    ],
)
def test_field_has_a_name_for_people_and_a_subject_for_findings(
    key: Field, shown: str, subject: str, owner: str
) -> None:
    assert (str(key), key.subject, key.owner) == (shown, subject, owner)


@pytest.mark.parametrize(
    ("key", "shown", "subject"),
    [
        (Count(Occurrence.EFFECT, "paid", "1"), "effect paid(1)", "paid(1)"),
        (
            Count(Occurrence.EXECUTION, "charge", "w-1/step-1"),
            "executions of charge w-1/step-1",
            "charge, w-1/step-1",
        ),
        (Count(Occurrence.WRITE, "a/inserted", "w-1"), "write a/inserted w-1", "a/inserted, w-1"),
    ],
)
def test_count_has_a_name_for_people_and_a_subject_for_findings(
    key: Count, shown: str, subject: str
) -> None:
    assert (str(key), key.subject) == (shown, subject)


def test_long_value_is_shortened() -> None:
    assert shortened("x" * 120) == "x" * 120
    assert shortened("x" * 121) == "x" * 119 + "…"
    assert shortened([1]) == "[1]"
