"""A target runs in the application's own interpreter, which has dbos and nothing of resumectl's."""

import json
import os
import shutil
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import make_docs
import pytest
from application_environment import make_environment
from conftest import CHECKOUT, Workspace, swept
from killed_sweep import kill_sweep_after
from shared_trials import prove

from resumectl.errors import ExitCode, NothingProved, Refusal
from resumectl.model.interpreter import Interpreters, Source
from resumectl.model.target import Target
from resumectl.runner.interpreter_description import Candidate, describe
from resumectl.runner.interpreters import find_interpreter, interpreters_here

# Further interpreters, of environments that hold dbos alone; the gate makes one for each release.
PYTHONS = os.environ.get("RESUMECTL_TEST_PYTHONS", "").split()

LOOKING = """
import importlib
import sys

from dbos import DBOS, SetWorkflowID
from resumectl import Scenario, effect

def found(name):
    try:
        return importlib.import_module(name).__file__
    except ImportError:
        return ""

@DBOS.step()
def look():
    effect("looked")
    return [found(name) for name in ("sqlalchemy", "psycopg", "dbos", "typer", "rich", "alembic")]

@DBOS.workflow()
def work():
    return look()

def request():
    with SetWorkflowID("work-1"):
        return [sys.prefix, *work()]

scenario = Scenario(request=request)
"""


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the interpreter of an environment that holds dbos alone."""
    return make_environment(tmp_path_factory.mktemp("application") / ".venv")


def path_of(request: pytest.FixtureRequest, python: str) -> str:
    """Return the path of an interpreter; `environment` names the fixture."""
    return str(request.getfixturevalue(python)) if python == "environment" else python


def answer_of(workspace: Workspace, *options: str) -> Any:
    """Return what a scenario of looking.py answered in the last process of a trial."""
    document = workspace.document("replay", "before:work-1/step-1", "looking.py:scenario", *options)
    events = document["observation"]["processes"][-1]["events"]
    (ended,) = [each for each in events if each["kind"] == "request-ended"]
    return ended["value"]


@pytest.mark.parametrize("isolation", ["fork", "spawn"])
def test_only_the_environment_of_the_application_is_visible(
    sqlite_workspace: Workspace, environment: Path, isolation: str
) -> None:
    (sqlite_workspace.directory / "looking.py").write_text(LOOKING)
    prefix, *files = answer_of(
        sqlite_workspace, "--python", str(environment), "--isolation", isolation
    )
    assert Path(prefix) == environment.parents[1]
    own, other = files[:3], files[3:]
    assert all(each.startswith(f"{environment.parents[1]}/") for each in own), own
    assert other == ["", "", ""]


@pytest.mark.parametrize("python", [*PYTHONS, "environment"])
def test_verdicts_are_those_of_resumectls_own_interpreter(
    request: pytest.FixtureRequest, sqlite_workspace: Workspace, python: str
) -> None:
    path = path_of(request, python)
    (sqlite_workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    found = swept(
        sqlite_workspace, "shop.py:checkout", "--args", '["order-1"]', "--python", path,
        "--promise", "charge=exactly-once", code=ExitCode.PROMISE_BROKEN,
    )  # fmt: skip
    assert found["interpreter"]["path"] == path
    assert not found["interpreter"]["is_own"]
    assert found["verdicts"]["BROKEN"] == 1
    assert found["verdicts"]["KEPT"] == found["crash_points"] - 1 == 7
    assert {each["plan"] for each in found["findings"]} == {"before:checkout-1/step-1"}
    ran = sqlite_workspace.run(
        "replay", "after:checkout-1/step-1", "shop.py:checkout", "--args", '["order-1"]',
        "--python", path, "--json",
    )  # fmt: skip
    assert (ran.code, ran.document["verdict"]) == (ExitCode.DONE, "KEPT")


@pytest.mark.parametrize("python", PYTHONS[1:2] or ["environment"])  # the newest DBOS 2
def test_processes_after_the_kill_have_an_interpreter_of_their_own(
    request: pytest.FixtureRequest, sqlite_workspace: Workspace, python: str
) -> None:
    """As in an upgrade of DBOS, which migrates the database at its next launch."""
    path = path_of(request, python)
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    found = swept(
        workspace, "shop.py:checkout", "--args", '["order-1"]', "--app-version", "1",
        "--python", path, "--resume-python", sys.executable,
        "--promise", "charge=exactly-once", code=ExitCode.PROMISE_BROKEN,
    )  # fmt: skip
    before, after = found["interpreter"], found["interpreter_after_crash"]
    assert (before["path"], after["path"]) == (path, sys.executable)
    assert (before["is_own"], after["is_own"]) == (False, True)
    assert (found["reached"], found["verdicts"]["KEPT"]) == (8, 7)
    assert {each["plan"] for each in found["findings"]} == {"before:checkout-1/step-1"}
    ran = workspace.run(
        "replay", "after:checkout-1/step-1", "shop.py:checkout", "--args", '["order-1"]',
        "--app-version", "1", "--python", path, "--resume-python", sys.executable, "--json",
    )  # fmt: skip
    assert (ran.code, ran.document["verdict"]) == (ExitCode.DONE, "KEPT")
    # A migration is no transition of the program.
    observed = ran.document["observation"]["processes"][1]["events"]
    names = [f["name"] for e in observed if e["kind"] == "committed" for f in e["facts"]]
    assert names
    assert all(name.startswith("checkout-1/") for name in names)


def test_only_the_processes_after_the_kill_run_in_the_other_interpreter(
    sqlite_workspace: Workspace, environment: Path
) -> None:
    (sqlite_workspace.directory / "looking.py").write_text(LOOKING)
    options = ("--python", str(environment), "--resume-python", sys.executable)
    assert answer_of(sqlite_workspace, *options)[0] == sys.prefix


CHILD = """
import uuid
from dbos import DBOS, SetWorkflowID

