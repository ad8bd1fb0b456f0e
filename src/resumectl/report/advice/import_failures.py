"""Advise a user whose module cannot be imported, or whose import does not end."""

from resumectl.model.events import Phase, Stalled, TimeRunsOut
from resumectl.report.advice.old_dbos import what_changed
from resumectl.report.advice.situation import (
    BEFORE_REQUEST,
    MAIN,
    Advice,
    Situation,
    base,
    fails,
)


def import_does_not_end(at: Situation) -> Advice | None:
    """Advise where the run does not reach the launch of DBOS."""
    stalled = at.process.last(Stalled)
    stood = stalled or at.process.last(TimeRunsOut)
    if at.error or at.has_answer or at.phase not in BEFORE_REQUEST:
        return None
    if stood is None and at.process.exit.in_time:
        return None
    doing = BEFORE_REQUEST[at.phase].format(*at.target)
    where = stood.where if stood else None
    serves = stalled is not None and stalled.is_serving
    what = f"{doing} does not end"
    if where:
        what += f": it {'serves requests' if serves else 'is waiting'} at {at.line(where)}"
    if at.phase is Phase.IMPORT:
        return Advice(
            what,
            f"move code that must run only in the main program under  {MAIN}"
            + ("" if serves else "   or give it more time:  --timeout 300"),
        )
    return Advice(what, "correct what blocks it;  or give it more time:  --timeout 300")


def module_missing(at: Situation) -> Advice | None:
    """Advise where a module is not installed, or has another name."""
    missing = at.python_error.missing_module if at.python_error is not None else None
    if missing is None:
        return None
    location = at.location()
    module = missing.module
    subject = f"{location} imports {module}, which" if location else f"the module {module}"
    if missing.package is not None:
        return Advice(f"{subject} is not in the package {missing.package}", f"correct {location}")
    if missing.source is None:
        needs = missing.needs_file
        return Advice(
            f"{subject} is not installed",
            "install the distribution that provides it"
            + (f", as {at.short(needs)} may name it," if needs else "")
            + " in the environment that runs resumectl;  "
            "or, where its source is elsewhere,  --env PYTHONPATH=DIRECTORY",
            is_mistyped=not location,
        )
    source = at.short(missing.source)
    install = f"pip install -e {at.short(missing.project)}" if missing.project else ""
    return Advice(
        f"{subject} is in {source} and is not installed",
        (f"{install};  or  " if install else "") + f"--env PYTHONPATH={source}",
        is_mistyped=not location,
    )


def syntax(at: Situation) -> Advice | None:
    """Advise where a file is not valid Python."""
    if not at.type.endswith(("SyntaxError", "IndentationError", "TabError")):
        return None
    where = at.where
    if where is None:
        file = at.target[0]
        return Advice(f"{file} is not valid Python: {at.message}", f"correct {file}")
    return Advice(
        f"{at.location()} is not valid Python: {at.message.partition(' (')[0]}: {where.text}",
        f"correct line {where.line} of {at.short(where.file)}",
    )


def variable_missing(at: Situation) -> Advice | None:
    """Advise where an environment variable is not set."""
    unset = at.python_error.unset_variables if at.python_error is not None else ()
    if not unset:
        return None
    is_exit = at.type == "builtins.SystemExit"
    if is_exit and at.where is not None and "exit" not in at.where.text:
        return None  # the program reads another command line
    is_said = at.type.endswith("KeyError")
    if not is_said and at.phase not in BEFORE_REQUEST:
        return None  # the program ran so far without it
    names = ", ".join(unset)
    verb = "is" if len(unset) == 1 else "are"
    variables = f"the environment variable {names}" if len(unset) == 1 else f"the variables {names}"
    what = f"{at.location()} needs {variables}, which {verb} not set"
    if not is_said:
        what = f"{fails(at)}; {variables}, for which it asks, {verb} not set"
    options = " ".join(f"--env {name}=VALUE" for name in unset)
    return Advice(what, f"{options};  {{database_url}} and {{sandbox}} are filled in")


