"""Import the module of a target, also under the name of an earlier release.

Runs in the target process. A deploy replaces the old file by an edited one, so the next release is
imported under the old name. Under another name, unpickling a value of the first process would import
the old file beside the new one, and DBOS would know each workflow twice.
"""

import importlib
import importlib.util
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType


@dataclass(frozen=True, slots=True)
class ModuleLocation:
    """Location of a module.

    Attributes:
        parts: Its full name, split at the dots.
        file: Its file; None for a namespace package or a built-in module.
        root: Directory that must be on the path; None if Python finds the module already.
    """

    parts: Sequence[str]
    file: Path | None
    root: Path | None

    @property
    def name(self) -> str:
        """The full name."""
        return ".".join(self.parts)


def locate(name: str) -> ModuleLocation:
    """Find a module without importing it or any package around it.

    Args:
        name: `FILE.py` or `package.module`.

    Raises:
        LookupError: There is no such file.
    """
    if not name.endswith(".py"):
        return ModuleLocation(name.split("."), _file_of(name.split(".")), None)
    path = Path(name)
    if not path.is_file():
        raise LookupError(f"there is no file {name}")
    parts = [path.stem]
    directory = path.parent
    if path.stem == "__init__":
        parts = []
    while (directory / "__init__.py").exists():
        parts.insert(0, directory.name)
        directory = directory.parent
    return ModuleLocation(parts, path, directory)


def import_target(name: str, deployed_as: str | None = None) -> ModuleType:
    """Import a module.

    Args:
        name: `FILE.py` or `package.module`.
        deployed_as: Module of an earlier release, in the same form; its name is used.

    Raises:
        LookupError: There is no such file.
    """
    location = locate(name)
    if location.root is not None:
        # Modules beside the file can be imported, as when Python runs the file.
        sys.path.insert(0, str(location.root))
    parts = location.parts if deployed_as is None else locate(deployed_as).parts
    is_in_a_package = location.root is None or len(location.parts) > 1
    if location.file is None or (is_in_a_package and parts == location.parts):
        return importlib.import_module(location.name)
    return _import_as(location.file, location.parts, parts)


def import_once(name: str) -> ModuleType:
    """Return a module; import it only if no module was imported from the same file.

    Args:
        name: `FILE.py` or `package.module`.

    Raises:
        LookupError: There is no such file.
    """
    file = locate(name).file
    for module in list(sys.modules.values()) if file is not None else ():
        if getattr(module, "__file__", None) == str(file):
            return module
    return import_target(name)


def _import_as(file: Path, own: Sequence[str], name: Sequence[str]) -> ModuleType:
    """Import a file under a full name, and its packages under the first parts of that name.

    A file outside of any package is always imported in this way: its name may be that of a module of
    the standard library.
    """
    package: ModuleType | None = None
    if len(own) == len(name):
        # The number of parts of the name is the number of levels up to the outermost package.
        inner = file.parent if file.stem != "__init__" else file.parent.parent
        directories = [inner, *inner.parents][: len(own) - 1][::-1]
        for level, directory in enumerate(directories, start=1):
            package = _executed(".".join(name[:level]), directory / "__init__.py", package)
    return _executed(".".join(name), file, package)


def _executed(name: str, file: Path, package: ModuleType | None) -> ModuleType:
    locations = [str(file.parent)] if file.stem == "__init__" else None
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=locations)
    if spec is None or spec.loader is None:
        raise LookupError(f"{file} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    if package is not None:
        setattr(package, name.rpartition(".")[2], module)
    return module


def _file_of(parts: Sequence[str]) -> Path | None:
    """Return the file of a dotted name; `find_spec` would import the packages around it."""
    try:
        spec = importlib.util.find_spec(parts[0])
    except (ImportError, ValueError):
        return None
    if spec is None:
        return None
    if len(parts) == 1:
        return Path(spec.origin) if spec.has_location and spec.origin else None
    for directory in spec.submodule_search_locations or ():
        inner = Path(directory, *parts[1:])
        for file in (inner.with_name(f"{inner.name}.py"), inner / "__init__.py"):
            if file.is_file():
                return file
    return None
