"""Hook crash tests into pytest. It loads nothing until a test uses them."""

import functools
import os
import shutil
import tempfile
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from resumectl.testing import current
from resumectl.testing.declare import MARK, Declared, crash_sweep

if TYPE_CHECKING:
    from resumectl.errors import Refusal
    from resumectl.model.crash_plan import CrashPlan
    from resumectl.testing.results import CrashTrial
    from resumectl.testing.session import CrashSession, CrashTarget

_FIXTURE = "trial"
# What xdist's controller sends to its workers: width of the terminal, and directory for their trials.
_WIDTH, _SPOOL = "resumectl_width", "resumectl_spool"
_NOTES = "resumectl_notes"  # what a worker sends back
_DATABASES = ("sqlite", "postgres")
_state = pytest.StashKey["_State"]()


@dataclass
class _State:
    """The crash tests of one configuration of pytest."""

    session: "CrashSession | None" = None
    provider: "Callable[[], CrashSession] | None" = None
    # Directory in which workers of xdist leave their trials for the page.
    spool: "tempfile.TemporaryDirectory[str] | None" = None
    # Lines about targets, for the end of the session.
    notes: set[str] = field(default_factory=set)
    is_page_written: bool = False


@dataclass(frozen=True)
class _Param:
    """One crash test: its target and plan; or why its target has no crash points."""

    target: "CrashTarget | None"
    plan: "CrashPlan | None"
    refusal: "Refusal | None"


