"""Start a module of resumectl in the interpreter of the application, or in resumectl's own.

Run as `PYTHON start.py DIRECTORY MODULE ARGUMENT…`. In another interpreter, the directory holds resumectl
and nothing else, so that nothing else of resumectl's environment can be imported. It is put before the
import path, in this process only: neither PYTHONPATH nor the environment is changed. If dbos cannot be
imported, the error is written to the file `import-error` in it, with the file of the working directory that
raised it, which may have the name of a library. Without a directory (''), resumectl is installed here.
"""

import os
import sys
import traceback
from runpy import run_module

_directory, _module = sys.argv[1:3]
del sys.argv[1:3]
if sys.path and sys.path[0] == os.path.dirname(os.path.abspath(__file__)):  # noqa: PTH100, PTH120
    sys.path[0] = os.getcwd()  # noqa: PTH109 (as `python -m` has it; pathlib is not loaded yet)
if _directory:
    sys.path.insert(0, _directory)
try:
    from resumectl.compiled_files import keep_compiled_libraries

    keep_compiled_libraries()
    import dbos  # noqa: F401
except BaseException as _error:
    if not _directory:
        raise
    _files = [_frame.filename for _frame in traceback.extract_tb(_error.__traceback__)]
    _here = [each for each in _files if each.startswith(os.getcwd() + os.sep)]  # noqa: PTH109
    _where = f" (in {_here[-1]})" if _here else ""
    with open(os.path.join(_directory, "import-error"), "w") as _file:  # noqa: PTH118, PTH123
        _file.write(f"{type(_error).__name__}: {_error}{_where}")
    sys.exit(1)
run_module(_module, run_name="__main__", alter_sys=True)
