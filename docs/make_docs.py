"""Fill the generated parts of README.md and docs/: sessions, tables, JSON Schema files, the picture.

    python docs/make_docs.py             rewrites all of them
    python docs/make_docs.py --quick     leaves out the sessions and the picture, which take a minute

A page marks a generated part by `<!-- NAME: generated -->` and `<!-- /NAME -->`. Tests check that
the parts are up to date, and that the sessions print what is shown.
"""

import argparse
import ast
import dataclasses
import functools
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import typer.main
from evidence_examples import EXAMPLES
from json_schemas import all_schemas
from pictures import page_pngs, terminal_svg

from resumectl.cli import app
from resumectl.cli.help import COMMON, GroupedOptions, group_of
from resumectl.cli.project_file import KEYS
from resumectl.errors import ExitCode
from resumectl.model.verdict import Kind
from resumectl.report.finding_text import MEANINGS, evidence_text

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
README = CHECKOUT / "README.md"
SHOP = DOCS / "tutorial" / "shop.py"
CRASH_TEST = DOCS / "how-to" / "test_shop.py"
HANDLER = DOCS / "how-to" / "handler.py"
FIXED_SHOP = DOCS / "tutorial" / "shop_fixed.py"
SCHEMAS = DOCS / "schemas"

_CHECKOUT = """shop.py:checkout --args '["order-1"]' --promise charge=exactly-once"""
SWEEP = f"resumectl sweep {_CHECKOUT}"
WATCH = [
    "resumectl publish --name alpha --count 20",
    "resumectl crash-after 7 --name beta",
    "resumectl watch --once",
]
SWEEP_FIXED = f"resumectl sweep {FIXED_SHOP.name}:paying"
PYTEST = f"pytest -q {CRASH_TEST.name}"
SWEEP_HANDLER = f"resumectl sweep {HANDLER.name}:create_order --args '[\"order-1\"]'"
REPLAY = f"resumectl replay before:checkout-1/step-1 {_CHECKOUT}"
FIVE_COMMANDS = (
    "resumectl publish --name alpha --count 3",
    "resumectl crash-after 2 --count 3",
    "resumectl state",
    "resumectl resume",
    "resumectl list-workflows --limit 3",
)
SESSION = (
    "resumectl publish --name alpha --count 20",
    "resumectl crash-after 7",
    "resumectl state",
    "resumectl resume",
    "resumectl state",
    "resumectl list-workflows --limit 5",
)
_NARROW, _USUAL, _WIDE = 100, 112, 168  # columns; the list of workflows has twelve columns


@dataclasses.dataclass(frozen=True)
class Part:
    """One generated part of a page.

    Attributes:
        page: The page, relative to the checkout.
        name: Name of the part, as its marks have it.
        make: Return its content.
        is_session: Whether commands are run for it, so that numbers in it differ from run to run.
    """

    page: str
    name: str
    make: Callable[[], str]
    is_session: bool = False

    def __str__(self) -> str:
        return f"{self.page} {self.name}"


# --- sessions


def five_commands() -> str:
    """Return the session of the README: the five commands on a small batch."""
    return _as_block(_in_fresh_directory(*((line, _NARROW) for line in FIVE_COMMANDS)))


def session() -> str:
    """Return the session of the tutorial: a batch of 20 messages, killed and resumed."""
    widths = ((line, _WIDE if "list" in line else _USUAL) for line in SESSION)
    return _as_block(_in_fresh_directory(*widths))


def sweep() -> str:
    """Return the sweep of shop.py."""
    return _as_block(_experiment()[:1])


def replay() -> str:
    """Return the replay of the finding in shop.py."""
    return _as_block(_experiment()[1:])


def fixed_sweep() -> str:
    """Return the sweep of the corrected program, which keeps its promise."""
    return _as_block(_in_fresh_directory((SWEEP_FIXED, _USUAL)))


def handler_sweep() -> str:
    """Return the sweep of a handler, whose workflow has no id."""
    return _as_block(_in_fresh_directory((SWEEP_HANDLER, _USUAL)))


def pytest_session() -> str:
    """Return the crash tests of shop.py, one of which fails."""
    lines = _in_fresh_directory((PYTEST, _USUAL), code=ExitCode.PROMISE_BROKEN)
    return _as_block(lines)


@functools.cache
def _experiment() -> tuple[str, ...]:
    lines = ((SWEEP, _USUAL), (REPLAY, _USUAL))
    return _in_fresh_directory(*lines, code=ExitCode.PROMISE_BROKEN)


