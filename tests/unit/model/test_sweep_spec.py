"""A sweep of resumectl's publisher is one in which no process runs another program."""

from dataclasses import replace

from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import DOWNTIME_S, Target

PUBLISHER = Target(count=3)
SHOP = Target(entry=("/shop.py", "checkout"))


def test_publisher_is_swept_only_if_every_process_runs_it() -> None:
    assert SweepSpec(PUBLISHER, PUBLISHER, {}).has_publisher
    assert not SweepSpec(PUBLISHER, SHOP, {}).has_publisher
    assert not SweepSpec(SHOP, PUBLISHER, {}).has_publisher


def test_sweep_without_options_tries_every_crash_point_once_after_a_real_outage() -> None:
    spec = SweepSpec(SHOP, SHOP, {})
    assert (spec.edge, spec.only, spec.trials_max) == (None, None, None)
    assert (spec.crashes, spec.repeat, spec.fail_fast) == (1, 1, False)
    assert spec.downtime_s == DOWNTIME_S
    assert replace(spec, crashes=2) != spec
