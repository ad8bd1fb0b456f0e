from resumectl.testing import crash_points


@crash_points("naive")
def test_naive(trial):
    trial.assert_kept()


@crash_points("idempotent")
def test_idempotent(trial):
    trial.assert_kept()


@crash_points("exactly-once")
def test_exactly_once(trial):
    trial.assert_kept()