@DBOS.workflow()
def child():
    return "done"

@DBOS.workflow()
def parent():
    with SetWorkflowID(str(uuid.uuid4())):
        return DBOS.start_workflow(child).get_result()
"""


TRANSACTION = """
import os
import sqlalchemy as sa
from dbos import DBOS, SetWorkflowID
from resumectl import Scenario

@DBOS.transaction()
def book(order):
    DBOS.sql_session.execute(sa.text("INSERT INTO orders VALUES (:id)"), {"id": order})

@DBOS.workflow()
def checkout(order):
    book(order)

def connect():
    return sa.create_engine(os.environ["DB"]).begin()

def prepare():
    with connect() as connection:
        connection.execute(sa.text("CREATE TABLE orders (id TEXT)"))

def request():
    with SetWorkflowID("checkout-1"):
        checkout("order-1")

def observe():
    with connect() as connection:
        return connection.scalar(sa.text("SELECT count(*) FROM orders"))

scenario = Scenario(request=request, prepare=prepare, observe=observe)
"""


# What a program of DBOS 2 has that DBOS 3 has not, and what both have.
WIDE = """
import asyncio
from dbos import DBOS, Queue, SetWorkflowID
from resumectl import Scenario, effect

queue = Queue("orders", concurrency=2)

@DBOS.step()
async def pack(order):
    effect("pack", order)
    return f"{order} is packed"

@DBOS.workflow()
async def packing(order):
    return await pack(order)

@DBOS.workflow()
def shipping(order):
    DBOS.write_stream("log", order)
    DBOS.set_event("state", "shipped")
    return order

@DBOS.workflow()
def checkout(order):
    with SetWorkflowID(f"{order}-shipping"):
        handle = queue.enqueue(shipping, order)
    shipped = handle.get_result()
    return [shipped, DBOS.get_event(f"{order}-shipping", "state")]

def check_out():
    with SetWorkflowID("checkout-1"):
        return checkout("order-1")

async def request():
    shipped = await asyncio.to_thread(check_out)
    # Enqueued: up to 2.26, DBOS may execute it twice if a client calls it during its recovery.
    with SetWorkflowID("packing-1"):
        handle = await queue.enqueue_async(packing, "order-1")
    return [shipped, await handle.get_result()]

