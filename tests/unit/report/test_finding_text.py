"""Every kind of evidence and of note has a sentence, and every kind of finding a meaning."""

from collections.abc import Callable
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from resumectl.model.evidence import (
    Evidence,
    Note,
    Occurrence,
    WorkflowStuck,
)
from resumectl.model.verdict import Kind
from resumectl.report.finding_text import MEANINGS, evidence_text, note_text

STUCK = WorkflowStuck(
    status="PENDING", executor="local", queue="", version="", process_version="",
    process_executor="", is_time_up=False, deleted_children=(), logged="", waiting=(),
)  # fmt: skip
SAMPLES: dict[Any, Any] = {str: "text", int: 3, bool: True, Occurrence: Occurrence.EXECUTION}


def sample(kind: Callable[..., Any]) -> Any:
    """Return an instance of a dataclass, with a sample in each field."""
    hints = {name: hint for name, hint in get_type_hints(kind).items() if name != "KIND"}
    return kind(**{name: _sample_of(hint) for name, hint in hints.items()})


def _sample_of(hint: Any) -> Any:
    if get_origin(hint) is tuple:
        return (_sample_of(get_args(hint)[0]),) * 2
    if isinstance(hint, UnionType):
        return _sample_of(get_args(hint)[0])
    return SAMPLES[hint]


@pytest.mark.parametrize("kind", get_args(Evidence))
def test_every_kind_of_evidence_has_a_sentence(kind: Callable[..., Any]) -> None:
    text = evidence_text(sample(kind))
    assert text
    assert text == text.strip()
    assert not text.endswith(".")


@pytest.mark.parametrize("kind", get_args(Note))
def test_every_kind_of_note_has_a_sentence(kind: Callable[..., Any]) -> None:
    assert note_text(sample(kind))


def test_sentences_differ() -> None:
    texts = [evidence_text(sample(kind)) for kind in get_args(Evidence)]
    assert len(set(texts)) == len(texts)


def test_exposure_without_a_note_has_no_sentence() -> None:
    assert note_text(None) == ""


@pytest.mark.parametrize("kind", list(Kind))
def test_every_kind_of_finding_has_a_meaning(kind: Kind) -> None:
    assert MEANINGS[kind].endswith(".")
