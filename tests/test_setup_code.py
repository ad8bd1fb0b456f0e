"""Where a program sets up its queues and tables is found in its text; nothing is imported."""

from pathlib import Path

import pytest

from resumectl.lab.failure import source_files
from resumectl.lab.setup_code import find_setup

MAIN = """
import shop

QUEUE = "mails"

def set_up(force=False):
    DBOS.register_queue("orders")

def with_argument(name):
    DBOS.register_queue("letters")

def main():
    DBOS.launch()
    DBOS.register_queue("parcels")
    serve()

if __name__ == "__main__":
    DBOS.register_queue("bills")
"""


@pytest.mark.parametrize(
    ("queue", "line", "function", "is_callable"),
    [
        ("orders", 7, "set_up", True),
        ("letters", 10, "with_argument", False),
        ("parcels", 14, "main", False),
        ("bills", 18, "", False),
    ],
)
def test_registration_of_a_queue_is_found_with_its_function(
    tmp_path: Path, queue: str, line: int, function: str, is_callable: bool
) -> None:
    file = tmp_path / "main.py"
    file.write_text(MAIN)
    assert find_setup([file], queue=queue) == {
        "file": str(file), "line": line, "function": function, "is_callable": is_callable,
    }  # fmt: skip


def test_queue_whose_name_is_not_written_out_may_be_the_one(tmp_path: Path) -> None:
    file = tmp_path / "main.py"
    file.write_text("def set_up():\n    DBOS.register_queue(QUEUE)\n")
    found = find_setup([file], queue="mails")
    assert found is not None
    assert found["line"] == 2


@pytest.mark.parametrize(
    "line",
    ["metadata.create_all(engine)", "connection.execute('CREATE TABLE IF NOT EXISTS orders (id)')"],
)
def test_creation_of_tables_is_found(tmp_path: Path, line: str) -> None:
    file = tmp_path / "main.py"
    file.write_text(f"async def set_up():\n    {line}\n")
    found = find_setup([file])
    assert found is not None
    assert (found["function"], found["is_callable"]) == ("set_up", True)


def test_file_that_is_no_python_or_not_there_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def (")
    assert find_setup([broken, tmp_path / "missing.py"]) is None


def test_files_of_other_programs_in_the_directory_are_left_out(tmp_path: Path) -> None:
    texts = {
        "main": "import conftest",
        "models": "orders = Table()",
        "other": "metadata.create_all()",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    beside = [each.stem for each in source_files([tmp_path], "orders") if each.parent == tmp_path]
    assert beside == ["main", "models"]
