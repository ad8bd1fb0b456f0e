"""Make a text fit for others to read: without the directory of the program and the values of `--env`."""

import ast
import re
import sys
from collections.abc import Iterator, Mapping

_TEMPLATE = re.compile(r"\{(sandbox|database_url)\}")
_STUBBED = {"Scenario", "effect"}  # names of resumectl that the file includes


def is_template(value: str) -> bool:
    """Return whether a value of `--env` names the sandbox, and so is no secret."""
    return _TEMPLATE.search(value) is not None


def publishable(text: str, directory: str, environ: Mapping[str, str]) -> str:
    """Return a text with names in place of values, and with relative paths.

    Args:
        text: Text of the program, such as an error.
        directory: Directory of the program.
        environ: Variables that were given with `--env`.
    """
    found = text.replace(f"{directory}/", "")
    for name, value in sorted(environ.items(), key=lambda item: -len(item[1])):
        if value and not is_template(value):
            found = found.replace(value, f"${name}")
    return found


def other_libraries(sources: Mapping[str, str]) -> list[str]:
    """Return the modules that the program imports besides dbos, the standard library and itself.

    Args:
        sources: Name of each file of the program, relative to its directory, to its text.
    """
    own = {path.partition("/")[0].removesuffix(".py") for path in sources}
    known = {*sys.stdlib_module_names, *own, "dbos", "resumectl"}
    imported = {name.partition(".")[0] for text in sources.values() for name in _imports(text)}
    return sorted(imported - known)


def parts_of_resumectl(sources: Mapping[str, str]) -> list[str]:
    """Return what the program imports of resumectl, besides what the file includes."""
    imported = {name for text in sources.values() for name in _imports(text)}
    return sorted(
        name
        for name in imported
        if name.startswith("resumectl.") and name.removeprefix("resumectl.") not in _STUBBED
    )


def _imports(text: str) -> Iterator[str]:
    """Yield the full names that a file imports, as in `resumectl.effect`."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield from (f"{node.module}.{each.name}" for each in node.names)
