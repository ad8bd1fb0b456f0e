"""The interpreter of a target is found where users keep it, and refused if it cannot run the target."""

import json
import os
import shutil
import signal
import stat
import sys
from dataclasses import replace
from pathlib import Path

import make_docs
import pytest
from application_environment import make_environment
from conftest import Workspace
from killed_sweep import kill_sweep_after

from resumectl.errors import ExitCode, NothingProved, Refusal
from resumectl.model.interpreter import Interpreters, Source
from resumectl.model.target import Target
from resumectl.runner.interpreter_description import Candidate, describe
from resumectl.runner.interpreters import find_interpreter, interpreters_here


@pytest.mark.slow
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


@pytest.mark.slow
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
