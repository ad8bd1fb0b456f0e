"""One example of each kind of evidence, for the table of reasons in the docs.

`python docs/make_docs.py` writes the sentence that a sweep prints for each. A test checks that no
kind is left out.
"""

from collections.abc import Mapping

from resumectl.model import evidence as e
from resumectl.model.evidence import Evidence, Occurrence
from resumectl.model.verdict import Kind

_STUCK = e.WorkflowStuck(
    status="PENDING", executor="local", queue="", version="1", process_version="2",
    process_executor="", is_time_up=False, deleted_children=(), logged="", waiting=(),
)  # fmt: skip
_DATABASES = ("sqlite:///run-1.sqlite", "sqlite:///run-2.sqlite")
_RAN_TWICE = e.TooMany(
    Occurrence.EXECUTION, 2, 1, "exactly-once", payload_differs=False, is_outside_step=False
)

# The examples, by the kind of finding that has such evidence.
EXAMPLES: Mapping[Kind, tuple[Evidence, ...]] = {
    Kind.FAILED: (
        e.EndedOtherwise("ERROR", "SUCCESS", "ValueError: no stock"),
        e.ProcessEnded("exit status 9", "charge, checkout-1/step-1"),
    ),
    Kind.DIVERGED: (
        e.CannotObserve("OperationalError: no such table: payments"),
        e.OtherValue("output", "'2 items'", "'3 items'"),
        e.OtherArguments(False, "'order-1', 0", "'order-1', 5"),
        e.OtherPath("refund", "ship"),
        e.OtherArgumentsAfterCrash(2, 1),
        e.RecordChanged("output", "'paid'", "'refused'"),
        e.NeverCalled("ship"),
        e.BrokenLink("event checkout-1 receipt"),
    ),
    Kind.LOST: (
        e.Missing(),
        e.TooFew(Occurrence.EFFECT, 0, 1, "at-least-once"),
        e.TooFewInWorkflow(2, 3),
        e.CutOff(),
        e.RecordLost(),
    ),
    Kind.DUPLICATED: (
        _RAN_TWICE,
        e.TooManyInWorkflow(2, 1, "exactly-once"),
        e.TooManyInProcess(2, 1, 2),
        e.TooManyRecords(2, 1),
        e.CommittedAgain(2),
    ),
    Kind.UNEXPECTED: (e.NotInBaseline(), e.NeverInBaseline(1)),
    Kind.RERUN: (e.RanAgain(2), e.NeverRecorded((1, 2))),
    Kind.STUCK: (_STUCK, e.NoAnswer(), e.OtherDatabase(*_DATABASES)),
}
