"""Hold the results of crash tests: one trial, or the trials of all crash points."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from resumectl.model.observation import Observation
from resumectl.model.verdict import Exposure, Finding, Judgement, Verdict


class PromiseBroken(AssertionError):
    """A crash broke a promise, or nothing was proved. Its text shows the trial as `replay` does."""


@dataclass(frozen=True, slots=True)
class CrashTrial:
    """One trial: the target was killed at one crash point, and recovered.

    Attributes:
        plan: Crash plan, such as `after:checkout-1/step-1`.
        judgement: Judgement of the trial.
        observation: Everything that was observed, with names for workflows without an id.
        describe: Function that returns the trial as text, as `resumectl replay` shows it.

    Example:
        >>> from resumectl.testing import crash_points
        >>> @crash_points("shop.py:checkout", args=["order-1"])
        ... def test_checkout_survives_any_crash(trial):
        ...     assert trial.findings == ()
    """

    plan: str
    judgement: Judgement
    observation: Observation
    describe: Callable[[], str]

    @property
    def verdict(self) -> Verdict:
        """Verdict on the trial."""
        return self.judgement.verdict

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Differences that a promise forbids."""
        return self.judgement.findings

    @property
    def exposures(self) -> tuple[Exposure, ...]:
        """Repetitions that the promises allow."""
        return self.judgement.exposures

    def assert_kept(self) -> None:
        """Check that every promise held.

        Raises:
            PromiseBroken: One did not, or nothing was proved.
        """
        __tracebackhide__ = True
        if self.verdict is not Verdict.KEPT:
            raise PromiseBroken(self.describe())


@dataclass(frozen=True, slots=True)
class CrashSweep:
    """The trials of all crash points of a target.

    Attributes:
        trials: One trial for each crash point.
        describe: Function that returns the findings as text, as `resumectl sweep` shows them.

    Example:
        >>> from resumectl.testing import crash_sweep
        >>> def test_checkout_survives_any_crash():
        ...     crash_sweep("shop.py:checkout", args=["order-1"]).assert_kept()
    """

    trials: Sequence[CrashTrial]
    describe: Callable[[], str]

    @property
    def findings(self) -> tuple[Finding, ...]:
        """Differences that a promise forbids, each once."""
        return tuple(dict.fromkeys(each for trial in self.trials for each in trial.findings))

    def assert_kept(self) -> None:
        """Check that every promise held at every crash point.

        Raises:
            PromiseBroken: One did not, or a trial proved nothing.
        """
        __tracebackhide__ = True
        if any(trial.verdict is not Verdict.KEPT for trial in self.trials):
            raise PromiseBroken(self.describe())
