"""Why a target could not be run, or failed: facts from which advice is made later.

Collected in the target process, where the program's objects are; judged elsewhere. Text from the
program is as the program gave it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from resumectl.model.codec import Plain


@dataclass(frozen=True, slots=True)
class CodeLine:
    """One line of the user's code.

    Attributes:
        file: Path of the file.
        line: Number of the line, from 1; 0 if it is not known.
        function: Name of the function around it; empty if none is known.
        text: The line itself, without indentation.
    """

    file: str
    line: int
    function: str
    text: str


@dataclass(frozen=True, slots=True)
class SetupCode:
    """A place in the program that does what is missing in a trial.

    Attributes:
        file: Path of the file.
        line: Number of the line, from 1.
        function: Name of the function around it; empty at the top level.
        is_callable: Whether that function takes no argument and neither launches DBOS nor serves.
        lines: Python lines that do the same elsewhere.
    """

    file: str
    line: int
    function: str
    is_callable: bool
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class GlobalSetup:
    """A global variable that only the program's `main` sets.

    Attributes:
        name: Name of the variable.
        is_before_launch: Whether `main` sets it before it launches DBOS.
        code: Where it does.
    """

    name: str
    is_before_launch: bool
    code: SetupCode


@dataclass(frozen=True, slots=True)
class MissingModule:
    """A module that could not be imported.

    Attributes:
        module: Its full name.
        package: Its top-level package, where that is installed and lacks the module; else None.
        needs_file: File of the project that names its distributions; None if there is none.
        source: Directory from which the module could be imported; None if none was found.
        project: Directory of the project around that; None if there is none.
    """

    module: str
    package: str | None
    needs_file: str | None
    source: str | None
    project: str | None


@dataclass(frozen=True, slots=True)
class MissingTable:
    """A table that the database of a trial does not have.

    Attributes:
        table: Its name, as the program wrote it.
        setup: Where the program creates it; None if that was not found.
        migrations: Files of migration tools beside the program.
    """

    table: str
    setup: SetupCode | None
    migrations: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PythonError:
    """An exception.

    Attributes:
        type: Full name of its class.
        message: Its text, shortened.
        where: Nearest line of the user's code; None if there is none.
        traceback: The whole of it, as Python prints it.
        dbos_version: Version of dbos that is installed.
        missing_module: Set for a `ModuleNotFoundError`.
        half_imported: Module that is still being imported and whose name is missing.
        relative_path: Relative path of a missing file that exists in the user's directory.
        missing_table: Set where the error says that a table does not exist.
        unset_global: Set where the error is about a global variable that only `main` sets.
        unset_variables: Environment variables that are asked for and not set.
    """

    KIND: ClassVar[str] = "python-error"
    type: str
    message: str
    where: CodeLine | None
    traceback: str
    dbos_version: str
    missing_module: MissingModule | None
    half_imported: str | None
    relative_path: str | None
    missing_table: MissingTable | None
    unset_global: GlobalSetup | None
    unset_variables: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class UnknownName:
    """The module has no such name.

    Attributes:
        file: File or module, as it was typed.
        nearest: Names of the module that are alike.
        workflows: Names that can be swept, the most alike first.
        option: What was typed ahead of the name, as in `--after-launch `; empty for the target.
        unset_global: Set where `main` sets the name.
    """

    KIND: ClassVar[str] = "unknown-name"
    file: str
    nearest: tuple[str, ...]
    workflows: tuple[str, ...]
    option: str
    unset_global: GlobalSetup | None


@dataclass(frozen=True, slots=True)
class MethodOfClass:
    """The name is a method of a class, or a class, where an instance is needed.

    Attributes:
        file: File or module, as it was typed.
        class_name: Name of the class.
        method: Name of the method.
        instances: Names of instances in the module.
    """

    KIND: ClassVar[str] = "method-of-class"
    file: str
    class_name: str
    method: str
    instances: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class ClassWithoutName:
    """The name is a method of an object whose class DBOS does not know.

    Attributes:
        class_name: Name of the class.
        defined_at: `FILE:LINE` of its definition; empty if it is not known.
    """

    KIND: ClassVar[str] = "class-without-name"
    class_name: str
    defined_at: str


@dataclass(frozen=True, slots=True)
class NotAWorkflow:
    """The name is neither a workflow nor a Scenario.

    Attributes:
        file: File or module, as it was typed.
        module: Name under which another file imports it.
        name: The name.
        workflows: Names that can be swept.
        defined_at: `FILE:LINE` of its definition; empty if it is not known.
        what: `application`, `class`, `step`, `function` or `object`.
        framework: Web framework of an application; empty for none.
        call: Python text that calls it.
        is_async: Whether the call is to be awaited.
    """

    KIND: ClassVar[str] = "not-a-workflow"
    file: str
    module: str
    name: str
    workflows: tuple[str, ...]
    defined_at: str
    what: str
    framework: str
    call: str
    is_async: bool


@dataclass(frozen=True, slots=True)
class ScenarioWithArguments:
    """The target is a Scenario, and was given arguments."""

    KIND: ClassVar[str] = "scenario-with-arguments"


@dataclass(frozen=True, slots=True)
class WrongArguments:
    """The arguments do not fit the workflow.

    Attributes:
        is_value: Whether one value is wrong, rather than their number or names.
        defined_at: `FILE:LINE` of the workflow's definition; empty if it is not known.
        example: Values for the parameters that are given by position or name.
        named_example: Values for the parameters that are given by name alone.
    """

    KIND: ClassVar[str] = "wrong-arguments"
    is_value: bool
    defined_at: str
    example: Mapping[str, Plain]
    named_example: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class UnbuildableArgument:
    """An argument that cannot be built from JSON.

    Attributes:
        file: File or module, as it was typed.
        module: Name under which another file imports it.
        name: Name of the workflow.
        parameter: Name of the parameter.
        annotation: Its type, as the program names it.
        recipe: Python text that makes a value of that type.
        parameters: Names of all parameters that must be given.
        by_name: Those that are given by name alone.
    """

    KIND: ClassVar[str] = "unbuildable-argument"
    file: str
    module: str
    name: str
    parameter: str
    annotation: str
    recipe: str
    parameters: tuple[str, ...]
    by_name: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class NotAFunction:
    """What is to run after launch is no function without parameters."""

    KIND: ClassVar[str] = "not-a-function"


# What the command line names cannot be run, whatever is mended in the program.
Mistyped = (
    UnknownName
    | MethodOfClass
    | NotAWorkflow
    | ScenarioWithArguments
    | WrongArguments
    | UnbuildableArgument
    | NotAFunction
)
Cause = PythonError | ClassWithoutName | Mistyped


@dataclass(frozen=True, slots=True)
class TargetError:
    """Why a target could not be run, or failed.

    Attributes:
        summary: What is wrong, one line.
        cause: What is known of it.
    """

    summary: str
    cause: Cause