# --- options


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of crash tests."""
    group = parser.getgroup("crash tests", "crash tests of DBOS programs (resumectl)")
    group.addoption(
        "--crash-max",
        type=int,
        metavar="N",
        help="maximum number of crash points of each target; a random sample (default: all)",
    )
    group.addoption(
        "--crash-seed", type=int, metavar="N", help="random seed of that sample (default: 1)"
    )
    group.addoption(
        "--crash-on", choices=_DATABASES, help="database of each trial (default: sqlite)"
    )
    group.addoption(
        "--crash-html", metavar="FILE", help="write the trials as a page of HTML, with drawings"
    )
    group.addoption("--no-crash", action="store_true", help="leave out all crash tests")
    parser.addini("crash_max", "maximum number of crash points of each target")
    parser.addini("crash_seed", "random seed of that sample")
    parser.addini("crash_on", "database of each trial: sqlite or postgres", default="sqlite")
    parser.addini("crash_html", "file for a page of HTML with the trials")
    parser.addini("no_crash", "leave out all crash tests", type="bool", default=False)


def pytest_configure(config: pytest.Config) -> None:
    """Check the options, register the marker, and remember the configuration."""
    for name in ("crash_max", "crash_seed"):
        _number(config, name)
    _option(config, "crash_on")
    _check_page_file(config)
    config.addinivalue_line(
        "markers",
        f"{MARK}(target, **options): run the test once for each crash point of a DBOS program",
    )
    provider = functools.partial(_session_of_test, config)
    config.stash[_state] = _State(provider=provider)
    current.providers.append(provider)


def pytest_unconfigure(config: pytest.Config) -> None:
    """End the processes of the session."""
    state = config.stash.get(_state, _State())  # its options may have been refused
    if state.session is not None:
        state.session.close()
    file = _page_file(config)
    is_worker = hasattr(config, "workerinput")
    if file is not None and _state in config.stash and not (is_worker or state.is_page_written):
        _write_page(config, file)  # nothing is shown, as with -p no:terminal
    if state.spool is not None:
        state.spool.cleanup()
    if state.provider in current.providers:
        current.providers.remove(state.provider)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Send a worker of xdist the width of the terminal, and the directory for its trials."""
    node.workerinput[_WIDTH] = shutil.get_terminal_size().columns
    if _page_file(node.config) is not None:
        state = node.config.stash[_state]
        if state.spool is None:
            state.spool = tempfile.TemporaryDirectory(prefix="resumectl-")
        node.workerinput[_SPOOL] = state.spool.name


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the controller of xdist what this worker says of its targets."""
    worker, state = getattr(session.config, "workerinput", None), session.config.stash[_state]
    if worker is None or state.session is None:
        return
    output: dict[str, Any] = session.config.workeroutput  # type: ignore[attr-defined]
    output[_NOTES] = sorted(state.session.notes)


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Take over what a worker of xdist says of its targets."""
    output = getattr(node, "workeroutput", {})  # a worker that was killed has none
    node.config.stash[_state].notes.update(output.get(_NOTES, ()))


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Say what is to be known of the targets; write the page, and say where it is."""
    state, file = config.stash[_state], _page_file(config)
    if state.session is not None:
        state.notes.update(state.session.notes)
    for note in sorted(state.notes):
        terminalreporter.write_line(f"crash tests: {note}")
    if file is not None:
        terminalreporter.write_line(f"crash tests: {_write_page(config, file)}")


def _write_page(config: pytest.Config, file: Path) -> str:
    """Write the page, and return what became of it."""
    from resumectl.errors import Refusal
    from resumectl.testing.page import Records

    state = config.stash[_state]
    state.is_page_written = True
    records = state.session.records if state.session is not None else Records()
    if state.spool is not None:
        records.load(sorted(Path(state.spool.name).glob("*.json")))
    try:
        is_written = records.write_page(file, str(config.rootpath))
    except Refusal as refusal:
        return refusal.what
    return f"{file} is written" if is_written else f"no trial was run, so {file} is not written"


def _session(config: pytest.Config) -> "CrashSession":
    state = config.stash[_state]
    if state.session is None:
        from resumectl.testing.session import CrashSession, SessionOptions

        worker = getattr(config, "workerinput", None)
        state.session = CrashSession(
            SessionOptions(
                root=config.rootpath,
                on=_option(config, "crash_on"),
                trials_max=_number(config, "crash_max"),
                seed=_number(config, "crash_seed"),
                # Under xdist, each worker runs a trial.
                jobs=1 if worker is not None else os.cpu_count() or 1,
                width=worker[_WIDTH] if worker is not None else shutil.get_terminal_size().columns,
                is_colored=worker is None and config.getoption("color", None) == "yes",
                is_recorded=_page_file(config) is not None,
                spool=Path(worker[_SPOOL]) if worker is not None and _SPOOL in worker else None,
            )
        )
    return state.session


def _session_of_test(config: pytest.Config) -> "CrashSession":
    """Return the session of a running test; skip the test with --no-crash."""
    if _is_off(config):
        pytest.skip("crash tests are left out: --no-crash")
    return _session(config)


def _is_off(config: pytest.Config) -> bool:
    return bool(config.getoption("no_crash") or config.getini("no_crash"))


def _option(config: pytest.Config, name: str) -> Any:
    given = config.getoption(name)
    if given is not None:
        return given
    value = config.getini(name)
    if name == "crash_on" and value not in _DATABASES:
        raise pytest.UsageError(f"crash_on = {value!r} is neither sqlite nor postgres")
    return value


def _page_file(config: pytest.Config) -> Path | None:
    given = config.getoption("crash_html") or config.getini("crash_html")
    return config.invocation_params.dir / str(given) if given else None


def _check_page_file(config: pytest.Config) -> None:
    file = _page_file(config)
    if file is None or hasattr(config, "workerinput"):
        return
    from resumectl.cli.report_files import check_file
    from resumectl.errors import Refusal

    try:
        check_file("crash-html", file)
    except Refusal as refusal:
        raise pytest.UsageError(f"{refusal.what}; {refusal.next_step}") from None


def _number(config: pytest.Config, name: str) -> int | None:
    value = _option(config, name)
    if value in (None, ""):
        return None
    if not str(value).isdecimal() or int(value) < 1:
        raise pytest.UsageError(f"{name} = {value!r} is not a number of 1 or more")
    return int(value)


# --- collection


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Make a test for each crash point of a target."""
    mark = metafunc.definition.get_closest_marker(MARK)
    if mark is None:
        return
    if _FIXTURE not in metafunc.fixturenames:
        raise pytest.Collector.CollectError(
            f"error: {metafunc.definition.nodeid} has crash points, and does not take the argument "
            f"{_FIXTURE}\nnext:  write  def {metafunc.function.__name__}({_FIXTURE})"
        )
    params = [_Param(None, None, None)]
    if not _is_off(metafunc.config):
        params = _params(metafunc, mark.args[0])
    ids = [str(param.plan) if param.plan is not None else "crash-points" for param in params]
    metafunc.parametrize(_FIXTURE, params, ids=ids, indirect=True)


