"""Compiled libraries are kept where PYTHONDONTWRITEBYTECODE is set; modules of a program never are."""

import os
import shutil
import subprocess
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import Workspace

SHOW = """
import sys
from resumectl.compiled_files import keep_compiled_libraries, stop_keeping

keep_compiled_libraries()
import dbos
print(dbos.VALUE, dbos.__cached__, sys.dont_write_bytecode)
stop_keeping()
import program
print(sys.dont_write_bytecode, sys.pycache_prefix)
"""


@pytest.fixture
def site(tmp_path: Path) -> Path:
    """A directory with another dbos, which is installed there and not compiled, and a program."""
    directory = tmp_path / "site"
    (directory / "dbos").mkdir(parents=True)
    (directory / "dbos-1.0.dist-info").mkdir()
    (directory / "dbos" / "__init__.py").write_text("VALUE = 'one'\n")
    (directory / "program.py").write_text("")
    return directory


def show(site: Path, cache: Path, **environ: str) -> list[str]:
    """The words that the lines above print."""
    given = {"PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(site)}
    ran = subprocess.run(
        [sys.executable, "-c", SHOW], env=given | environ, capture_output=True, text=True
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def kept_in(cache: Path) -> dict[str, Path]:
    """The compiled modules in the cache, by name."""
    return {path.name.partition(".")[0]: path for path in cache.rglob("*.pyc")}


def test_a_library_is_kept_and_a_program_is_not(site: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    value, cached, writes_none, *after = show(site, cache)
    assert (value, writes_none, after) == ("one", "False", ["True", "None"])
    kept = kept_in(cache)
    assert Path(cached) == next(path for path in kept.values() if "dbos" in path.parts)
    assert "program" not in kept
    assert not list(site.rglob("*.pyc")), "a compiled file next to the sources"


def test_what_is_kept_is_read_again(site: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    show(site, cache)
    source = site / "dbos" / "__init__.py"
    before = source.stat()
    source.write_text("VALUE = 'two'\n")  # the same size, and the same time: Python cannot tell
    os.utime(source, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert show(site, cache)[0] == "one"
    (site / "dbos-1.0.dist-info").rename(site / "dbos-1.1.dist-info")
    assert show(site, cache)[0] == "two", "another release is compiled anew"
    assert len(list((cache / "resumectl" / "compiled").glob("*/*"))) == 1, "the old one is deleted"


@pytest.mark.parametrize("left", [16, 17, 40])  # bytes; the header alone has 16
def test_damaged_file_is_compiled_again(site: Path, tmp_path: Path, left: int) -> None:
    cache = tmp_path / "cache"
    show(site, cache)
    (kept,) = (path for path in kept_in(cache).values() if "dbos" in path.parts)
    whole = kept.read_bytes()
    kept.write_bytes(whole[:left])
    assert show(site, cache)[0] == "one"
    assert show(site, cache)[0] == "one"
    assert kept.read_bytes() == whole
    kept.write_bytes(whole[:16] + b"\x79" * 40)  # no code at all
    assert show(site, cache)[0] == "one"


@pytest.mark.parametrize(
    "environ",
    [{"PYTHONDONTWRITEBYTECODE": ""}, {"PYTHONPYCACHEPREFIX": "elsewhere"}],
    ids=["Python writes", "the user has a place"],
)
def test_nothing_is_kept_where_python_does_as_usual(
    site: Path, tmp_path: Path, environ: dict[str, str]
) -> None:
    cache = tmp_path / "cache"
    given = {name: str(tmp_path / text) if text else "" for name, text in environ.items()}
    show(site, cache, **given)
    assert not cache.exists()


def test_nothing_is_kept_where_the_libraries_are_compiled(site: Path, tmp_path: Path) -> None:
    subprocess.run([sys.executable, "-m", "compileall", "-q", str(site / "dbos")], check=True)
    assert show(site, tmp_path / "cache")[2] == "True"
    assert not (tmp_path / "cache").exists()


def test_no_place_to_keep_them_is_no_error(site: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert show(site, tmp_path / "file")[2] == "True"
    at_home = {"HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": ""}
    assert show(site, tmp_path, **at_home)[2] == "True"


@pytest.mark.slow
@pytest.mark.parametrize("isolation", ["fork", "spawn"])
def test_processes_of_a_program_keep_dbos_and_not_the_program(
    sqlite_workspace: Workspace, tmp_path: Path, isolation: str
) -> None:
    spec = find_spec("dbos")
    assert spec is not None
    assert spec.origin is not None
    libraries, cache = tmp_path / "libraries", tmp_path / "cache"
    shutil.copytree(
        Path(spec.origin).parent, libraries / "dbos", ignore=shutil.ignore_patterns("__pycache__")
    )
    directory = sqlite_workspace.directory
    (directory / "short.py").write_text(
        "from dbos import DBOS\n\n@DBOS.workflow()\ndef short() -> str:\n    return 'done'\n"
    )
    environ = {
        "PYTHONDONTWRITEBYTECODE": "1", "XDG_CACHE_HOME": str(cache), "PYTHONPATH": str(libraries),
    }  # fmt: skip
    there = replace(sqlite_workspace, environ={**sqlite_workspace.environ, **environ})
    there.ok("replay", "before:short-1/succeeded", "short.py:short", "--isolation", isolation)
    kept = kept_in(cache)
    assert {"_dbos", "fork_server", "target_process"} <= kept.keys()
    assert "short" not in kept
    assert not list(libraries.rglob("*.pyc")) + list(directory.rglob("*.pyc"))
