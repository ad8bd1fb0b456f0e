"""Resolve options, environment and dbos-config.yaml into one frozen Settings.

Reads the environment and one YAML file, and opens nothing else. The `dbos` command finds the same
database in the same file. resumectl ignores the file of another application in the working
directory and, beside such a file, the variables that DBOS's applications read.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

from sqlalchemy.engine import URL, make_url

from resumectl.errors import Refusal

CONFIG_FILE_NAME = "dbos-config.yaml"
DEFAULT_APP_NAME = "resumectl"
DEFAULT_DATABASE_URL = "sqlite:///resumectl.sqlite"
DEFAULT = "the default"  # as the source of a URL
# A fixed version. DBOS would otherwise hash the source of the workflows, and after any edit it
# would no longer recover what ran under the old hash (DBOS 3.4.0).
DEFAULT_APP_VERSION = "resumectl-1"
# In order of precedence, below --db-url and above the configuration file: resumectl's own, and
# those that an application of DBOS may read as well.
OWN_URL_VARIABLE = "RESUMECTL_DATABASE_URL"
URL_VARIABLES = ("DBOS_SYSTEM_DATABASE_URL", "POSTGRES_URL")
CONFIG_VARIABLE = "RESUMECTL_CONFIG"

SUPPORTED_URLS = "sqlite:///FILE or postgresql://USER:PASSWORD@HOST:PORT/DATABASE"
# The application names of resumectl; any other name is another application. DBOS accepts 3 to
# 256 of these characters (DBOS 3.4.0, _dbos_config.py).
APP_NAME_PATTERN = re.compile(r"resumectl(-[a-z0-9_-]{1,246})?")
# An executor id also names a lock file.
EXECUTOR_ID_PATTERN = re.compile(r"[A-Za-z0-9._-]{1,64}")


@dataclass(frozen=True, slots=True)
class Settings:
    """The database and the names that a process uses; `Settings.resolve` finds them.

    Example:
        >>> from resumectl import Settings
        >>> settings = Settings.resolve(db_url="sqlite:///example.sqlite")
        >>> settings.is_sqlite, settings.app_version
        (True, 'resumectl-1')
    """

    url: URL = field(repr=False)
    url_source: str  # source of the URL: an option, a variable, a file, or DEFAULT
    app_name: str = DEFAULT_APP_NAME
    app_version: str = DEFAULT_APP_VERSION
    executor_id: str | None = None  # None: the first free one of local, local-2, …
    dbos_schema: str = "dbos"  # PostgreSQL only
    not_used: str = ""  # sources that name a database of another application

    def __post_init__(self) -> None:
        """Make sure that resumectl never runs under another application's name."""
        if not APP_NAME_PATTERN.fullmatch(self.app_name):
            raise Refusal(
                f"the application name {self.app_name[:80]!r} is another application's",
                next_step=f"use {DEFAULT_APP_NAME}, or a name that begins with {DEFAULT_APP_NAME}-",
            )

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is an SQLite file."""
        return self.url.get_backend_name() == "sqlite"

    @property
    def sqlite_path(self) -> Path:
        """The absolute path of the database file; only for SQLite."""
        return Path(self.url.database or "").absolute()

    @property
    def secret_url(self) -> str:
        """The URL with its password, for drivers; never show it."""
        return self.url.render_as_string(hide_password=False)

    @property
    def shown_url(self) -> str:
        """The URL without its password, for people."""
        hidden = {key: "***" for key in self.url.query if "password" in key}
        return self.url.update_query_dict(hidden).render_as_string(hide_password=True)

    @property
    def secrets(self) -> tuple[str, ...]:
        """The passwords in the URL, plain and percent-encoded, longest first."""
        query = [str(value) for key, value in self.url.query.items() if "password" in key]
        plain = [each for each in (self.url.password, *query) if each]
        return tuple(
            sorted({*plain, *map(quote, plain), *map(quote_plus, plain)}, key=len, reverse=True)
        )

    def without_secrets(self, text: str) -> str:
        """Return the text with each password replaced by `***`."""
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
        """Return the settings of this process; the first source that names a database wins.

        The order is: `db_url`, the environment variables, the configuration file, the default.

        Args:
            db_url: URL of the database, as `--db-url` takes it.
            config: Configuration file, as `--config` takes it; it must exist if given.
            app_version: Application version of this process, as `--app-version` takes it.
            executor_id: Executor id of this process, as `--executor` takes it.
            environ: Environment variables.

        Raises:
            Refusal: A source is malformed, or names an unsupported database.
        """
        if executor_id is not None and not EXECUTOR_ID_PATTERN.fullmatch(executor_id):
            raise Refusal(
                f"the executor id {executor_id[:80]!r} is not 1 to 64 of  A-Z a-z 0-9 . _ -",
                next_step="choose another, as in  --executor local",
            )
        file = _read_config(config, environ)
        theirs = file is not None and not file.is_resumectls
        own = None if theirs else file
        shared = () if theirs else URL_VARIABLES
        text, source = _find_url(db_url, environ, (OWN_URL_VARIABLE, *shared), own)
        return cls(
            url=_parse_url(text, source),
            url_source=source,
            app_name=own.name if own else DEFAULT_APP_NAME,
            app_version=app_version or DEFAULT_APP_VERSION,
            executor_id=executor_id,
            dbos_schema=own.schema() if own else "dbos",
            not_used=_not_used(file, environ) if file and theirs and source == DEFAULT else "",
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
        """Return the settings that a parent process resolved; the URL is in the environment."""
        variable = URL_VARIABLES[0]
        return cls(
            url=_parse_url(environ[variable], variable),
            url_source=variable,
            app_name=app_name,
            app_version=app_version,
            executor_id=executor_id,
            dbos_schema=dbos_schema,
        )


@dataclass(frozen=True, slots=True)
class _ConfigFile:
    """A configuration file of DBOS, of resumectl or of another application."""

    path: Path
    content: Mapping[str, Any]

    @property
    def name(self) -> str:
        """The application's name; empty if the file has none."""
        return str(self.content.get("name") or "")

    @property
    def is_resumectls(self) -> bool:
        """Whether the application is resumectl."""
        return APP_NAME_PATTERN.fullmatch(self.name) is not None

    def schema(self) -> str:
        """Return the schema of DBOS's tables.

        Raises:
            Refusal: The file has a value that is not a name.
        """
        schema = self.content.get("dbos_system_schema") or "dbos"
        if not isinstance(schema, str):
            raise Refusal(
                f"dbos_system_schema in {self.path} is not a name",
                next_step="correct it in that file",
            )
        return schema


