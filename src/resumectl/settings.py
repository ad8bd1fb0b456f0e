"""Where the database is: environment, dbos-config.yaml and flags become one frozen Settings.

Reads the environment and one YAML file, and opens nothing else. Parsing follows what the
`dbos` command does with the same file, so that both find the same database.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL, make_url

from resumectl.errors import Refusal

CONFIG_FILE_NAME = "dbos-config.yaml"
DEFAULT_APP_NAME = "resumectl"
DEFAULT_DATABASE_URL = "sqlite:///resumectl.sqlite"
# A version of our own choosing: DBOS would hash the source of the workflows otherwise, and
# any edit would strand what was running under the old hash (DBOS 3.4.0).
DEFAULT_APP_VERSION = "resumectl-1"
# In order of precedence, below --db-url and above the configuration file.
URL_VARIABLES = ("DBOS_SYSTEM_DATABASE_URL", "POSTGRES_URL")
CONFIG_VARIABLE = "RESUMECTL_CONFIG"

SUPPORTED_URLS = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
# What DBOS accepts as an application name (DBOS 3.4.0, _dbos_config.py).
APP_NAME_PATTERN = re.compile(r"[a-z0-9_-]{3,256}")
# An executor id also names a lock file.
EXECUTOR_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that a command needs to know before it opens the database."""

    url: URL = field(repr=False)
    url_source: str  # where the URL was read: a flag, a variable, a file, or "the default"
    app_name: str = DEFAULT_APP_NAME
    app_version: str = DEFAULT_APP_VERSION
    executor_id: str | None = None  # None: the first of local, local-2, … that nobody holds
    dbos_schema: str = "dbos"  # PostgreSQL only

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file, with nothing else to start."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def sqlite_path(self) -> Path:
        """The database file; only meaningful for SQLite."""
        return Path(self.url.database or "").absolute()

    @property
    def secret_url(self) -> str:
        """The URL with its password: for drivers, never for people."""
        return self.url.render_as_string(hide_password=False)

    @property
    def shown_url(self) -> str:
        """The URL as people may see it."""
        hidden = {key: "***" for key in self.url.query if "password" in key}
        return self.url.update_query_dict(hidden).render_as_string(hide_password=True)

    @property
    def secrets(self) -> tuple[str, ...]:
        """What must not be shown, as it is and as a URL writes it; longest first."""
        query = [str(value) for key, value in self.url.query.items() if "password" in key]
        plain = [each for each in (self.url.password, *query) if each]
        return tuple(
            sorted({*plain, *map(quote, plain), *map(quote_plus, plain)}, key=len, reverse=True)
        )

    def without_secrets(self, text: str) -> str:
        """The text, each password in it replaced."""
        for secret in self.secrets:
            text = text.replace(secret, "***")
        return text

    @classmethod
    def resolve(
        cls,
        *,
        db_url: str | None = None,
        config: Path | None = None,
        app_version: str | None = None,
        executor_id: str | None = None,
        environ: Mapping[str, str] = os.environ,
    ) -> "Settings":
        """Find the database, the highest source first.

        Args:
            db_url: The value of `--db-url`.
            config: The value of `--config`; must exist if given.
            app_version: The value of `--app-version`.
            executor_id: The value of `--executor`.
            environ: The environment.

        Raises:
            Refusal: A source is malformed, or names a database that is not supported.
        """
        if executor_id is not None and not EXECUTOR_ID_PATTERN.fullmatch(executor_id):
            raise Refusal(
                f"the executor id {executor_id[:80]!r} is not 1 to 64 of  A-Z a-z 0-9 . _ -",
                next_step="choose another, as in  --executor local",
            )
        file = _read_config(config, environ)
        app_name = file.get("name", DEFAULT_APP_NAME)
        if not isinstance(app_name, str) or not APP_NAME_PATTERN.fullmatch(app_name):
            raise Refusal(
                f"the application name in {file['path']} is not 3 to 256 of a-z 0-9 _ -",
                next_step="correct  name:  in that file",
            )
        text, source = _find_url(db_url, environ, file, app_name)
        return cls(
            url=_parse_url(text, source),
            url_source=source,
            app_name=app_name,
            app_version=app_version or DEFAULT_APP_VERSION,
            executor_id=executor_id,
            dbos_schema=_schema(file),
        )

    @classmethod
    def for_child(
        cls,
        *,
        app_name: str,
        app_version: str,
        executor_id: str | None,
        dbos_schema: str,
        environ: Mapping[str, str] = os.environ,
    ) -> "Settings":
        """The settings that a parent process has resolved: its URL is in the environment."""
        variable = URL_VARIABLES[0]
        return cls(
            url=_parse_url(environ[variable], variable),
            url_source=variable,
            app_name=app_name,
            app_version=app_version,
            executor_id=executor_id,
            dbos_schema=dbos_schema,
        )


