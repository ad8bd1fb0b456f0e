"""Builds observations of one workflow, for tests of the judge; nothing is run."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from resumectl.model.observation import LifeSeen, Observation

Steps = Sequence[tuple[str, str]]  # name and output
PLAN = "before:w-1/step-1"


def life(steps: Steps, *, ran: Sequence[int] | None = None, **more: Any) -> LifeSeen:
    """A life that recorded these steps; `ran` are the numbers of the bodies that it executed."""
    opaque, payload = more.pop("opaque", ()), more.pop("payload", "'x'")
    timeless = [[0, more.pop("timeless")]] if "timeless" in more else []
    payloads = [payload] * len(steps) if isinstance(payload, str) else payload
    numbers = range(1, len(steps) + 1) if ran is None else ran
    kinds = ["ran"] if more.pop("is_cut_off", False) else ["ran", "ended"]
    events: list[Mapping[str, Any]] = [
        {"kind": "launch", "at_us": 0, "promises": {}, "digest": more.pop("digest", "d")},
        *(
            {
                "kind": kind, "at_us": n, "step": steps[n - 1][0], "workflow": "w-1", "number": n,
                "payload": [payloads[n - 1]], "opaque": opaque, "timeless": timeless,
                "transaction": False, "begun_in": None, "is_retry": False,
            }
            for n in numbers
            for kind in kinds
        ),
        *({"kind": "replayed", "workflow": "w-1", "number": n} for n in range(1, len(steps) + 1)),
        *more.pop("events", ()),
        {"kind": "quiet", "at_us": 9, "still_running": 0,
         "at_once": more.pop("at_once", False)},
        {"kind": "answered", "value": more.pop("answer", "ok")},
    ]  # fmt: skip
    workflow = {
        "id": "w-1", "name": "work", "status": more.pop("status", "SUCCESS"), "output": None,
        "error": None, "parent": None, "input": "1", "deadline": None, "priority": 0, "user": None,
        "roles": None, "queue": None, "executor": "trial", "version": "trial-1",
        "timeout_ms": None, "partition": None,
    }  # fmt: skip
    rows = [
        {"workflow": "w-1", "number": n, "name": name, "output": text, "error": None, "child": None}
        for n, (name, text) in enumerate(steps, start=1)
    ]
    left = {"workflows": [workflow], "steps": rows, "event": [], "stream": [], "inbox": []}
    return LifeSeen(events, "ended", None, 0, True, left)


def run(steps: Steps, *, plan: str = "", **more: Any) -> Observation:
    return Observation(plan, [life(steps, **more)], 1.0)


def trial(steps: Steps, *, first: Steps = (), **more: Any) -> Observation:
    """Died before its first record, or with the first ones; then lived to its end."""
    died = life(first, events=[{"kind": "struck", "at": PLAN}], status="PENDING")
    died = LifeSeen(died.events, "killed by SIGKILL", 9, None, True, died.left)
    return Observation(PLAN, [died, life(steps, **more)], 1.0)


def crashed(first: LifeSeen, later: LifeSeen) -> Observation:
    """Two lives, the first of which was struck when it had done all that it tells."""
    events = [*first.events, {"kind": "struck", "at": PLAN}]
    first = replace(first, events=events, ending="killed by SIGKILL", signal=9, exit_status=None)
    return Observation(PLAN, [first, later], 1.0)
