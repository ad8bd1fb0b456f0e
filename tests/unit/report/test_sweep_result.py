"""How the findings of many trials are gathered and shown."""

import re
from collections.abc import Sequence
from typing import Any

import pytest

from resumectl.judge.stability import settled
from resumectl.model.codec import to_plain
from resumectl.model.events import EVENT_SCHEMA
from resumectl.model.evidence import AnsweredOtherwise, Missing, WorkflowStuck
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Client, Target
from resumectl.model.verdict import Exposure, Finding, Judgement, Kind, Verdict
from resumectl.report import console
from resumectl.report.sweep_result import SweepResult
from resumectl.report.sweep_tables import sweep_document, sweep_view
from resumectl.runner.stored_sweep import StoredSweep

TARGET = Target(("/shop.py", "sell"))
SPEC = {"schema": EVENT_SCHEMA, "resumectl": "0.1.0", **to_plain(SweepSpec(TARGET, TARGET, {}))}
STORED = StoredSweep(1, "shop.py:sell", SPEC, 0, 6, 1.0, {}, 2, 2)


def judgement(n: int, *findings: Finding, **more: Any) -> Judgement:
    verdict = Verdict.BROKEN if findings else Verdict.KEPT
    return Judgement(f"before:sell-1/step-{n}", verdict, findings, crashes_reached=1, **more)


def result(judged: Sequence[Judgement], repeated: Sequence[Judgement] = ()) -> SweepResult:
    return SweepResult(
        STORED, settled(judged, repeated), (), (None, None), False, {}, Client.RETRIES, None,
        seconds={}, locations={}, left_out=(),
    )  # fmt: skip


def stuck(pid: int) -> Finding:
    evidence = WorkflowStuck("PENDING", f"shop-{pid}", "", "", "", "", False, (), "", ())
    return Finding(Kind.STUCK, "sell-1", evidence)


def test_one_cause_is_one_finding_whatever_its_evidence_says_in_each_trial() -> None:
    found = result([judgement(n, stuck(1000 + n)) for n in (1, 2, 3)]).findings
    assert [(each.finding, each.trials) for each in found] == [(stuck(1001), 3)]


@pytest.mark.parametrize(
    ("subject", "kind", "follows"),
    [
        ("answer", Kind.DIVERGED, True),
        ("sell-1/step-2", Kind.LOST, True),
        ("pack, sell-1/step-2", Kind.LOST, True),
        ("sell-1-2", Kind.STUCK, True),  # its child
        ("sell-10", Kind.STUCK, False),
        ("charge, sell-1/step-1", Kind.DUPLICATED, False),  # a harm of its own
    ],
)
def test_what_follows_from_a_stuck_workflow_is_listed_below_it(
    subject: str, kind: Kind, follows: bool
) -> None:
    other = Finding(kind, subject, Missing())
    found = sweep_document(result([judgement(1, stuck(1)), judgement(2, other)]))["findings"]
    causes = {each["subject"]: each["follows_from"] for each in found}
    at = [each["subject"] for each in found].index("sell-1")
    assert causes == {"sell-1": None, subject: at if follows else None}


def test_attempts_and_repetitions_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    broken, kept = judgement(1, stuck(1)), judgement(1)
    told = result([broken, judgement(2, attempts=16)], [broken, kept, kept, kept])
    console.show(*sweep_view(told))
    shown = capsys.readouterr().out
    assert "reached only after several attempts: before:sell-1/step-2 (16)" in shown
    assert "2 of 5: unstable" in shown
    assert re.search(r"UNSTABLE: 1 of 2 trials", shown)
    document = sweep_document(told)
    assert document["attempts"] == {"before:sell-1/step-2": 16}
    assert document["findings"][0]["repeated"] == {"shown": 2, "of": 5}
    assert document["verdicts"] == {"KEPT": 1, "BROKEN": 0, "UNSTABLE": 1, "VOID": 0}


def test_what_the_passing_of_time_explains_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    told = result([judgement(1), judgement(2, explained_by_time=("w-10", "w-2"))])
    assert told.explained_by_time == ["w-2", "w-10"]
    console.show(*sweep_view(told))
    line = "explained by time (a run without the crash shows it too): w-2, w-10"
    assert line in capsys.readouterr().out


HELD = AnsweredOtherwise("held", "taken")


def test_the_worst_exposure_keeps_what_else_is_known() -> None:
    seen = [Exposure("charge, sell-1/step-1", 3), Exposure("charge, sell-1/step-1", 2, note=HELD)]
    told = [judgement(n, exposures=(each,)) for n, each in enumerate(seen)]
    (exposure,) = result(told).exposures
    assert (exposure.times, exposure.note, exposure.plan) == (3, HELD, told[0].plan)
