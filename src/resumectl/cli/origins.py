"""Tell where pyproject.toml has the option that a refusal names, also if only a run can find the mistake."""

from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from resumectl.cli.option_spelling import options_in, respell
from resumectl.cli.project_file import Project, option_of, spelled_key
from resumectl.errors import Refusal
from resumectl.model.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True)
class Origins:
    """Where the targets of one command come from.

    Attributes:
        project: Configuration of the project; None if there is none.
        specs: Each sweep spec, with the name of its target in the project; None for a target that the
            user typed.
        typed: Names of the options that the user typed.
    """

    project: Project | None
    specs: Sequence[tuple[SweepSpec, str | None]]
    typed: Collection[str]

    @contextmanager
    def told(self, spec: SweepSpec) -> Iterator[None]:
        """Let a refusal say where the project has the option that it names, and spell it as there.

        A refusal that names no configured option stays as it is: the mistake is elsewhere.

        Args:
            spec: The sweep spec to which a refusal belongs.
        """
        try:
            yield
        except Refusal as refusal:
            if self.project is not None:
                name = next(name for known, name in self.specs if known is spec)
                self._tell(refusal, self.project, name)
            raise

    def _tell(self, refusal: Refusal, project: Project, name: str | None) -> None:
        values = project.defaults if name is None else project.options_of(name)
        configured = values.keys() - {*self.typed}
        flags = [*options_in(refusal.what), *options_in(refusal.next_step)]
        named = (option_of(flag) for flag in flags)
        option = next((each for each in named if each in configured), None)

        def spell(flag: str, value: str | None) -> str | None:
            return spelled_key(flag, value) if option_of(flag) in configured else None

        if option is not None:
            respell(refusal, spell, place=project.place_of(name, option))


# Of a target that is read from a stored sweep.
STORED = Origins(None, (), ())
