"""Describe this interpreter, as one JSON object written to a file descriptor.

Run as a file by an interpreter of any version, also by one that is too old for everything else here: it
imports nothing of resumectl, and has no syntax that is newer than Python 3.6.
"""

import json
import os
import sys

about = {"python": ".".join(map(str, sys.version_info[:3])), "prefix": sys.prefix, "shadow": ""}
for directory in [os.getcwd()] + sys.path[1:]:  # the first entry is the directory of this file
    package = os.path.join(directory, "resumectl")
    is_other = os.path.exists(package + ".py") or os.path.exists(package + "/__init__.py")
    if is_other and not os.path.exists(package + "/probe"):
        about["shadow"] = package
try:
    from importlib.metadata import PackageNotFoundError, version
except ImportError:  # before Python 3.8
    pass
else:
    for package in ("dbos", "sqlalchemy"):
        try:
            about[package] = version(package)
        except PackageNotFoundError:
            about[package] = ""
os.write(int(sys.argv[1]), json.dumps(about).encode())