def _schema(file: Mapping[str, Any]) -> str:
    schema = file.get("dbos_system_schema") or "dbos"
    if not isinstance(schema, str):
        raise Refusal(
            f"dbos_system_schema in {file['path']} is no name", next_step="correct it in that file"
        )
    return schema


def _find_url(
    db_url: str | None, environ: Mapping[str, str], file: Mapping[str, Any], app_name: str
) -> tuple[str, str]:
    if db_url is not None:
        return db_url, "--db-url"
    for variable in URL_VARIABLES:
        if environ.get(variable):
            return environ[variable], variable
    if file.get("system_database_url"):
        return str(file["system_database_url"]), str(file["path"])
    if file:
        # What DBOS itself falls back to when its file names no database (DBOS 3.4.0).
        stem = app_name.replace("-", "_")
        stem = f"_{stem}" if stem[0].isdigit() else stem
        return f"sqlite:///{stem}.sqlite", f"the name in {file['path']}"
    return DEFAULT_DATABASE_URL, "the default"


def _parse_url(text: str, source: str) -> URL:
    # Whatever goes wrong, the text stays out of the message: it may hold a password, and a
    # malformed URL cannot be relied on to say where the password is.
    try:
        url = make_url(text.strip())
        backend = url.get_backend_name()
        if backend != "sqlite" and "@" in f"{url.host}{url.database}":
            raise ValueError("an @ that is not percent-encoded: part of a password is elsewhere")
    except Exception:  # noqa: BLE001
        raise Refusal(
            f"the database URL from {source} cannot be read as a URL",
            next_step=f"use {SUPPORTED_URLS}; percent-encode : / @ in a password",
        ) from None
    if backend in ("postgres", "postgresql"):
        if not url.database:
            raise Refusal(
                f"the database URL from {source} names no database",
                next_step="append one, as in postgresql://USER@HOST:5432/DATABASE",
            )
        return url.set(drivername="postgresql+psycopg")
    if backend == "sqlite":
        database = url.database or ""
        if database in ("", ":memory:") or database.startswith("file:"):
            raise Refusal(
                f"the database URL from {source} names no file: nothing would survive a crash",
                next_step=f"use {DEFAULT_DATABASE_URL}",
            )
        return url.set(drivername="sqlite")
    raise Refusal(
        f"the database URL from {source} is of a kind that is not supported",
        next_step=f"use {SUPPORTED_URLS}",
    )


def _read_config(config: Path | None, environ: Mapping[str, str]) -> dict[str, Any]:
    """The configuration file as a dictionary with its `path`; empty where there is none."""
    named = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    path = named or Path(CONFIG_FILE_NAME)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if named is None:
            return {}
        raise Refusal(
            f"there is no configuration file {path}",
            next_step=f"name another with --config or {CONFIG_VARIABLE}",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise Refusal(
            f"the configuration file {path} cannot be read: {reason}",
            next_step="correct it, or name another with --config",
        ) from None
    import yaml  # only where there is a file to read: it costs every command 15 ms

    # ${NAME} is the environment's, or nothing: as DBOS does it (DBOS 3.4.0, load_config).
    text = re.sub(r"\$\{([^}]+)\}", lambda match: environ.get(match[1], ""), text)
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The error's own text quotes the file, which may hold a password.
        mark = getattr(error, "problem_mark", None)
        where = f" (line {mark.line + 1})" if mark else ""
        raise Refusal(
            f"the configuration file {path} is not YAML{where}",
            next_step="correct it, or name another with --config",
        ) from None
    if not isinstance(content, dict):
        raise Refusal(
            f"the configuration file {path} is not a YAML mapping",
            next_step=f"begin it with  name: {DEFAULT_APP_NAME}",
        )
    return {**content, "path": path}
