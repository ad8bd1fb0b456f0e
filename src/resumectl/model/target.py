"""The program under test as the command line names it: text and numbers, no code of the program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from resumectl.errors import Refusal
from resumectl.model.codec import Plain

# How long the outage between two processes lasts by their clocks, in seconds: real ones last
# minutes or hours.
DOWNTIME_S = 3_600.0
PREPARE_MAX_S = 120.0
# The module of the built-in scenario. The target process loads it by this name alone, so that what
# runs inside the application's interpreter does not depend on resumectl's publisher.
BUILTIN_MODULE = "resumectl.publishing.scenario"


@dataclass(frozen=True, slots=True)
class Access:
    """What a target may use outside its sandbox; URLs are without a password.

    Args:
        redirects: Databases that get another one inside the sandbox in their place.
        databases: Databases that may be opened.
        hosts: `HOST` or `HOST:PORT`, which may be connected to.
        prepare: Command that makes the tables, once, in the template; None for none.
        prepare_in: Directory in which that runs.
        prepare_max_s: Maximum duration of that, in seconds.
    """

    redirects: tuple[str, ...] = ()
    databases: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    prepare: str | None = None
    prepare_in: str = ""
    prepare_max_s: float = PREPARE_MAX_S


@dataclass(frozen=True, slots=True)
class Target:
    """The program under test.

    Args:
        entry: Module (or absolute path of a file) and name in it; None for the publisher.
        args: Positional arguments of the workflow; plain data.
        kwargs: Keyword arguments of the workflow; plain data.
        environ: Environment variables of the target process; `{sandbox}` and `{database_url}` in
            a value stand for the sandbox's directory and database.
        count: Number of messages in the publisher's batch.
        guarantee: Guarantee of the publisher's batch.
        concurrency: Maximum number of messages that the publisher has at work at a time.
        app_version: Application version of the processes; None: the one that the program sets,
            or else the one that DBOS computes from the workflows' sources.
        max_sleep_s: Maximum duration of a `DBOS.sleep`, in seconds; None: as long as it says.
        after_launch: Module (or absolute path of a file) and function to call in each process
            after DBOS is launched; None for none.
        access: What it may use outside its sandbox.
    """

    entry: tuple[str, str] | None = None
    args: Sequence[Plain] = ()
    kwargs: Mapping[str, Plain] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    count: int = 5
    guarantee: str = "exactly-once"
    concurrency: int = 10
    app_version: str | None = None
    max_sleep_s: float | None = None
    after_launch: tuple[str, str] | None = None
    access: Access = field(default_factory=Access)

    def environ_in(
        self, directory: str, database_url: str, usual: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the environment variables of its process, for one sandbox.

        Args:
            directory: Directory of the sandbox.
            database_url: URL of the sandbox's database.
            usual: The user's environment, which says with which driver a variable names a database.
        """
        return {
            name: value.replace("{sandbox}", directory).replace(
                "{database_url}", _with_usual_driver(database_url, usual.get(name, ""))
            )
            for name, value in self.environ.items()
        }

    def __str__(self) -> str:
        if self.entry is None:
            return f"publisher --count {self.count} --guarantee {self.guarantee}"
        module, name = self.entry
        return f"{module.rpartition('/')[2]}:{name}"


def without_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without its proxies: calls to other hosts through them are not seen."""
    return {name: value for name, value in environ.items() if not name.lower().endswith("_proxy")}


def _with_usual_driver(url: str, usual: str) -> str:
    """Return a URL with the driver of another one, where both are of one kind of database."""
    kinds = (each.partition("://")[0].partition("+")[0] for each in (url, usual))
    if len({kind.replace("postgresql", "postgres") for kind in kinds}) > 1:
        return url
    return f"{usual.partition('://')[0]}://{url.partition('://')[2]}"


def parse_target(text: str, example: str = "shop.py:checkout") -> tuple[str, str]:
    """Split `FILE.py:NAME` or `package.module:NAME`.

    Args:
        text: What the user typed.
        example: What could be typed in its place, for the error.

    Raises:
        Refusal: The text is neither.
    """
    module, _, name = text.rpartition(":")
    dotted = [name] if module.endswith(".py") else [module, name]
    if not all(part.isidentifier() for each in dotted for part in each.split(".")):
        raise Refusal(
            f"{text!r} is neither FILE.py:NAME nor package.module:NAME",
            next_step=f"as in  {example}",
        )
    return module, name
