"""What would come late after an outage also comes late in the run that is compared with it."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest

from resumectl.probe import execution_context, late_writes
from resumectl.probe.late_writes import LateWrites


class Work:
    """Writes in the name of workflows, in this thread; counts the waits for silence."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._workflow: str | None = None
        self.silences = 0
        self.late = LateWrites(self._wait_for_silence)
        for module in (execution_context, late_writes):
            monkeypatch.setattr(module, "here", lambda: (self._workflow, None))

    def _wait_for_silence(self) -> None:
        self.silences += 1

    @contextmanager
    def of(self, workflow: str | None) -> Iterator[LateWrites]:
        self._workflow = workflow
        yield self.late
        self._workflow = None

    def is_late(self, workflow: str | None) -> bool:
        before = self.silences
        with self.of(workflow) as late:
            late.before_write()
        return self.silences > before


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Work:
    return Work(monkeypatch)


def pause(work: Work, own: str | None) -> None:
    """Let time pass at a write of one workflow, or of the client."""
    with work.of(own) as late, late.while_time_passes():
        pass


def test_client_is_late_as_soon_as_there_is_work(work: Work) -> None:
    assert not work.is_late(None)
    work.late.begin()
    assert work.is_late(None)


def test_client_is_late_in_the_threads_of_asyncio_too(work: Work) -> None:
    work.late.begin()
    with ThreadPoolExecutor() as pool:
        assert not pool.submit(work.is_late, None).result()  # such as DBOS's own threads

    async def request() -> bool:
        execution_context.begin_request()
        return await asyncio.to_thread(work.is_late, None)

    assert asyncio.run(request())


def test_workflow_that_works_while_time_passes_is_late_once(work: Work) -> None:
    for workflow in ("own", "writing"):
        assert not work.is_late(workflow)
    with work.of("in-step") as late:
        late.work_begins()
    pause(work, "own")
    assert not work.is_late("own")
    assert not work.is_late("new")
    assert work.is_late("in-step")
    assert not work.is_late("in-step")
    assert not work.is_late("writing")  # nothing else makes progress any more


def test_workflow_that_waits_in_dbos_is_not_late(work: Work) -> None:
    assert not work.is_late("waiting")
    pause(work, None)
    with work.of("waiting") as late:
        late.wait_has_ended()
    assert not work.is_late("waiting")
