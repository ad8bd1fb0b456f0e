"""Fill the generated parts of README.md: real output of two sessions, exit codes, layout.

    python docs/make_readme.py           rewrites README.md
A test runs the sessions again and holds their output against the README's.
"""

import ast
import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from resumectl.errors import ExitCode

CHECKOUT = Path(__file__).parents[1]
README = CHECKOUT / "README.md"

SESSION = (
    "resumectl publish --name alpha --count 20",
    "resumectl crash-after 7",
    "resumectl state",
    "resumectl resume",
    "resumectl state",
    "resumectl list-workflows --limit 5",
)
_CHECKOUT = """shop.py:checkout --args '["order-1"]' --promise charge=exactly-once"""
EXPERIMENT = (
    f"resumectl sweep {_CHECKOUT}",
    f"resumectl replay before:checkout-1/step-1 {_CHECKOUT}",
)
_WIDTH, _WIDE = 112, 168  # the list of workflows has twelve columns


def session() -> str:
    """What a newcomer's session prints."""
    return _printed(SESSION, ExitCode.DONE)


def experiment() -> str:
    """What is found of the README's own workflow."""
    return _printed(EXPERIMENT, ExitCode.PROMISE_BROKEN)


def shop() -> str:
    """The README's own workflow."""
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(), flags=re.DOTALL)
    (found,) = [each for each in blocks if "def checkout" in each]
    return str(found)


def _printed(lines: Sequence[str], code: ExitCode) -> str:
    """What these commands print, in a directory with nothing but the workflow's file."""
    parts = []
    environ = {k: v for k, v in os.environ.items() if "POSTGRES" not in k and "DBOS" not in k}
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "shop.py").write_text(shop())
        for line in lines:
            ran = subprocess.run(
                [sys.executable, "-m", *shlex.split(line)],
                cwd=directory,
                env={
                    **environ,
                    "COLUMNS": str(_WIDE if "list" in line else _WIDTH),
                    "NO_COLOR": "1",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            assert ran.returncode == code, ran.stdout
            output = re.sub(r"[ \t]+$", "", ran.stdout, flags=re.MULTILINE)
            output = re.sub(r"\n{3,}", "\n\n", output)
            parts.append(f"$ {line}\n{output.strip()}\n")
    return "```console\n" + "\n".join(parts) + "```"


def exit_codes() -> str:
    """The table of exit codes, from the one that the commands use."""
    rows = "\n".join(f"| {code.value} | {code.meaning} |" for code in ExitCode)
    return f"| code | meaning |\n| ---: | --- |\n{rows}"


def layout() -> str:
    """Every source file, with the first line of what it says of itself."""
    lines = []
    for path in sorted((CHECKOUT / "src" / "resumectl").rglob("*.py")):
        name = path.relative_to(CHECKOUT)
        doc = ast.get_docstring(ast.parse(path.read_text())) or ""
        first = " ".join(doc.split("\n\n")[0].split()).split(". ")[0].rstrip(".:")
        lines.append(f"| `{name}` | {first} |")
    return "| file | what it is |\n| --- | --- |\n" + "\n".join(lines)


PARTS = {"session": session, "experiment": experiment, "exit-codes": exit_codes, "layout": layout}


def filled(text: str, name: str, content: str) -> str:
    """The README with one part replaced."""
    begin, end = f"<!-- {name}: generated -->", f"<!-- /{name} -->"
    pattern = re.escape(begin) + r".*?" + re.escape(end)
    assert re.search(pattern, text, re.DOTALL), f"README.md has no part {name}"
    replacement = f"{begin}\n\n{content}\n\n{end}"
    return re.sub(pattern, lambda _match: replacement, text, flags=re.DOTALL)


def part(text: str, name: str) -> str:
    """What the README says now in one part."""
    found = re.search(rf"<!-- {name}: generated -->(.*?)<!-- /{name} -->", text, flags=re.DOTALL)
    assert found, f"README.md has no part {name}"
    return found[1].strip()


if __name__ == "__main__":
    readme = README.read_text()
    for part_name, make in PARTS.items():
        readme = filled(readme, part_name, make())
    README.write_text(readme)