def _params(metafunc: pytest.Metafunc, declared: Declared) -> list[_Param]:
    from resumectl.errors import Refusal

    session = _session(metafunc.config)
    try:
        target = session.target(declared, metafunc.module)
        return [_Param(target, plan, None) for plan in session.plans(target)]
    except Refusal as refusal:
        return [_Param(None, None, refusal)]


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out all crash tests with --no-crash."""
    if not _is_off(config):
        return
    left_out = [item for item in items if item.get_closest_marker(MARK) is not None]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


def pytest_collection_finish(session: pytest.Session) -> None:
    """Tell each target which of its crash points are tested, so that trials run ahead."""
    if hasattr(session.config, "workerinput"):
        return  # a worker of xdist runs some of the collected tests
    for item in session.items:
        param = _param_of(item)
        if param is not None and param.target is not None and param.plan is not None:
            param.target.expect([param.plan])


def _param_of(item: pytest.Item) -> _Param | None:
    call = getattr(item, "callspec", None)
    param = call.params.get(_FIXTURE) if call is not None else None
    return param if isinstance(param, _Param) else None


# --- tests


@pytest.fixture
def trial(request: pytest.FixtureRequest) -> "CrashTrial":
    """Run the trial of one crash point; for tests with `@crash_points`."""
    from resumectl.errors import Refusal

    param = getattr(request, "param", None)
    if not isinstance(param, _Param):
        pytest.fail("the fixture trial is for tests with @crash_points(TARGET)", pytrace=False)
    try:
        if param.refusal is not None:
            raise param.refusal
        assert param.target is not None
        assert param.plan is not None
        return param.target.trial(param.plan)
    except Refusal as refusal:
        lines = _lines_of(refusal)
    # Outside of the handler: pytest would show the refusal itself as well.
    pytest.fail("\n".join(lines), pytrace=False)


def _lines_of(refusal: "Refusal") -> list[str]:
    return [f"error: {refusal.what}", f"next:  {refusal.next_step}", *refusal.paste]


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_call(item: pytest.Item) -> None:
    """Refuse a crash test whose trial another fixture of that name has replaced."""
    param = _param_of(item)
    if param is None or param.refusal is not None:
        return
    from resumectl.testing.results import CrashTrial

    if not isinstance(getattr(item, "funcargs", {}).get(_FIXTURE), CrashTrial):
        pytest.fail(
            f"error: another fixture has the name {_FIXTURE}, and replaces the trial of crash tests\n"
            "next:  give that fixture another name",
            pytrace=False,
        )


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,  # noqa: ARG001 (pytest passes it)
    call: pytest.CallInfo[None],
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Show a broken promise as `replay` does, and a refused target in its two parts; no traceback."""
    report = yield
    error = call.excinfo.value if call.excinfo is not None else None
    if isinstance(error, AssertionError) and type(error).__name__ == "PromiseBroken":
        report.longrepr = str(error)
    elif call.excinfo is not None and (refusal := _refusal_of_sweep(call.excinfo)) is not None:
        report.longrepr = "\n".join(_lines_of(refusal))
    return report


def _refusal_of_sweep(found: pytest.ExceptionInfo[BaseException]) -> "Refusal | None":
    """Return the refusal that `crash_sweep` has raised in a test; None if it has raised none."""
    if all(entry.frame.code.raw is not crash_sweep.__code__ for entry in found.traceback):
        return None
    from resumectl.errors import Refusal

    return found.value if isinstance(found.value, Refusal) else None
