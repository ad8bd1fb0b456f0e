"""Write the page of the crash tests of a session, also if several workers of xdist have run them."""

import itertools
import json
import os
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from resumectl.cli.report_files import write_file
from resumectl.judge.crash_points import crash_points
from resumectl.judge.judge import Judge
from resumectl.judge.stability import Judged, settled
from resumectl.model.codec import Plain, from_plain, to_plain
from resumectl.model.events import EVENT_SCHEMA
from resumectl.model.observation import Observation, observation_from_plain
from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.verdict import Judgement
from resumectl.report.page.html import page_html
from resumectl.report.page.sweep_page import SweepPage, sweep_page
from resumectl.report.sweep_result import sweep_result
from resumectl.runner.stored_sweep import StoredSweep


@dataclass(slots=True)
class Record:
    """The trials of one target.

    Attributes:
        spec: Sweep spec of the target.
        runs: Runs without a crash.
        trials: Observation and judgement of each trial.
        repeated: Judgements of the repetitions.
    """

    spec: SweepSpec
    runs: Sequence[Observation]
    trials: list[tuple[Observation, Judgement]] = field(default_factory=list)
    repeated: list[Judgement] = field(default_factory=list)

    def as_plain(self) -> Plain:
        """Return the record as plain data."""
        return {
            "spec": to_plain(self.spec),
            "runs": [run.as_plain() for run in self.runs],
            "trials": [[trial.as_plain(), to_plain(judged)] for trial, judged in self.trials],
            "repeated": [to_plain(each) for each in self.repeated],
        }


class Records:
    """The trials of one process, by target.

    Args:
        spool: Directory to which each trial is written at once, for another process; None to keep them.
    """

    def __init__(self, spool: Path | None = None) -> None:
        self._records: dict[str, Record] = {}
        self._spool = spool
        self._numbers = itertools.count(1)

    def add(
        self, spec: SweepSpec, judge: Judge, trials: Sequence[Observation], judged: Judged
    ) -> None:
        """Record trials that have been judged.

        Args:
            spec: Sweep spec of their target.
            judge: Judge of the trials.
            trials: Observations of the trials.
            judged: Judgements of the trials, and of their repetitions.
        """
        pairs = list(zip(trials, judged.trials, strict=True))
        new = Record(spec, judge.observed, pairs, list(judged.repeated))
        if self._spool is None:
            self._merge(new)
            return
        file = self._spool / f"{os.getpid()}-{next(self._numbers)}.json"
        file.write_text(json.dumps(new.as_plain()), encoding="utf-8")

    def _merge(self, new: Record) -> None:
        """Add the trials of a record to those of its target; its runs are the most complete ones."""
        key = json.dumps(to_plain(new.spec), sort_keys=True)
        record = self._records.setdefault(key, Record(new.spec, new.runs))
        record.runs = max(record.runs, new.runs, key=len)
        record.trials += new.trials
        record.repeated += new.repeated

    def load(self, files: Iterable[Path]) -> None:
        """Add the records that other processes have written.

        Args:
            files: Their files.
        """
        for file in files:
            self._merge(_read(json.loads(file.read_text(encoding="utf-8"))))

    def write_page(self, file: Path, directory: str) -> bool:
        """Write the page, and return whether there was anything to write.

        Args:
            file: The file.
            directory: Directory to which paths are relative.
        """
        pages = [_page(record, directory) for record in self._records.values()]
        if pages:
            write_file(file, page_html(pages).encode())
        return bool(pages)


def _read(plain: Mapping[str, Plain]) -> Record:
    trials = plain["trials"]
    runs, repeated = plain["runs"], plain["repeated"]
    assert isinstance(trials, list)
    assert isinstance(runs, list)
    assert isinstance(repeated, list)
    return Record(
        from_plain(SweepSpec, plain["spec"]),
        [observation_from_plain(run) for run in runs],
        [
            (observation_from_plain(trial), from_plain(Judgement, judged))
            for trial, judged in trials
        ],
        [from_plain(Judgement, each) for each in repeated],
    )


def _page(record: Record, directory: str) -> SweepPage:
    spec = record.spec
    judge = Judge.of_observed(spec.promises, record.runs)
    every = [str(plan) for plan in crash_points(judge.baseline.transitions)]
    place = {plan: number for number, plan in enumerate(every)}
    trials = sorted(record.trials, key=lambda pair: place.get(pair[1].plan, len(every)))
    judged = settled([judgement for _, judgement in trials], record.repeated)
    observed = {trial.plan: trial for trial, _ in reversed(trials)}
    return sweep_page(
        sweep_result(
            _stored(spec, every, [trial for trial, _ in trials]),
            judged,
            judge,
            observed,
            contacts=sum((run.contacts for run in (*record.runs, *observed.values())), Counter()),
        ),
        judge,
        enumerate([trial for trial, _ in trials], start=1),
        directory,
    )


def _stored(spec: SweepSpec, every: Sequence[str], trials: Sequence[Observation]) -> StoredSweep:
    return StoredSweep(
        id=0,
        target=str(spec.target),
        stored_spec={"schema": EVENT_SCHEMA, **to_plain(spec)},
        started_at_ms=0,
        crash_points=len(every),
        seconds=sum(trial.seconds for trial in trials),
        verdicts=None,
        planned=len(trials),
        trials=len(trials),
    )
