"""The README and the docs are true: their sessions, commands, examples and generated parts."""

import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import get_args
from xml.etree import ElementTree

import make_docs
import pytest
import yaml
from conftest import CHECKOUT, DEADLINE_S, Ran, Workspace, swept
from evidence_examples import EXAMPLES
from make_docs import Part

from resumectl.errors import ExitCode
from resumectl.model.evidence import Evidence

README = (CHECKOUT / "README.md").read_text()
PAGES = {
    path.relative_to(CHECKOUT).as_posix(): path.read_text()
    for path in [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
}
# The style guide names options and words that must not be used.
TEXT = "\n".join(text for name, text in PAGES.items() if name != "docs/style.md")
HINT = "run  python docs/make_docs.py"


def shape(text: str) -> set[str]:
    """Return its lines without what differs from run to run: numbers, times, who was first."""
    # DBOS hashes its own version with the sources of the workflows.
    text = re.sub(r"\b[0-9a-f]{32}\b", "N", text)
    text = re.sub(r"SUCCESS|PENDING|ENQUEUED", "STATUS", text)
    text = re.sub(r"[0-9]+|·", "N", text)
    text = re.sub(r"N(?:[-.: ]+N)*", "N", text)
    return {re.sub(r"[\s─]+", " ", line).strip() for line in text.splitlines()}


def words(lines: set[str]) -> set[str]:
    return {word for line in lines for word in line.split()}


def python_blocks(page: str) -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGES[page], flags=re.DOTALL)


@pytest.mark.slow
@pytest.mark.parametrize("part", [part for part in make_docs.PARTS if part.is_session], ids=str)
def test_session_prints_what_the_page_shows(part: Part) -> None:
    assert shape(part.make()) == shape(make_docs.shown(part)), HINT


@pytest.mark.parametrize("part", [part for part in make_docs.PARTS if not part.is_session], ids=str)
def test_generated_part_is_up_to_date(part: Part) -> None:
    assert part.make() == make_docs.shown(part), HINT


def test_every_kind_of_evidence_has_an_example() -> None:
    shown_kinds = {type(each) for examples in EXAMPLES.values() for each in examples}
    assert shown_kinds == set(get_args(Evidence))


def test_schema_files_are_up_to_date() -> None:
    files = {path: path.read_text() for path in make_docs.SCHEMAS.glob("*.json")}
    assert files == make_docs.schema_files(), HINT


def test_picture_shows_the_sweep_of_the_readme() -> None:
    root = ElementTree.fromstring((make_docs.DOCS / "sweep.svg").read_text())
    texts = [text.text or "" for text in root.iter("{http://www.w3.org/2000/svg}text")]
    shown_words = words(shape("\n".join(texts).replace("\xa0", " ")))
    (part,) = [p for p in make_docs.PARTS if str(p) == "README.md sweep"]
    session = make_docs.shown(part).removeprefix("```console\n").removesuffix("```")
    assert words(shape(session)) - shown_words == set(), HINT


