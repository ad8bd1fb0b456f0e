"""What is under test, resolved in the victim: a workflow function, a Scenario, the publisher.

The only part of the lab, with `victim`, that loads the program under test, and that knows
the publisher. The experimenter knows a scenario as text: see `subject`.
"""

import functools
import hashlib
import importlib
import importlib.util
import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from resumectl.lab.effects import Scenario
from resumectl.lab.subject import Subject


def load(subject: Subject, database_url: str) -> Scenario:
    """Import what is under test.

    Args:
        subject: What the command line said.
        database_url: The trial's, for the built-in publisher.

    Raises:
        LookupError: There is no such file, module or name.
        TypeError: It is neither a workflow nor a Scenario.
    """
    if subject.target is None:
        from resumectl.lab.builtin import publisher_scenario

        return publisher_scenario(subject, database_url)
    module_name, name = subject.target
    found: Any = _module(module_name)
    for part in name.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise LookupError(f"{module_name} has no {name}") from None
    if isinstance(found, Scenario):
        return found
    if not callable(found):
        raise TypeError(f"{module_name}:{name} is neither a workflow nor a Scenario")
    workflow_id = f"{name.rpartition('.')[2]}-1"
    return Scenario(
        request=functools.partial(_run, found, workflow_id, subject.args, subject.kwargs)
    )


def _run(
    workflow: Callable[..., Any],
    workflow_id: str,
    args: Sequence[Any],
    kwargs: Mapping[str, Any],
) -> Any:
    with SetWorkflowID(workflow_id):
        return DBOS.start_workflow(workflow, *args, **kwargs).get_result()


def _module(name: str) -> Any:
    if not name.endswith(".py"):
        return importlib.import_module(name)
    path = Path(name)
    if not path.is_file():
        raise LookupError(f"there is no file {name}")
    # Modules beside the file can be imported, as when it is run.
    sys.path.insert(0, str(path.parent))
    module_name = path.stem
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise LookupError(f"{name} cannot be imported")
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    spec.loader.exec_module(module)
    return module


def digest_of(subject: Subject) -> str:
    """Of the text of the file under test, which has been loaded; empty for the publisher."""
    if subject.target is None:
        return ""
    name = subject.target[0]
    module = sys.modules[Path(name).stem if name.endswith(".py") else name]
    if module.__file__ is None:
        return ""  # a namespace has no file, and a scenario in it has no name
    return hashlib.sha256(Path(module.__file__).read_bytes()).hexdigest()


def plain(value: Any) -> Any:
    """What a request or an observation returned, as JSON can hold it."""
    from resumectl.lab.recorder import shown

    if inspect.iscoroutine(value):
        raise TypeError("a coroutine was returned, and nobody awaited it")
    return json.loads(json.dumps(value, default=shown, sort_keys=True))
