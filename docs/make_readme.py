"""Fill the generated parts of README.md: the session's real output, exit codes, layout.

    python docs/make_readme.py           rewrites README.md
A test runs the session again and holds its output against the README's.
"""

import ast
import os
import re
import subprocess
import sys
import tempfile
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
_WIDTH, _WIDE = 112, 168  # the list of workflows has twelve columns


def session() -> str:
    """What the session prints, in an empty directory."""
    parts = []
    environ = {k: v for k, v in os.environ.items() if "POSTGRES" not in k and "DBOS" not in k}
    with tempfile.TemporaryDirectory() as directory:
        for line in SESSION:
            ran = subprocess.run(
                [sys.executable, "-m", *line.split()],
                cwd=directory,
                env={
                    **environ,
                    "COLUMNS": str(_WIDE if "list" in line else _WIDTH),
                    "NO_COLOR": "1",
                },
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=True,
            )
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


PARTS = {"session": session, "exit-codes": exit_codes, "layout": layout}


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