def test_every_picture_is_shown_and_there() -> None:
    pages = "\n".join(path.read_text() for path in make_docs.DOCS.rglob("*.md"))
    shown = {Path(name).name for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", pages)}
    files = [*make_docs.DOCS.glob("*.svg"), *make_docs.DOCS.glob("*.png")]
    assert shown == {path.name for path in files}


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 200


def test_links_of_readme_lead_to_files() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", README)
    assert len(links) > 10
    assert [link for link in links if not (CHECKOUT / link).is_file()] == []


@pytest.mark.slow
def test_common_tasks_can_be_typed_in_their_order(sqlite_workspace: Workspace) -> None:
    (sqlite_workspace.directory / "messages.txt").write_text('first\n{"second": 2}\n')
    page = PAGES["docs/how-to/common-tasks.md"]
    blocks = re.findall(r"```console\n(.*?)```", page, flags=re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    assert len(lines) > 20
    for line in lines:
        prompt, command, *arguments = line.split()
        assert (prompt, command) == ("$", "resumectl")
        ran = sqlite_workspace.run(*arguments)
        assert ran.code == 0, f"{line}: {ran}"


def test_library_example_prints_what_it_says(sqlite_workspace: Workspace) -> None:
    (code,) = python_blocks("docs/reference/python-api.md")
    script = sqlite_workspace.directory / "my_program.py"
    script.write_text(code)
    ran = run_python(sqlite_workspace, script)
    assert ran.code == 0, ran
    assert ran.out == "{'messages': 2, 'failed': []}\n"


@pytest.mark.slow
def test_deploy_of_the_docs_has_the_findings_that_the_page_names(
    sqlite_workspace: Workspace,
) -> None:
    page = "docs/how-to/deploys.md"
    (next_release,) = python_blocks(page)
    (sqlite_workspace.directory / "shop_v1.py").write_text(make_docs.SHOP.read_text())
    (sqlite_workspace.directory / "shop_v2.py").write_text(next_release)
    lines = re.findall(r"```sh\nresumectl sweep (.*?)\n```", PAGES[page])
    for line, kind in zip(lines, ("stuck", "failed"), strict=True):
        found = swept(sqlite_workspace, *shlex.split(line), code=ExitCode.PROMISE_BROKEN)
        assert {each["kind"] for each in found["findings"]} == {kind}


@pytest.mark.slow
def test_scenario_of_the_docs_is_swept(sqlite_workspace: Workspace) -> None:
    (scenario,) = python_blocks("docs/how-to/scenarios.md")
    program = f"{make_docs.SHOP.read_text()}\n{scenario}"
    (sqlite_workspace.directory / "shop.py").write_text(program)
    found = swept(sqlite_workspace, "shop.py:paying")
    assert found["verdicts"]["KEPT"] == found["crash_points"] == 8


def run_python(workspace: Workspace, script: Path) -> Ran:
    """Run a script as a user would, beside the database."""
    ended = subprocess.run(
        [sys.executable, script],
        cwd=workspace.directory,
        env=workspace.environ,
        capture_output=True,
        text=True,
        check=False,
        timeout=DEADLINE_S,
    )
    return Ran(ended.returncode, ended.stdout, ended.stderr)


def test_every_command_and_option_of_the_docs_exists(pytestconfig: pytest.Config) -> None:
    blocks = "\n".join(re.findall(r"```(?:console|sh)\n(.*?)```", TEXT, flags=re.DOTALL))
    named = set(re.findall(r"(?:^|\$ |&& )resumectl ([a-z][a-z-]*)", blocks, flags=re.MULTILINE))
    named |= set(re.findall(r"`resumectl ([a-z][a-z-]*)", TEXT))
    commands = make_docs.app_commands()
    assert {"publish", "crash-after", "resume", "worker", "doctor"} <= named
    assert named - commands.keys() == set()
    options = {name for each in commands.values() for p in each.params for name in p.opts}
    written = set(re.findall(r"`(--[a-z][a-z-]*)", TEXT))
    for name in written - options - {"--help", "--version"}:
        pytestconfig.getoption(name)  # an option of pytest, or of the plugin; else a ValueError


@pytest.mark.parametrize("name", ["crashes.yml", "pre-commit-config.yaml"])
def test_commands_for_ci_services_run(sqlite_workspace: Workspace, name: str) -> None:
    text = (make_docs.DOCS / "how-to" / name).read_text()
    assert yaml.safe_load(text)
    (line,) = re.findall(r"(?:run|entry): resumectl (.*)", text)
    (sqlite_workspace.directory / "shop.py").write_text(make_docs.SHOP.read_text())
    (sqlite_workspace.directory / "pyproject.toml").write_text(
        '[tool.resumectl.targets.checkout]\ntarget = "shop.py:checkout"\nargs = ["order-1"]\n'
    )
    ran = sqlite_workspace.run(*shlex.split(line))
    assert ran.code == ExitCode.DONE, ran
    for file in re.findall(r"--(?:junit|sarif) (\S+)", line):
        assert (sqlite_workspace.directory / file).stat().st_size
