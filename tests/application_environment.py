"""Make a virtual environment that holds dbos and what dbos needs, and nothing else."""

import venv
from collections.abc import Collection
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement


def make_environment(directory: Path) -> Path:
    """Make the environment from packages of this interpreter's, and return its interpreter.

    Args:
        directory: Directory of the environment, which does not exist yet.
    """
    venv.EnvBuilder(symlinks=True, with_pip=False).create(directory)
    (site,) = directory.glob("lib/python3*/site-packages")
    found: dict[str, Distribution] = {}
    _add(found, "dbos", ())
    for each in found.values():
        for top in {file.parts[0] for file in each.files or () if ".." not in file.parts}:
            link = site / top
            if not link.exists():
                link.symlink_to(Path(str(each.locate_file(top))))
    return directory / "bin" / "python"


def _add(found: dict[str, Distribution], name: str, extras: Collection[str]) -> None:
    """Add a distribution and all that it needs."""
    key = name.lower().replace("_", "-")
    if key in found and not extras:
        return
    found[key] = distribution(name)
    for requirement in map(Requirement, found[key].requires or ()):
        marker = requirement.marker
        if marker is None or any(marker.evaluate({"extra": each}) for each in (*extras, "")):
            _add(found, requirement.name, requirement.extras)
