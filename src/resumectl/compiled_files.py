"""Keep compiled libraries in a cache where PYTHONDONTWRITEBYTECODE is set.

Many container images set it. Then each process compiles DBOS and SQLAlchemy again, unless their installation
has compiled them: `import dbos` takes 1.4 s instead of 0.5 s (DBOS 3.4.0, Python 3.11.7). resumectl starts
many processes, so it keeps the compiled libraries in `~/.cache/resumectl/compiled`.

Modules of the program under test are never kept: Python recognizes an edited module by its size and by the
second of its last change, and an edit may change neither.

To be called before other modules are imported; it imports the least itself.
"""

import os
import sys
import zlib
from importlib.machinery import (
    BYTECODE_SUFFIXES,
    EXTENSION_SUFFIXES,
    SOURCE_SUFFIXES,
    ExtensionFileLoader,
    FileFinder,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from importlib.util import cache_from_source
from pathlib import Path
from types import CodeType


class _Loader(SourceFileLoader):
    """Loader that compiles a module again where its compiled file is damaged.

    Python (3.11) writes half a file on a full disk, takes it for a whole one, and fails at each later start.
    """

    def get_code(self, fullname: str) -> CodeType | None:
        """Return the code of a module.

        Args:
            fullname: Full name of the module.
        """
        try:
            return super().get_code(fullname)
        except (EOFError, ImportError, TypeError, ValueError):
            path = self.get_filename(fullname)
            Path(cache_from_source(path)).unlink(missing_ok=True)
            return self.source_to_code(self.get_data(path), path)


_hook = FileFinder.path_hook(
    (ExtensionFileLoader, EXTENSION_SUFFIXES),
    (_Loader, SOURCE_SUFFIXES),
    (SourcelessFileLoader, BYTECODE_SUFFIXES),
)


def keep_compiled_libraries() -> None:
    """Make this process keep the modules that it compiles, if it would compile dbos each time."""
    if not sys.dont_write_bytecode or sys.pycache_prefix is not None:
        return
    spec = PathFinder.find_spec("dbos")
    if spec is None or spec.origin is None or spec.cached is None or Path(spec.cached).exists():
        return
    try:
        directory = _directory_for(Path(spec.origin).parents[1])
    except (OSError, RuntimeError):  # no place to keep them, or no home: Python compiles them again
        return
    sys.pycache_prefix = str(directory)
    sys.dont_write_bytecode = False
    sys.path_hooks.insert(0, _hook)
    sys.path_importer_cache.clear()


def stop_keeping() -> None:
    """Make this process keep no compiled module from now on."""
    if _hook in sys.path_hooks:
        sys.pycache_prefix = None
        sys.dont_write_bytecode = True
        sys.path_hooks.remove(_hook)
        sys.path_importer_cache.clear()


def _root() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME")
    return Path(cache or Path.home() / ".cache", "resumectl", "compiled")


def _directory_for(installed_in: Path) -> Path:
    """Return the directory for the libraries that are installed in another one, and make it.

    It belongs to these releases: an archive may give the files of two releases the same time. What is
    kept of other releases in the same place is deleted.
    """
    releases = sorted(each.name for each in installed_in.glob("*.dist-info"))
    of_place = _root() / f"{zlib.crc32(os.fsencode(installed_in)):08x}"
    directory = of_place / f"{zlib.crc32(os.fsencode(' '.join(releases))):08x}"
    if not directory.is_dir():
        directory.mkdir(parents=True, mode=0o700)
        _delete_others(of_place, directory)
    return directory


def _delete_others(of_place: Path, kept: Path) -> None:
    import shutil

    for each in of_place.iterdir():
        if each != kept:
            # Another process may still read it, and then compiles what it needs, or delete it, too.
            shutil.rmtree(each, ignore_errors=True)