def written_for_another_dbos(at: Situation) -> Advice | None:
    """Advise where the program uses an API of another release of DBOS."""
    error = at.python_error
    found = what_changed(at.type, at.message) if error is not None else None
    if error is None or found is None:
        return None
    location = f"{at.location()}: " if at.location() else ""
    return Advice(f"{location}{found.what}; installed is dbos {error.dbos_version}", found.instead)


_RELATIVE = "attempted relative import"


def relative_import(at: Situation) -> Advice | None:
    """Advise where a file of a package is named as a file."""
    where = at.where
    file, name = at.target
    if _RELATIVE not in at.message or where is None or at.short(where.file) != file:
        return None
    what = f"{at.line(where)} is relative to a package, and the file {file} is in none"
    module = file.removesuffix(".py").replace("/", ".")
    if "." in module and all(each.isidentifier() for each in module.split(".")):
        return Advice(what, f"name the module rather than the file:  {module}:{name}")
    return Advice(
        what,
        "name the module rather than the file, from the directory above its package, "
        f"as in  PACKAGE.{base(file).removesuffix('.py')}:{name}",
    )


def circular_import(at: Situation) -> Advice | None:
    """Advise where modules import each other in a circle."""
    module = at.python_error.half_imported if at.python_error is not None else None
    where = at.where
    if module is None or where is None:
        return None
    if module == base(where.file).removesuffix(".py"):
        return Advice(
            f"{at.line(where)} imports {at.short(where.file)} itself, since that is named {module}",
            "give the file another name",
        )
    return Advice(
        f"{at.line(where)} needs a name of {module}, which is still being imported: "
        "these modules import each other in a circle",
        f"import {module} inside the function of {at.short(where.file)} that uses it",
    )


def import_exits(at: Situation) -> Advice | None:
    """Advise where the import calls `sys.exit`."""
    if at.type != "builtins.SystemExit" or at.phase not in BEFORE_REQUEST:
        return None
    location = at.location() or "a library"
    # With a number, the process prints the reason before; with a text, the text is the reason.
    reason = "" if not at.message or at.message.lstrip("-").isdigit() else at.message
    what = f"importing {at.target[0]} ends the process: sys.exit at {location}"
    if reason:
        return Advice(
            f"{what}: {reason}", f"correct what it says;  or put what exits under  {MAIN}"
        )
    return Advice(what, f"put what reads the command line, or exits, under  {MAIN}")


def workflow_called_at_import(at: Situation) -> Advice | None:
    """Advise where the import calls a workflow before DBOS is launched."""
    if "invoked before DBOS initialized" not in at.message or at.phase is not Phase.IMPORT:
        return None
    return Advice(
        f"{at.line(at.where)} calls a workflow while it is imported"
        if at.where
        else f"importing {at.target[0]} calls a workflow",
        "call it in a Scenario's request, as in  Scenario(request=lambda: checkout(...));  "
        f"or under  {MAIN}",
    )


def program_exits(at: Situation) -> Advice | None:
    """Advise where the program ends its process after the request was made, as in a step."""
    is_exit = at.type == "builtins.SystemExit"
    if at.has_answer or at.phase in BEFORE_REQUEST or (at.error and not is_exit):
        return None
    step, location = at.process.running_step, at.location()
    how = f"sys.exit at {location}" if is_exit and location else str(at.process.exit)
    what = f"the {f'step {step}' if step else 'program'} ends its process: {how}"
    if at.process.exit.signal is not None:
        return Advice(what, f"see what ends it:  python -X faulthandler {at.target[0]}")
    return Advice(what, "raise an exception there instead")


def process_ended(at: Situation) -> Advice | None:
    """Advise where the process ended before its request."""
    if at.has_answer or at.phase not in BEFORE_REQUEST:
        return None
    doing = BEFORE_REQUEST[at.phase].format(*at.target)
    what = f"{doing} ends its process: {at.process.exit}"
    if at.process.exit.signal is not None:
        return Advice(what, f"see what ends it:  python -X faulthandler {at.target[0]}")
    return Advice(what, f"put what calls os._exit under  {MAIN}")
