"""What a victim is told, as JSON in argv: the only thing its two sides both import."""

import json
from dataclasses import asdict, dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Specification:
    """One victim's orders. The database's URL is not among them: it goes by the environment."""

    batch_id: str
    plan: str
    death_note: int  # an open file descriptor, inherited
    app_name: str
    app_version: str
    executor_id: str | None
    dbos_schema: str
    concurrency: int | None
    verbose: bool
    log_format: str

    def as_argument(self) -> str:
        """Its text in argv."""
        return json.dumps(asdict(self))

    @classmethod
    def from_argument(cls, text: str) -> Self:
        """Read it back."""
        return cls(**json.loads(text))
