"""Keep a sweep spec with the place of its options, so that a refusal names the line of pyproject.toml."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from resumectl.cli.option_spelling import options_in, respell
from resumectl.cli.project_file import Project, option_of, spelled_key
from resumectl.errors import Refusal
from resumectl.model.sweep_spec import SweepSpec


@dataclass(frozen=True, slots=True)
class ConfiguredSpec:
    """A sweep spec, and where its options come from.

    Attributes:
        spec: The sweep spec.
        project: Configuration of the project; None if no option comes from it.
        name: Name of the target in the project; None for a target that the user typed.
        typed: Names of the options that the user typed.
    """

    spec: SweepSpec
    project: Project | None = None
    name: str | None = None
    typed: Collection[str] = ()

    @contextmanager
    def locating_refusals(self) -> Iterator[None]:
        """Add the line of the configured option that a refusal names, and spell the option as there.

        A refusal that names no configured option stays as it is: the mistake is elsewhere.
        """
        try:
            yield
        except Refusal as refusal:
            if self.project is not None:
                self._locate(refusal, self.project)
            raise

    def _locate(self, refusal: Refusal, project: Project) -> None:
        values = project.defaults if self.name is None else project.options_of(self.name)
        configured = values.keys() - {*self.typed}
        flags = [*options_in(refusal.what), *options_in(refusal.next_step)]
        option = next((each for each in map(option_of, flags) if each in configured), None)

        def spell(flag: str, value: str | None) -> str | None:
            return spelled_key(flag, value) if option_of(flag) in configured else None

        if option is not None:
            respell(refusal, spell, place=project.place_of(self.name, option))
