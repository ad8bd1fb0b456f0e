"""Read the database at one moment, for the commands that only look. Loads no dbos."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from resumectl.cli.common import Common

if TYPE_CHECKING:
    from resumectl.publishing.store.view import View


@contextmanager
def reading(common: Common) -> "Iterator[View | None]":
    """Yield the database at one moment; None if nothing has been stored yet.

    Reading neither creates nor changes a database.
    """
    from resumectl.database import failures_explained, open_engine
    from resumectl.publishing.store.migration import is_readable
    from resumectl.publishing.store.view import viewing

    settings = common.settings()
    common.start_logging()
    if settings.is_sqlite and not settings.sqlite_path.exists():
        yield None
        return
    engine = open_engine(settings)
    try:
        with failures_explained(settings):
            with engine.connect() as connection:
                is_there = is_readable(connection)
            if not is_there:
                yield None
                return
            with viewing(settings, engine) as view:
                yield view
    finally:
        engine.dispose()
