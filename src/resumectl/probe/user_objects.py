"""Name the types of values that belong to the program under test or to a library of it.

resumectl knows no class of such a value. It reads attributes of it, calls it or hands it on.
"""

from collections.abc import Callable
from typing import Any

# A function of the program, of DBOS or of a driver that is called with what its caller gave.
Function = Callable[..., object]
# A class, function or instance of the program: anything that a name in a module may mean.
UserObject = Any
# What a parameter of the program is annotated with: a class, or a form of `typing`.
Annotation = Any
# An argument or object of a database driver or of `socket`: its class depends on the driver.
DriverObject = Any