def _as_block(parts: tuple[str, ...]) -> str:
    return "```console\n" + "\n".join(parts) + "```"


def _in_fresh_directory(*lines: tuple[str, int], code: ExitCode = ExitCode.DONE) -> tuple[str, ...]:
    """Return each command line with what it prints, in a directory that holds only the programs of the tutorial.

    Args:
        lines: Command line, and width of the terminal in columns.
        code: Exit code that each command must have.
    """
    parts = []
    with tempfile.TemporaryDirectory() as directory:
        for line, columns in lines:
            environ = {"COLUMNS": str(columns), "NO_COLOR": "1", "PYTHONWARNINGS": "ignore"}
            printed = _run(line, directory, code, environ)
            output = re.sub(r"[ \t]+$", "", printed, flags=re.MULTILINE)
            output = re.sub(r"\n{3,}", "\n\n", output)
            parts.append(f"$ {line}\n{output.strip()}\n")
    return tuple(parts)


def _run(line: str, directory: str, code: ExitCode, more: Mapping[str, str]) -> str:
    for program in (SHOP, FIXED_SHOP, HANDLER, CRASH_TEST):
        Path(directory, program.name).write_text(program.read_text())
    # On a CI service, pytest shows its failures otherwise.
    others = ("POSTGRES", "DBOS", "PYTEST", "GITHUB")
    environ = {
        name: value
        for name, value in os.environ.items()
        if name not in ("CI", "BUILD_NUMBER") and not any(each in name for each in others)
    }
    is_colored = "FORCE_COLOR" in more  # then progress is shown on standard error as well
    ran = subprocess.run(
        [sys.executable, "-m", *shlex.split(line)],
        cwd=directory,
        env={**environ, **more},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL if is_colored else subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert ran.returncode == code, ran.stdout
    return ran.stdout


def pictures() -> dict[Path, bytes]:
    """Return the pictures, made from real runs; without a browser, only those of a terminal."""

    def run(line: str, directory: str, environ: dict[str, str]) -> str:
        is_broken = line.startswith(SWEEP)
        return _run(
            line, directory, ExitCode.PROMISE_BROKEN if is_broken else ExitCode.DONE, environ
        )

    shown = {"sweep.svg": [SWEEP], "watch.svg": WATCH}
    svgs = {name: terminal_svg(lines, run).encode() for name, lines in shown.items()}
    return {DOCS / name: content for name, content in {**svgs, **page_pngs(SWEEP, run)}.items()}


# --- tables


def shop() -> str:
    """Return the workflow that the sessions sweep."""
    return f"```python\n{SHOP.read_text()}```"


def fixed_shop() -> str:
    """Return the corrected program of the tutorial."""
    return f"```python\n{FIXED_SHOP.read_text()}```"


def handler() -> str:
    """Return the handler that starts the workflow of the tutorial."""
    return f"```python\n{HANDLER.read_text()}```"


def crash_test() -> str:
    """Return the crash test of the workflow of the tutorial."""
    return f"```python\n{CRASH_TEST.read_text()}```"


def exit_codes() -> str:
    """Return the table of exit codes, from the one that the commands use."""
    rows = "\n".join(f"| {code.value} | {code.meaning} |" for code in ExitCode)
    return f"| code | meaning |\n| ---: | --- |\n{rows}"


def github_workflow() -> str:
    """Return the workflow file for GitHub Actions, whose commands a test runs."""
    return f"```yaml\n{(DOCS / 'how-to' / 'crashes.yml').read_text()}```"


def pre_commit() -> str:
    """Return the entry for pre-commit, whose command a test runs."""
    return f"```yaml\n{(DOCS / 'how-to' / 'pre-commit-config.yaml').read_text()}```"


def configuration_keys() -> str:
    """Return the table of keys of pyproject.toml."""
    rows = "\n".join(f"| `{name}` | {key.kind} |" for name, key in KEYS.items())
    return f"| key | value |\n| --- | --- |\n{rows}"


def modules() -> str:
    """Return a table for each package: its files, with the first sentence of their docstrings."""
    root = CHECKOUT / "src" / "resumectl"
    by_package: dict[str, list[str]] = {}
    for path in sorted(root.rglob("*.py")):
        package, _, rest = path.relative_to(root).as_posix().partition("/")
        name, title = (rest, package) if rest else (package, "resumectl")
        by_package.setdefault(title, []).append(f"| `{name}` | {_first_sentence(path)} |")
    return "\n\n".join(
        f"## {title}\n\n| file | role |\n| --- | --- |\n" + "\n".join(rows)
        for title, rows in by_package.items()
    )


def packages() -> str:
    """Return the table of packages, with the first sentence of their docstrings."""
    root = CHECKOUT / "src" / "resumectl"
    rows = [
        f"| `{path.parent.name}` | {_first_sentence(path)} |"
        for path in sorted(root.glob("*/__init__.py"))
    ]
    return "| package | role |\n| --- | --- |\n" + "\n".join(rows)


def _first_sentence(path: Path) -> str:
    doc = ast.get_docstring(ast.parse(path.read_text())) or ""
    return " ".join(doc.split("\n\n")[0].split()).split(". ")[0].rstrip(".:")


def schemas_table() -> str:
    """Return the table of JSON Schema files."""
    rows = [
        f"| [`{name}.json`](../schemas/{name}.json) | {schema['description']} |"
        for name, schema in sorted(all_schemas().items())
    ]
    return "| schema | document |\n| --- | --- |\n" + "\n".join(rows)


def reasons() -> str:
    """Return the table of evidence: the value of `reason` in JSON, its meaning and an example."""
    rows = []
    for kind, examples in EXAMPLES.items():
        for example in examples:
            first = " ".join((type(example).__doc__ or "").split("\n\n")[0].split())
            cells = (f"`{kind}`", f"`{example.KIND}`", first, _prose(evidence_text(example)))
            rows.append(f"| {' | '.join(cells)} |")
    return "| kind | reason | meaning | example |\n| --- | --- | --- | --- |\n" + "\n".join(rows)


def meaning(kind: Kind) -> str:
    """Return the sentence that `replay` prints below a finding of this kind."""
    return f"`replay` prints: {MEANINGS[kind].rstrip()}"


def pitfalls(kind: Kind) -> str:
    """Return the examples in examples/pitfalls that a sweep must report with this kind."""
    rows = []
    for path in sorted((CHECKOUT / "examples" / "pitfalls").glob("*.py")):
        text = path.read_text()
        if f'\nFINDING = "{kind}"\n' in text:
            rows.append(f"- `examples/pitfalls/{path.name}`: {_first_sentence(path)}.")
    return "\n".join(rows) or "No program of `examples/pitfalls/` is expected to show this kind."


def app_commands() -> Mapping[str, Any]:
    """Return the commands of resumectl, by name, as the parser holds them."""
    group: Any = typer.main.get_command(app)
    return dict(group.commands)


def commands() -> str:
    """Return the reference of the commands, from the Typer app."""
    every = list(app_commands().values())
    parts = [_command(command) for command in every]
    common = [p for p in every[0].params if _is_option(p) and group_of(p) == COMMON]
    parts.append(f"## {COMMON}\n\nEvery command takes these.\n\n{_options_table(common)}")
    return "\n\n".join(parts)


def _is_option(parameter: Any) -> bool:
    return str(parameter.param_type_name) == "option"


def _command(command: Any) -> str:
    assert isinstance(command, GroupedOptions)
    context = typer.Context(command, info_name=f"resumectl {command.name}")
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    parts = [f"## {command.name}", *_paragraphs(command.help or ""), f"```text\n{usage}\n```"]
    arguments = [
        f"| `{p.metavar}` | {_cell(command.arguments[str(p.name)])} |"
        for p in command.params
        if not _is_option(p)
    ]
    if arguments:
        parts.append("| argument | meaning |\n| --- | --- |\n" + "\n".join(arguments))
    groups = dict.fromkeys(group_of(p) for p in command.params if _is_option(p))
    for title in groups:
        own = [p for p in command.params if _is_option(p) and group_of(p) == title]
        if title != COMMON:
            parts.append(f"**{title}**\n\n{_options_table(own)}")
    shown = [line.strip() for line in (command.epilog or "").splitlines() if "$ " in line]
    if shown:
        parts.append("```console\n" + "\n".join(shown) + "\n```")
    return "\n\n".join(parts)


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        yield _prose(" ".join(paragraph.split()))


def _options_table(options: list[Any]) -> str:
    rows = [f"| {_option_names(each)} | {_option_text(each)} |" for each in options]
    return "| option | meaning |\n| --- | --- |\n" + "\n".join(rows)


def _option_names(option: Any) -> str:
    names = ", ".join([*option.opts, *option.secondary_opts])
    value = "" if option.is_flag or not option.metavar else f" {option.metavar}"
    return f"`{_cell_code(names + value)}`"


def _option_text(option: Any) -> str:
    text = option.help or ""
    default = option.default
    is_shown = isinstance(default, str | int | float) and not isinstance(default, bool)
    if is_shown and option.show_default and "[default:" not in text:
        number = int(default) if isinstance(default, float) and default.is_integer() else default
        text += f" [default: {number}]"
    return _cell(text)


def _cell(text: str) -> str:
    """Return help text as a cell of a table, with its default as a sentence if it ends with it."""
    line = " ".join(text.replace("\\[", "[").split())
    line = re.sub(r" ?\[default: ([^\]]+)\]$", r" Default: \1.", line)
    return _prose(line).replace("|", "\\|")


def _cell_code(text: str) -> str:
    return text.replace("|", "\\|")


def _prose(text: str) -> str:
    """Return help text as Markdown: what Markdown would take for markup is escaped."""
    return re.sub(r"([*_<>{}$\[\]])", r"\\\1", text)


# --- all parts

PARTS = (
    Part("README.md", "session", five_commands, is_session=True),
    Part("README.md", "shop", shop),
    Part("README.md", "sweep", sweep, is_session=True),
    Part("docs/tutorial/publish-crash-resume.md", "session", session, is_session=True),
    Part("docs/tutorial/first-sweep.md", "shop", shop),
    Part("docs/tutorial/first-sweep.md", "sweep", sweep, is_session=True),
    Part("docs/tutorial/first-sweep.md", "replay", replay, is_session=True),
    Part("docs/tutorial/first-sweep.md", "fixed-shop", fixed_shop),
    Part("docs/tutorial/first-sweep.md", "fixed-sweep", fixed_sweep, is_session=True),
    Part("docs/how-to/pytest.md", "test", crash_test),
    Part("docs/how-to/pytest.md", "pytest", pytest_session, is_session=True),
    Part("docs/how-to/clients.md", "handler", handler),
    Part("docs/how-to/clients.md", "handler-sweep", handler_sweep, is_session=True),
    Part("docs/reference/commands.md", "commands", commands),
    Part("docs/reference/configuration.md", "keys", configuration_keys),
    Part("docs/how-to/ci.md", "workflow", github_workflow),
    Part("docs/how-to/ci.md", "pre-commit", pre_commit),
    Part("docs/reference/exit-codes.md", "exit-codes", exit_codes),
    Part("docs/reference/json-output.md", "schemas", schemas_table),
    Part("docs/reference/findings/index.md", "reasons", reasons),
    *(
        part
        for kind in Kind
        for part in (
            Part(f"docs/reference/findings/{kind}.md", "meaning", functools.partial(meaning, kind)),
            Part(
                f"docs/reference/findings/{kind}.md", "pitfalls", functools.partial(pitfalls, kind)
            ),
        )
    ),
    Part("docs/background/architecture.md", "packages", packages),
    Part("docs/background/modules.md", "modules", modules),
)


def schema_files() -> dict[Path, str]:
    """Return the JSON Schema files, and what they must contain."""
    return {
        SCHEMAS / f"{name}.json": json.dumps(schema, indent=2) + "\n"
        for name, schema in all_schemas().items()
    }


def _pattern(name: str) -> re.Pattern[str]:
    begin, end = f"<!-- {name}: generated -->", f"<!-- /{name} -->"
    return re.compile(re.escape(begin) + r"(.*?)" + re.escape(end), flags=re.DOTALL)


def shown(part: Part) -> str:
    """Return what the page says now in one part."""
    found = _pattern(part.name).search((CHECKOUT / part.page).read_text())
    assert found, f"{part.page} has no part {part.name}"
    return found[1].strip()


def fill(part: Part) -> None:
    """Write one part into its page."""
    page = CHECKOUT / part.page
    text = page.read_text()
    assert _pattern(part.name).search(text), f"{part.page} has no part {part.name}"
    content = f"<!-- {part.name}: generated -->\n\n{part.make()}\n\n<!-- /{part.name} -->"
    page.write_text(_pattern(part.name).sub(lambda _: content, text))


def main() -> None:
    """Write all generated parts and files."""
    parser = argparse.ArgumentParser(description="Fill the generated parts of README.md and docs/.")
    parser.add_argument("--quick", action="store_true", help="leave out sessions and the picture")
    is_quick = parser.parse_args().quick
    for part in PARTS:
        if not (is_quick and part.is_session):
            fill(part)
    SCHEMAS.mkdir(exist_ok=True)
    for path, text in schema_files().items():
        path.write_text(text)
    for path, content in ({} if is_quick else pictures()).items():
        path.write_bytes(content)


if __name__ == "__main__":
    main()
