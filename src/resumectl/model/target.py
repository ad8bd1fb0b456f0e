"""What is under test, as text: how the experimenter knows it. Pure; imports no scenario."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from resumectl.errors import Refusal

# How long the outage between two processes lasts by their clocks, in seconds: real ones last
# minutes or hours.
DOWNTIME_S = 3_600.0
PREPARE_MAX_S = 120.0


@dataclass(frozen=True, slots=True)
class Access:
    """What a target may use outside its sandbox; URLs are without a password.

    Args:
        redirects: Databases that get another one inside the sandbox in their place.
        databases: Databases that may be opened.
        hosts: `HOST` or `HOST:PORT`, which may be connected to.
        prepare: A command that makes the tables, once, in the template; None for none.
        prepare_in: The directory where that runs.
        prepare_max_s: Maximum duration of that, in seconds.
    """

    redirects: Sequence[str] = ()
    databases: Sequence[str] = ()
    hosts: Sequence[str] = ()
    prepare: str | None = None
    prepare_in: str = ""
    prepare_max_s: float = PREPARE_MAX_S


@dataclass(frozen=True, slots=True)
class Subject:
    """A scenario as the command line names it.

    Args:
        target: Module (or absolute path of a file) and name in it; None for the publisher.
        args: Of the workflow, as JSON.
        kwargs: Likewise.
        environ: For the victim; `{place}` and `{database_url}` are filled in.
        count: Messages of the publisher's batch.
        guarantee: Of the publisher's batch.
        concurrency: Of the publisher's queue.
        app_version: Application version of the processes; None: the one that the program sets,
            or else the one that DBOS computes from the workflows' sources.
        longest_sleep_s: Seconds that a longer `DBOS.sleep` lasts; None for as long as it says.
        after_launch: Module (or absolute path of a file) and function to call in each process
            after DBOS is launched; None for none.
        access: What it may use outside its sandbox.
    """

    target: tuple[str, str] | None = None
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    count: int = 5
    guarantee: str = "exactly-once"
    concurrency: int = 10
    app_version: str | None = None
    longest_sleep_s: float | None = None
    after_launch: tuple[str, str] | None = None
    access: Access = field(default_factory=Access)

    def as_plain(self) -> dict[str, Any]:
        """Itself, for JSON."""
        return asdict(self)

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Self:
        """Read it back; an option that its resumectl did not know has its default."""
        pairs = {name: values.get(name) for name in ("target", "after_launch")}
        return cls(
            **{
                **values,
                **{name: tuple(pair) if pair else None for name, pair in pairs.items()},
                "access": Access(**values.get("access", {})),
            }
        )

    def environ_in(
        self, directory: str, database_url: str, usual: Mapping[str, str]
    ) -> dict[str, str]:
        """Return the environment of its process, for one sandbox.

        Args:
            directory: Of the sandbox.
            database_url: Of the sandbox's database.
            usual: The user's environment, which says with which driver a variable names a database.
        """
        return {
            name: value.replace("{place}", directory).replace(
                "{database_url}", _with_usual_driver(database_url, usual.get(name, ""))
            )
            for name, value in self.environ.items()
        }

    def __str__(self) -> str:
        if self.target is None:
            return f"publisher --count {self.count} --guarantee {self.guarantee}"
        module, name = self.target
        return f"{module.rpartition('/')[2]}:{name}"


def without_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without its proxies, by which calls to other hosts would go unseen."""
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
        text: What is split.
        example: What could be typed in its place, for the error.

    Raises:
        Refusal: It is neither.
    """
    module, _, name = text.rpartition(":")
    dotted = [name] if module.endswith(".py") else [module, name]
    if not all(part.isidentifier() for each in dotted for part in each.split(".")):
        raise Refusal(
            f"{text!r} is neither FILE.py:NAME nor package.module:NAME",
            next_step=f"as in  {example}",
        )
    return module, name