def _find_url(
    db_url: str | None,
    environ: Mapping[str, str],
    variables: Sequence[str],
    file: _ConfigFile | None,
) -> tuple[str, str]:
    if db_url is not None:
        return db_url, "--db-url"
    for variable in variables:
        if environ.get(variable):
            return environ[variable], variable
    if file is None:
        return DEFAULT_DATABASE_URL, DEFAULT
    if file.content.get("system_database_url"):
        return str(file.content["system_database_url"]), str(file.path)
    # The default of DBOS itself when its file names no database (DBOS 3.4.0).
    return f"sqlite:///{file.name.replace('-', '_')}.sqlite", f"the name in {file.path}"


def _not_used(file: _ConfigFile, environ: Mapping[str, str]) -> str:
    """Return the sources that name a database of another application."""
    variables = [each for each in URL_VARIABLES if environ.get(each)]
    owner = f"the application {file.name[:80]}" if file.name else "an application without a name"
    return f"{' and '.join([str(file.path), *variables])}, of {owner}"


def _parse_url(text: str, source: str) -> URL:
    # No message contains the text: it may contain a password, and in a malformed URL the place of
    # the password is unknown.
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


def _read_config(config: Path | None, environ: Mapping[str, str]) -> _ConfigFile | None:
    """Return the configuration file; None if there is none.

    Raises:
        Refusal: The file cannot be read; or it was named, and is missing or belongs to another
            application.
    """
    named = config or (Path(environ[CONFIG_VARIABLE]) if environ.get(CONFIG_VARIABLE) else None)
    path = named or Path(CONFIG_FILE_NAME)
    content = _read_yaml(path, environ, is_named=named is not None)
    if content is None:
        return None
    file = _ConfigFile(path, content)
    if named is not None and not file.is_resumectls:
        raise Refusal(
            f"the configuration file {path} is another application's: its name is"
            f" {file.name[:80]!r}, not {DEFAULT_APP_NAME} or {DEFAULT_APP_NAME}-…",
            next_step=f"leave out --config and {CONFIG_VARIABLE}, or name a file that begins with"
            f"  name: {DEFAULT_APP_NAME}",
        )
    return file


def _read_yaml(
    path: Path, environ: Mapping[str, str], *, is_named: bool
) -> Mapping[str, Any] | None:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if not is_named:
            return None
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
    import yaml  # here, and not above: the import costs 15 ms, and most commands read no file

    # ${NAME} becomes the variable's value, or nothing, as in DBOS (DBOS 3.4.0, load_config).
    text = re.sub(r"\$\{([^}]+)\}", lambda match: environ.get(match[1], ""), text)
    try:
        content = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        # The error's own text quotes the file, which may contain a password.
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
    return content
