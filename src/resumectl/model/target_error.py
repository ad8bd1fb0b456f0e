"""Define the facts of a target's error, from which advice is made later.

The target process collects them, because it has the program's objects. Text of the program is
unchanged.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from resumectl.model.codec import Plain


@dataclass(frozen=True, slots=True)
class CodeLine:
    """Line of the user's code.

    Attributes:
        file: Path of the file.
        line: Number of the line, from 1; 0 if it is not known.
        function: Name of the function around it; empty if none is known.
        text: Text of the line, without indentation.
    """

    file: str
    line: int
    function: str
    text: str


@dataclass(frozen=True, slots=True)
class SetupCode:
    """Code of the program that sets up what is missing in a trial.

    Attributes:
        file: Path of the file.
        line: Number of the line, from 1.
        function: Name of the function around it; empty at the top level.
        is_callable: Whether the function takes no argument and neither launches DBOS nor serves.
        lines: Python lines that do the same in another file.
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
        code: Code that sets the variable.
    """

    name: str
    is_before_launch: bool
    code: SetupCode


@dataclass(frozen=True, slots=True)
class MissingModule:
    """A module that could not be imported.

    Attributes:
        module: Its full name.
        package: Its top-level package, if that is installed and lacks the module; else None.
        needs_file: File of the project that lists its dependencies; None if there is none.
        source: Directory that contains the module; None if none was found.
        project: Directory of the project around `source`; None if there is none.
    """

    module: str
    package: str | None
    needs_file: str | None
    source: str | None
    project: str | None


@dataclass(frozen=True, slots=True)
class MissingTable:
    """Table that is missing in the database of a trial.

    Attributes:
        table: Its name, as in the program.
        setup: Code of the program that creates it; None if none was found.
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
        where: Innermost line of the user's code; None if there is none.
        traceback: Full traceback, as Python prints it.
        dbos_version: Version of dbos that is installed.
        missing_module: Set for a `ModuleNotFoundError`.
        half_imported: Partially imported module in which a name is missing.
        relative_path: Relative path of a missing file that exists in the user's directory.
        missing_table: Set if the error says that a table does not exist.
        unset_global: Set if the error is about a global variable that only `main` sets.
        unset_variables: Unset environment variables that the program reads.
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
        nearest: Similar names of the module.
        workflows: Names that can be swept, the most similar first.
        option: Option before the name, such as `--after-launch `; empty for the target.
        unset_global: Set if `main` sets the name.
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
        what: Kind of the object: `application`, `class`, `step`, `function` or `object`.
        framework: Web framework of an application; empty for none.
        call: Python text that calls it.
        is_async: Whether the call must be awaited.
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
        example: Values for the required parameters that may be given by position.
        named_example: Values for the required keyword-only parameters.
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
        parameters: Names of all required parameters.
        by_name: Names of the keyword-only ones.
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
    """The name after `--after-launch` is not a function without parameters."""

    KIND: ClassVar[str] = "not-a-function"


# Errors of the command line, which no change of the program corrects.
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
    """Error of a target that could not be run, or that failed.

    Attributes:
        summary: Description of the problem, one line.
        cause: Facts from which advice is made.
    """

    summary: str
    cause: Cause
