"""resumectl: test whether a DBOS program survives crashes.

The public names are loaded when first used, for `import resumectl` alone must stay cheap.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from resumectl.probe.scenario import Scenario, effect
    from resumectl.publishing.publisher import Publisher
    from resumectl.publishing.runtime import Runtime
    from resumectl.publishing.store.state import Guarantee
    from resumectl.settings import Settings

__version__ = "0.1.0"
__all__ = ["Guarantee", "Publisher", "Runtime", "Scenario", "Settings", "__version__", "effect"]

_HOMES = {
    "Guarantee": "resumectl.publishing.store.state",
    "Runtime": "resumectl.publishing.runtime",
    "Publisher": "resumectl.publishing.publisher",
    "Scenario": "resumectl.probe.scenario",
    "Settings": "resumectl.settings",
    "effect": "resumectl.probe.scenario",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'resumectl' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
