"""Where a program sets up its queues and tables is found in its text; nothing is imported."""

from pathlib import Path

import pytest

from resumectl.model.target_error import SetupCode
from resumectl.probe.error_facts import source_files
from resumectl.probe.setup_code import creation_of, find_global, find_queue, find_tables

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
    assert find_queue([file], queue) == SetupCode(
        str(file), line, function, is_callable, (f'DBOS.register_queue("{queue}")',)
    )


def test_queue_whose_name_is_not_written_out_may_be_the_one(tmp_path: Path) -> None:
    file = tmp_path / "main.py"
    file.write_text("def set_up():\n    DBOS.register_queue(QUEUE)\n")
    found = find_queue([file], "mails")
    assert found is not None
    assert found.line == 2


@pytest.mark.parametrize(
    "line",
    ["metadata.create_all(engine)", "connection.execute('CREATE TABLE IF NOT EXISTS orders (id)')"],
)
def test_creation_of_tables_is_found(tmp_path: Path, line: str) -> None:
    file = tmp_path / "main.py"
    file.write_text(f"async def set_up():\n    {line}\n")
    found = find_tables([file], "orders")
    assert found is not None
    assert (found.function, found.is_callable, found.lines) == ("set_up", True, ())


def test_creation_of_tables_is_repeated_with_the_names_of_its_file(tmp_path: Path) -> None:
    file = tmp_path / "main.py"
    file.write_text(
        "engine, metadata = 1, 2\nif __name__ == '__main__':\n    metadata.create_all(engine)\n"
    )
    found = find_tables([file], "orders")
    assert found is not None
    assert found.lines == ("from main import engine, metadata", "metadata.create_all(engine)")


def test_file_that_is_no_python_or_not_there_is_passed_over(tmp_path: Path) -> None:
    broken = tmp_path / "broken.py"
    broken.write_text("def (")
    missing = tmp_path / "missing.py"
    assert find_tables([broken, missing], "orders") is None
    assert find_queue([broken, missing], "mails") is None
    assert find_global(missing, "engine") is None


LIMITED = """
LIMIT, QUEUE = 2, "mails"

def later(size):
    dbos.register_queue(QUEUE, concurrency=size)

def main(size):
    DBOS.launch()
    DBOS.register_queue(
        "bills", limiter={"limit": LIMIT,  # a minute
                          "period": 60})
    DBOS.register_queue(name=QUEUE, concurrency=1, worker_concurrency=size)
    DBOS.register_queue("others", **options())
"""


def test_lines_to_paste_keep_the_limits_of_every_queue_beside_it(tmp_path: Path) -> None:
    file = tmp_path / "main.py"
    file.write_text(LIMITED)
    found = find_queue([file], "mails")
    assert found is not None
    assert (found.line, found.function) == (12, "main")
    assert found.lines == (
        "from main import LIMIT, QUEUE",
        "DBOS.register_queue(\"bills\", limiter={'limit': LIMIT, 'period': 60})",
        "DBOS.register_queue(name=QUEUE, concurrency=1, worker_concurrency=...)",
        'DBOS.register_queue("others", **...)',
    )


def test_lines_to_paste_are_read_in_the_encoding_of_their_file(tmp_path: Path) -> None:
    file = tmp_path / "main.py"
    text = "# coding: latin-1\ndef main(): DBOS.launch(); DBOS.register_queue('é', concurrency=1)\n"
    file.write_bytes(text.encode("latin-1"))
    found = find_queue([file], "é")
    assert found is not None
    assert found.lines == ("DBOS.register_queue('é', concurrency=1)",)


GLOBALS = """
engine = None

def connect():
    global engine
    engine = make()

def main():
    global client
    client = (
        1)
    inner = 2
    serve.run()

if __name__ == "__main__":
    size: int = 1
    other = 2
    store: Store = Store(
        size)
    launch()
    from shop import flows
"""


@pytest.mark.parametrize(
    ("name", "line", "is_callable", "lines"),
    [
        ("engine", 6, True, ["engine = make()"]),
        ("client", 10, False, ["client = 1"]),
        ("store", 18, False, ["size = 1", "store = Store(size)"]),
        ("flows", 21, False, ["from shop import flows"]),
        ("inner", 0, False, []),
    ],
)
def test_place_where_main_sets_a_global_is_found(
    tmp_path: Path, name: str, line: int, is_callable: bool, lines: list[str]
) -> None:
    file = tmp_path / "main.py"
    file.write_text(GLOBALS)
    found = find_global(file, name)
    if not line:
        assert found is None
        return
    assert found is not None
    code = found.code
    assert (code.line, code.is_callable, list(code.lines)) == (line, is_callable, lines)
    assert found.is_before_launch == (name == "store")


def test_files_of_other_programs_in_the_directory_are_left_out(tmp_path: Path) -> None:
    texts = {
        "main": "import conftest",
        "models": "connection.execute('CREATE TABLE orders (id)')",
        "namesake": "orders = Table(); metadata.create_all()",
        "other": "metadata.create_all()",
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.py").write_text(text)
    files = source_files([tmp_path], creation_of("orders"))
    assert [each.stem for each in files if each.parent == tmp_path] == ["main", "models"]
