"""The lab's own limits on a machine that is slow or busy."""

import pytest

from resumectl.lab import pace


def test_limits_are_as_written_on_a_quiet_machine() -> None:
    assert pace.slowness_of(0.4) == 1
    assert pace.stretched(2) == 2


def test_limits_grow_with_the_time_that_a_start_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert pace.slowness_of(20 * pace.START_UP_S) == 20
    monkeypatch.setattr(pace, "_slowness", 20.0)
    assert pace.stretched(0.5) == 10
