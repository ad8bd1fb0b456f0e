"""Each kind of evidence is distinct data, which says nothing in words."""

from dataclasses import fields, is_dataclass
from typing import get_args

from resumectl.model import evidence
from resumectl.model.evidence import Evidence, Note, Occurrence


def test_every_dataclass_is_evidence_or_a_note_and_not_both() -> None:
    classes = {value for value in vars(evidence).values() if is_dataclass(value)}
    kinds, notes = set(get_args(Evidence)), set(get_args(Note))
    assert kinds | notes == classes
    assert not kinds & notes


def test_kind_is_its_class_in_words() -> None:
    for kind in (*get_args(Evidence), *get_args(Note)):
        assert kind.KIND.replace("-", "") == kind.__name__.lower()
        assert "reason" not in {field.name for field in fields(kind)}


def test_what_is_counted_is_an_effect_an_execution_or_a_write() -> None:
    assert [str(occurrence) for occurrence in Occurrence] == ["effect", "execution", "write"]
