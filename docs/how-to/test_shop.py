from resumectl.testing import crash_points, exactly_once


@crash_points("shop.py:checkout", args=["order-1"], promises={"charge": exactly_once})
def test_checkout_survives_any_crash(trial):
    trial.assert_kept()
