"""Define the target as the command line names it: text and numbers, no code of the program."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from resumectl.errors import Refusal
from resumectl.model.codec import Plain
from resumectl.model.text_enum import TextEnum

# Default duration of the outage between two processes by their clocks, in seconds: real outages last
# minutes or hours.
DOWNTIME_S = 3_600.0
PREPARE_MAX_S = 120.0
TIMEOUT_MAX_S = 3_600  # largest time limit that a user can set for a process, in seconds
# Module of the built-in scenario. The target process loads it only by this name, so the probe does not
# depend on resumectl's publisher.
BUILTIN_MODULE = "resumectl.publishing.scenario"


class Client(TextEnum):
    """What the client does after a crash."""

    RETRIES = "retries"  # it makes its request again
    GIVES_UP = "gives-up"  # it does so only if no workflow of the request was accepted


@dataclass(frozen=True, slots=True)
class Access:
    """Access of a target to the outside of its sandbox. URLs have no password.

    Args:
        redirects: Databases that are replaced by another one inside the sandbox.
        databases: Databases that may be opened.
        hosts: Hosts that may be reached, as `HOST` or `HOST:PORT`.
        prepare: Command that makes the tables once, in the template; None for none.
        prepare_in: Working directory of that command.
        prepare_max_s: Maximum duration of that command, in seconds.
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
        args: Positional arguments of the workflow, as plain data.
        kwargs: Keyword arguments of the workflow, as plain data.
        environ: Environment variables of the target process; `{sandbox}` and `{database_url}` in
            a value stand for the sandbox's directory and database.
        count: Number of messages in the publisher's batch.
        guarantee: Delivery guarantee of the publisher's batch.
        concurrency: Maximum number of messages that the publisher delivers at the same time.
        app_version: Application version of the processes; None for the one that the program sets, or
            else the one that DBOS computes from the workflows' sources.
        max_sleep_s: Maximum duration of a `DBOS.sleep`, in seconds; None for no limit.
        after_launch: Module (or absolute path of a file) and function to call in each process
            after DBOS is launched; None for none.
        observe: Module (or absolute path of a file) and function that returns plain data about the outside
            world when all workflows have ended; None for that of the Scenario.
        access: Access to the outside of its sandbox.
        client: What the client does after a crash; None to retry if the request fixes the ids of its
            workflows, and to give up otherwise.
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
    observe: tuple[str, str] | None = None
    access: Access = field(default_factory=Access)
    client: Client | None = None

    def environ_in(
        self, directory: str, database_url: str, usual: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the environment variables of its process, for one sandbox.

        Args:
            directory: Directory of the sandbox.
            database_url: URL of the sandbox's database.
            usual: The user's environment; a database URL keeps the driver that it has there.
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
    """Return an environment without proxies, which would hide calls to other hosts."""
    return {name: value for name, value in environ.items() if not name.lower().endswith("_proxy")}


def _with_usual_driver(url: str, usual: str) -> str:
    """Return a URL with the driver of another URL, if both have the same kind of database."""
    kinds = (each.partition("://")[0].partition("+")[0] for each in (url, usual))
    if len({kind.replace("postgresql", "postgres") for kind in kinds}) > 1:
        return url
    return f"{usual.partition('://')[0]}://{url.partition('://')[2]}"


def parse_target(text: str, example: str = "shop.py:checkout") -> tuple[str, str]:
    """Split `FILE.py:NAME` or `package.module:NAME`.

    Args:
        text: Text that the user typed.
        example: Correct text, for the error.

    Raises:
        Refusal: The text has another form.
    """
    module, _, name = text.rpartition(":")
    dotted = [name] if module.endswith(".py") else [module, name]
    if not all(part.isidentifier() for each in dotted for part in each.split(".")):
        raise Refusal(
            f"{text!r} is neither FILE.py:NAME nor package.module:NAME",
            next_step=f"as in  {example}",
        )
    return module, name