scenario = Scenario(request=request)
"""


PITFALLS = {
    "state_in_memory": "diverged",
    "fire_and_forget_thread": "lost",
    "effect_in_the_workflow_body": "duplicated",
}


@pytest.mark.slow
@pytest.mark.parametrize("python", [*PYTHONS, "environment"])
def test_programs_are_judged_under_every_release(
    request: pytest.FixtureRequest, tmp_path: Path, python: str
) -> None:
    path = path_of(request, python)
    for pitfall, kind in PITFALLS.items():
        program = CHECKOUT / "examples" / "pitfalls" / f"{pitfall}.py"
        assert kind in prove(program, "mistake", until={kind}, python=path).kinds
    assert prove(program, "corrected", python=path).is_kept
    release = describe(Candidate(Path(path), Source.OPTION)).dbos
    program = tmp_path / "family.py"
    program.write_text(CHILD)
    # Up to 3.0, the start of a child and its parent's record of it are two commits.
    is_older = release.startswith(("2.", "3.0."))
    kinds = prove(program, "parent", python=path, until={"unexpected"}).kinds
    assert kinds == ({"unexpected"} if is_older else set())
    if release.startswith("2."):
        program = tmp_path / "wide.py"
        program.write_text(WIDE)
        assert prove(program, "scenario", python=path).is_kept
        program = tmp_path / "shop.py"
        program.write_text(TRANSACTION)
        proved = prove(program, "scenario", environ={"DB": "{database_url}"}, python=path)
        assert proved.is_kept
        # `@DBOS.transaction` is of DBOS 2: its rows and its record share one commit.
        names = {plan.partition(":")[2] for plan in proved.crash_points}
        assert names & {"orders/inserted", "checkout-1/transaction-1"}
        assert len(proved.crash_points) == 8


def test_environment_is_found(sqlite_workspace: Workspace, environment: Path) -> None:
    """By the most explicit of what names one."""
    usual = {k: v for k, v in sqlite_workspace.environ.items() if k != "VIRTUAL_ENV"}
    workspace = replace(sqlite_workspace, environ=usual)
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())

    def source(*options: str, **environ: str) -> str:
        there = replace(workspace, environ={**usual, **environ})
        document = there.document("points", "shop.py:checkout", "--args", '["order-1"]', *options)
        found = document["interpreter"]
        assert found["is_own"] == (Path(found["path"]) == Path(sys.executable))
        return str(found["source"])

    assert source() == "resumectl's own"
    (workspace.directory / "pyproject.toml").touch()
    (workspace.directory / ".venv").symlink_to(environment.parents[1])
    assert source() == "the program's .venv"
    active = {"VIRTUAL_ENV": str(environment.parents[1])}
    assert source(**active) == "the active virtual environment"
    named = {"RESUMECTL_PYTHON": str(environment)}
    assert source(**active, **named) == "RESUMECTL_PYTHON"
    assert source("--python", sys.executable, **active, **named) == "--python"


def test_each_process_of_a_sweep_asks_its_own_machine_for_the_interpreter(
    sqlite_workspace: Workspace, tmp_path: Path
) -> None:
    usual = {k: v for k, v in sqlite_workspace.environ.items() if k != "VIRTUAL_ENV"}
    workspace = replace(sqlite_workspace, environ=usual)
    python = make_environment(tmp_path / "application")
    there = replace(workspace, environ={**usual, "VIRTUAL_ENV": str(python.parents[1])})
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    kill_sweep_after(there, "keep", 1, "shop.py:checkout", "--args", '["order-1"]')

    (site,) = python.parents[1].glob("lib/python3*/site-packages")
    (described,) = site.glob("dbos-*.dist-info")
    release = described.name.removeprefix("dbos-").removesuffix(".dist-info")
    described.unlink()
    (site / "dbos-3.0.1.dist-info").mkdir()
    (site / "dbos-3.0.1.dist-info" / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: dbos\nVersion: 3.0.1\n"
    )
    refused = there.run("resume")
    assert refused.code == ExitCode.NOTHING_PROVED, refused
    here = f"{python} (from the active virtual environment) has Python"
    assert here in refused.err
    assert f"DBOS {release}, SQLAlchemy" in refused.err
    assert "DBOS 3.0.1, SQLAlchemy" in refused.err
    assert "install these releases there again" in refused.err

    # On a machine that has no such path.
    shutil.rmtree(python.parents[1])
    (found,) = workspace.document("resume")["sweeps"]
    assert found["verdicts"] == {"KEPT": 8, "BROKEN": 0, "UNSTABLE": 0, "VOID": 0}
    assert found["interpreter"]["source"] == "the active virtual environment"  # where it began


def test_sweep_goes_on_in_the_environment_in_which_it_began(
    environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for variable in ("VIRTUAL_ENV", "RESUMECTL_PYTHON"):
        monkeypatch.delenv(variable, raising=False)
    begun = describe(Candidate(environment, Source.ACTIVE))
    target = Target(entry=(str(tmp_path / "shop.py"), "checkout"))
    assert interpreters_here(Interpreters.alike(begun), target) == Interpreters.alike(begun)
    removed = replace(begun, path="/removed/python", source=Source.OPTION)
    with pytest.raises(
        NothingProved, match=r"/removed/python .from --python., which does not exist"
    ):
        interpreters_here(Interpreters(removed, begun), target)
    later = replace(begun, path="/removed/python", source=Source.LATER_OPTION)
    with pytest.raises(Refusal, match=r"/removed/python .from --resume-python. does not exist"):
        interpreters_here(Interpreters(begun, later), target)
    other = replace(begun, sqlalchemy="2.0.1")
    with pytest.raises(NothingProved, match=r"SQLAlchemy 2\.0\.1, and .* has Python"):
        interpreters_here(Interpreters.alike(other), target)
    monkeypatch.setenv("RESUMECTL_PYTHON", str(environment))
    found = interpreters_here(Interpreters.alike(removed), target)
    assert found is not None
    assert found.first.path == found.later.path == str(environment)


def test_script_around_the_own_interpreter_is_run(tmp_path: Path) -> None:
    script = tmp_path / "python"
    script.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    assert not describe(Candidate(script, Source.OPTION)).is_own


def test_process_that_an_interpreter_leaves_behind_is_not_waited_for(
    environment: Path, tmp_path: Path
) -> None:
    script = tmp_path / "python"
    left = tmp_path / "left"
    script.write_text(f'#!/bin/sh\nsleep 600 & echo $! >{left}\nexec {environment} "$@"\n')
    script.chmod(script.stat().st_mode | stat.S_IXUSR)
    try:
        assert describe(Candidate(script, Source.OPTION)).dbos
    finally:
        os.kill(int(left.read_text()), signal.SIGKILL)


def test_command_and_home_directory_name_an_interpreter(
    environment: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(environment.parent))
    monkeypatch.setenv("HOME", str(environment.parent))
    for given in ("python3", "~/python3"):
        found = find_interpreter(given, tmp_path, {})
        assert found.path == str(environment.with_name("python3"))


def test_environment_of_a_workspace_is_found_above_a_member(
    environment: Path, tmp_path: Path
) -> None:
    member = tmp_path / "member"
    member.mkdir()
    for directory in (tmp_path, member):
        (directory / "pyproject.toml").touch()
    (tmp_path / ".venv").symlink_to(environment.parents[1])
    found = find_interpreter(None, member / "shop.py", {})
    assert (found.path, found.source) == (str(tmp_path / ".venv/bin/python"), Source.PROJECT)


BAD = {
    "missing": (None, "does not exist"),
    "no program": ("hello", "cannot be run"),
    "no Python": ("#!/bin/sh\necho sorry >&2\nexit 3\n", "does not run as Python: sorry"),
    "too old": (
        '#!/bin/sh\necho \'{"python": "3.9.18", "prefix": "/"}\' >/proc/self/fd/$2\n',
        "is Python 3.9.18, and 3.10 or later is needed",
    ),
    "no dbos": (
        '#!/bin/sh\necho \'{"python": "3.12.1", "prefix": "/", "shadow": "", "sqlalchemy": "", "dbos": ""}\' >/proc/self/fd/$2\n',
        "has no dbos",
    ),
    "old SQLAlchemy": (
        '#!/bin/sh\necho \'{"python": "3.12.1", "prefix": "/", "shadow": "", "dbos": "2.20.0", "sqlalchemy": "1.4.5"}\' >/proc/self/fd/$2\n',
        "has SQLAlchemy 1.4.5, and 2.0 or later is needed",
    ),
    "another dbos": (
        '#!/bin/sh\necho \'{"python": "3.12.1", "prefix": "/", "shadow": "", "sqlalchemy": "2.0.1", "dbos": "1.13.0"}\' >/proc/self/fd/$2\n',
        "has dbos 1.13.0; supported are 2.13 to 2.31, and 3.0 or a later 3.x",
    ),
}


@pytest.mark.parametrize("option", ["--python", "--resume-python"])
@pytest.mark.parametrize(("text", "what"), BAD.values(), ids=list(BAD))
def test_interpreter_that_cannot_run_a_target_is_refused(
    sqlite_workspace: Workspace, text: str | None, what: str, option: str
) -> None:
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    python = workspace.directory / "bin" / "python"
    python.parent.mkdir()
    if text is not None:
        python.write_text(text)
        python.chmod(python.stat().st_mode | stat.S_IXUSR)
    ran = workspace.run("sweep", "shop.py:checkout", option, str(python))
    assert ran.code in (ExitCode.REFUSED, ExitCode.MACHINE_FAILED), ran
    assert f"{python} (from {option}) {what}" in ran.err
    assert f"name another one:  {option} PATH" in ran.err
    assert "Traceback" not in ran.err


def test_environment_whose_python_was_removed_is_not_passed_over(
    sqlite_workspace: Workspace,
) -> None:
    usual = {k: v for k, v in sqlite_workspace.environ.items() if k != "VIRTUAL_ENV"}
    workspace = replace(sqlite_workspace, environ=usual)
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    (workspace.directory / "pyproject.toml").touch()
    environment = workspace.directory / ".venv"
    (environment / "bin").mkdir(parents=True)
    (environment / "pyvenv.cfg").touch()
    ran = workspace.run("points", "shop.py:checkout")
    assert ran.code == ExitCode.REFUSED
    assert f"{environment}/bin/python (from the program's .venv) does not exist" in ran.err
    (environment / "bin" / "python").symlink_to("/removed/python3")
    ran = workspace.run("points", "shop.py:checkout")
    assert ran.code == ExitCode.REFUSED
    assert "is a link to /removed/python3, which leads to no file" in ran.err


def test_variable_for_the_home_of_another_python_is_named(
    sqlite_workspace: Workspace, tmp_path: Path
) -> None:
    workspace = replace(
        sqlite_workspace, environ={**sqlite_workspace.environ, "PYTHONHOME": sys.base_prefix}
    )
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Fatal Python error: no codec' >&2\necho bye >&2\nexit 1\n")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    ran = workspace.run("points", "shop.py:checkout", "--python", str(python))
    assert ran.code == ExitCode.REFUSED
    assert "does not start where PYTHONHOME is set: Fatal Python error: no codec" in ran.err
    assert "unset PYTHONHOME" in ran.err


def test_other_python_of_the_same_directory_is_another_interpreter(tmp_path: Path) -> None:
    """As /usr/bin has several, all with the prefix /usr."""
    python = tmp_path / "python"
    about = {"python": "3.12.99", "prefix": sys.prefix, "shadow": "", "dbos": "3.4.0"}
    python.write_text(
        f"#!/bin/sh\necho '{json.dumps({**about, 'sqlalchemy': '2.1'})}' >/proc/self/fd/$2\n"
    )
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    assert not describe(Candidate(python, Source.OPTION)).is_own
    missing = Path(sys.executable).with_name("no-such-python")
    with pytest.raises(Refusal, match="does not exist"):
        find_interpreter(str(missing), tmp_path, {})


def test_output_at_the_start_of_the_interpreter_is_no_answer(
    sqlite_workspace: Workspace, environment: Path
) -> None:
    """As of a sitecustomize that greets."""
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    (site,) = environment.parents[1].glob("lib/python3*/site-packages")
    greeting = site / "greeting.pth"
    greeting.write_text("import sys; print('hello'); print('hello', file=sys.stderr)\n")
    try:
        document = workspace.document(
            "points", "shop.py:checkout", "--args", '["order-1"]', "--python", str(environment)
        )
    finally:
        greeting.unlink()
    assert len(document["crash_points"]) == 8


def test_interpreter_that_cannot_import_dbos_is_refused(
    sqlite_workspace: Workspace, tmp_path: Path
) -> None:
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    python = make_environment(tmp_path / "broken")
    (site,) = python.parents[1].glob("lib/python3*/site-packages")
    (site / "dbos").unlink()
    (site / "dbos").mkdir()
    (site / "dbos" / "__init__.py").write_text("raise RuntimeError('out of order')\n")
    ran = workspace.run("points", "shop.py:checkout", "--python", str(python))
    assert ran.code == ExitCode.MACHINE_FAILED
    assert ran.err == (
        f"error: {python} cannot import dbos: RuntimeError: out of order\n"
        f"next:  see why:  {python} -c 'import dbos'\n"
    )


def test_package_with_the_name_of_resumectl_is_refused(
    sqlite_workspace: Workspace, environment: Path
) -> None:
    workspace = sqlite_workspace
    (workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    (site,) = environment.parents[1].glob("lib/python3*/site-packages")
    other = site / "resumectl.py"
    other.touch()
    try:
        ran = workspace.run("points", "shop.py:checkout", "--python", str(environment))
    finally:
        other.unlink()
    assert ran.code == ExitCode.REFUSED, ran
    assert f"{site}/resumectl has the name of resumectl's own package" in ran.err


def test_publisher_runs_in_resumectls_own_interpreter(
    sqlite_workspace: Workspace, environment: Path
) -> None:
    ran = sqlite_workspace.run("points", "--python", str(environment), "--json")
    assert ran.code == ExitCode.REFUSED
    assert "leave out  --python" in ran.err
    assert "the built-in publisher runs in resumectl's own interpreter" in ran.err
    assert json.loads(ran.out)["error"]
