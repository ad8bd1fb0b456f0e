"""What is recorded of an error in the target process, and how a hang is noticed."""

import linecache
import sys
import threading
import time
from pathlib import Path
from types import ModuleType

import pytest

from resumectl.model.target_error import PythonError
from resumectl.probe.error_facts import describe_error
from resumectl.probe.hang_watch import Streak
from resumectl.probe.load_target import plain
from resumectl.probe.user_code import INSTALLED


def error_of_program(directory: Path, text: str) -> PythonError:
    """Return what is recorded of the error that a file ends with."""
    file = directory / "flows.py"
    file.write_text(text)
    linecache.clearcache()
    with pytest.raises(BaseException) as error:  # noqa: PT011 (each program has one of its own)
        exec(compile(text, str(file), "exec"), {"__name__": "flows"})
    cause = describe_error(error.value, roots=[directory]).cause
    assert isinstance(cause, PythonError)
    return cause


def test_global_that_main_sets_is_told_with_the_error(tmp_path: Path) -> None:
    main = "if __name__ == '__main__':\n    store = 1\n"
    for text in (f"{main}store\n", f"store = None\n{main}store.keep()\n"):
        found = error_of_program(tmp_path, text).unset_global
        assert found is not None
        assert (found.name, found.code.lines) == ("store", ("store = 1",))
    for text in (f"{main}other\n", f"def f(): x; x = 1\n{main}f()\n", f"{main}None.store()\n"):
        assert error_of_program(tmp_path, text).unset_global is None


def test_variable_that_a_program_looks_for_is_told_as_not_set(tmp_path: Path) -> None:
    text = "import os, sys\nif 'SHOP_KEY' not in os.environ: sys.exit('no key')\n"
    assert "SHOP_KEY" in error_of_program(tmp_path, text).unset_variables


def test_package_that_distributions_share_is_no_package_that_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = ModuleType("shared")
    shared.__path__ = [f"{INSTALLED[0]}shared"]
    monkeypatch.setitem(sys.modules, "shared", shared)
    (tmp_path / "requirements.txt").touch()
    missing = error_of_program(tmp_path, "import shared.storage\n").missing_module
    assert missing is not None
    assert missing.package is None
    assert missing.needs_file == str(tmp_path / "requirements.txt")
    shared.__path__ = [str(tmp_path / "shared")]
    missing = error_of_program(tmp_path, "import shared.storage\n").missing_module
    assert missing is not None
    assert missing.package == "shared"


def test_circle_of_imports_is_told_from_a_name_that_a_module_lacks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = ModuleType("flows")
    half.__file__ = str(tmp_path / "flows.py")
    monkeypatch.setitem(sys.modules, "flows", half)
    for text in ("from flows import price\n", "import flows\nflows.price()\n"):
        assert error_of_program(tmp_path, text).half_imported == "flows"
    for text in ("from os import price\n", "import os\nos.price()\n"):
        assert error_of_program(tmp_path, text).half_imported is None


def test_answer_that_is_a_handle_is_the_same_whichever_process_runs_the_workflow() -> None:
    class Running:
        def get_workflow_id(self) -> str:
            return "a-1"

        def get_result(self) -> int:
            return 1

        get_status = get_result

    class Polling(Running):
        pass

    assert plain([Running()]) == plain([Polling()]) == ["handle of a-1"]


def test_thread_that_works_is_not_the_main_one() -> None:
    streak = Streak(1)
    streak.add("a line")
    began_s = time.monotonic()

    def work() -> None:
        """Use a twentieth of the time since then, however busy the machine is."""
        used_s = time.thread_time()
        while time.thread_time() - used_s < max(0.1, (time.monotonic() - began_s) / 20):
            pass

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert not streak.has_worked
    work()
    assert streak.has_worked
