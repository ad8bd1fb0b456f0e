"""Where the database is: which source wins, what is refused, and that no password is shown.

Held against DBOS's own reading of the same file where both read it. Opens no database.
"""

import os
import traceback
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from conftest import CHECKOUT, Workspace

from resumectl.errors import ExitCode, Refusal
from resumectl.settings import (
    CONFIG_FILE_NAME,
    CONFIG_VARIABLE,
    DEFAULT_APP_NAME,
    DEFAULT_APP_VERSION,
    DEFAULT_DATABASE_URL,
    OWN_URL_VARIABLE,
    URL_VARIABLES,
    Settings,
)

DBOS_VARIABLE, POSTGRES_VARIABLE = URL_VARIABLES
NOTHING: Mapping[str, str] = {}
SECRET = "s3cr3t"


@pytest.fixture(autouse=True)
def in_an_empty_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory without a configuration file."""
    directory = tmp_path / "working"
    directory.mkdir()
    monkeypatch.chdir(directory)
    return directory


def write_config(text: str, path: str | Path = CONFIG_FILE_NAME) -> Path:
    """A configuration file, by default the one in the working directory."""
    file = Path(path)
    file.write_text(text, encoding="utf-8")
    return file


def refused(**sources: Any) -> Refusal:
    """What is said when these sources are read, which they must not be."""
    with pytest.raises(Refusal) as caught:
        Settings.resolve(**{"environ": NOTHING, **sources})
    assert caught.value.exit_code == ExitCode.REFUSED
    assert caught.value.what
    assert caught.value.next_step
    return caught.value


def everything_shown(refusal: Refusal) -> str:
    """All that a refusal can put on a screen or into a log."""
    chain = "".join(traceback.format_exception(refusal))
    return "\n".join((str(refusal), repr(refusal), refusal.what, refusal.next_step, chain))


# ---------------------------------------------------------------- which source wins


def test_a_newcomer_has_the_embedded_database() -> None:
    settings = Settings.resolve(environ=NOTHING)
    assert settings.secret_url == "sqlite:///resumectl.sqlite" == DEFAULT_DATABASE_URL
    assert settings.url_source == "the default"
    assert settings.app_name == DEFAULT_APP_NAME
    assert settings.app_version == DEFAULT_APP_VERSION
    assert settings.executor_id is None
    assert settings.dbos_schema == "dbos"
    assert settings.is_sqlite


def _flag(sources: dict[str, Any]) -> None:
    sources["db_url"] = "sqlite:///flag.sqlite"


def _own_variable(sources: dict[str, Any]) -> None:
    sources["environ"][OWN_URL_VARIABLE] = "sqlite:///own-variable.sqlite"


def _dbos_variable(sources: dict[str, Any]) -> None:
    sources["environ"][DBOS_VARIABLE] = "sqlite:///dbos-variable.sqlite"


def _postgres_variable(sources: dict[str, Any]) -> None:
    sources["environ"][POSTGRES_VARIABLE] = "sqlite:///postgres-variable.sqlite"


def _url_in_file(_sources: dict[str, Any]) -> None:
    write_config("name: resumectl-my-app\nsystem_database_url: sqlite:///url-in-file.sqlite\n")


def _name_in_file(_sources: dict[str, Any]) -> None:
    write_config("name: resumectl-my-app\n")


# The highest first; each is tried with all those below it set as well.
PRECEDENCE: list[tuple[Callable[[dict[str, Any]], None], str, str]] = [
    (_flag, "flag.sqlite", "--db-url"),
    (_own_variable, "own-variable.sqlite", OWN_URL_VARIABLE),
    (_dbos_variable, "dbos-variable.sqlite", DBOS_VARIABLE),
    (_postgres_variable, "postgres-variable.sqlite", POSTGRES_VARIABLE),
    (_url_in_file, "url-in-file.sqlite", CONFIG_FILE_NAME),
    (_name_in_file, "resumectl_my_app.sqlite", f"the name in {CONFIG_FILE_NAME}"),
]


@pytest.mark.parametrize("highest", range(len(PRECEDENCE)), ids=[row[2] for row in PRECEDENCE])
def test_the_highest_source_of_the_url_wins(highest: int) -> None:
    sources: dict[str, Any] = {"environ": {}}
    for apply, _database, _source in reversed(PRECEDENCE[highest:]):
        apply(sources)
    settings = Settings.resolve(**sources)
    _apply, database, source = PRECEDENCE[highest]
    assert (settings.url.database, settings.url_source) == (database, source)


def test_an_empty_variable_is_as_good_as_none() -> None:
    environ = dict.fromkeys((OWN_URL_VARIABLE, *URL_VARIABLES, CONFIG_VARIABLE), "")
    assert Settings.resolve(environ=environ) == Settings.resolve(environ=NOTHING)


def test_an_empty_url_on_the_command_line_is_refused_and_not_passed_over() -> None:
    assert "--db-url" in refused(db_url="").what


def test_flags_give_version_and_executor() -> None:
    settings = Settings.resolve(app_version="2", executor_id="east", environ=NOTHING)
    assert (settings.app_version, settings.executor_id) == ("2", "east")


# ---------------------------------------------------------------- the configuration file


def test_another_file_is_named_by_the_variable_and_before_it_by_the_flag() -> None:
    write_config("name: resumectl-here\n")
    write_config("name: resumectl-by-variable\n", "variable.yaml")
    flag = write_config("name: resumectl-by-flag\n", "flag.yaml")
    environ = {CONFIG_VARIABLE: "variable.yaml"}
    assert Settings.resolve(environ=NOTHING).app_name == "resumectl-here"
    assert Settings.resolve(environ=environ).app_name == "resumectl-by-variable"
    assert Settings.resolve(config=flag, environ=environ).app_name == "resumectl-by-flag"


def test_a_file_that_was_named_must_exist() -> None:
    by_flag = refused(config=Path("nowhere.yaml"))
    by_variable = refused(environ={CONFIG_VARIABLE: "nowhere.yaml"})
    assert by_flag.what == by_variable.what == "there is no configuration file nowhere.yaml"
    assert "--config" in by_flag.next_step
    assert CONFIG_VARIABLE in by_flag.next_step


def test_the_name_and_the_schema_come_from_the_file() -> None:
    write_config("name: resumectl-my-app\ndbos_system_schema: durable\n")
    settings = Settings.resolve(db_url="postgresql://h/d", environ=NOTHING)
    assert (settings.app_name, settings.dbos_schema) == ("resumectl-my-app", "durable")


OTHER_NAMES = ["shop", "resumectls", "resumectl_b", "resumectl-A", "resumectl-", "", "42", "[a]"]


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_file_of_another_application_is_not_used_nor_what_it_reads(name: str) -> None:
    theirs = "sqlite:///theirs.sqlite"
    write_config(f"name: {name}\nsystem_database_url: {theirs}\ndbos_system_schema: durable\n")
    settings = Settings.resolve(environ=dict.fromkeys(URL_VARIABLES, theirs))
    assert (settings.secret_url, settings.app_name) == (DEFAULT_DATABASE_URL, DEFAULT_APP_NAME)
    assert settings.dbos_schema == "dbos"
    for each in (CONFIG_FILE_NAME, *URL_VARIABLES):
        assert each in settings.not_used


def test_where_a_database_of_resumectl_is_named_nothing_is_said_of_another_application() -> None:
    write_config("name: shop\n")
    own = "sqlite:///own.sqlite"
    by_variable = Settings.resolve(environ={OWN_URL_VARIABLE: own, DBOS_VARIABLE: "x"})
    for settings in (by_variable, Settings.resolve(db_url=own, environ=NOTHING)):
        assert (settings.secret_url, settings.not_used) == (own, "")
        assert settings.app_name == DEFAULT_APP_NAME


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_no_settings_have_the_name_of_another_application(name: str) -> None:
    settings = Settings.resolve(environ=NOTHING)
    assert replace(settings, app_name="resumectl-b").app_name == "resumectl-b"
    with pytest.raises(Refusal, match="another application's"):
        replace(settings, app_name=name)


@pytest.mark.parametrize("name", OTHER_NAMES)
def test_a_file_of_another_application_is_refused_where_it_was_named(name: str) -> None:
    write_config(f"name: {name}\n")
    by_flag = refused(config=Path(CONFIG_FILE_NAME))
    by_variable = refused(environ={CONFIG_VARIABLE: CONFIG_FILE_NAME})
    assert by_flag.what == by_variable.what
    assert "another application" in by_flag.what
    assert "name: resumectl" in by_flag.next_step


def test_variables_are_filled_in_and_unset_ones_are_nothing() -> None:
    write_config(
        "name: resumectl-${SUFFIX}${UNSET}\nsystem_database_url: sqlite:///${STEM}.sqlite\n"
    )
    settings = Settings.resolve(environ={"SUFFIX": "app", "STEM": "filled"})
    assert (settings.app_name, settings.url.database) == ("resumectl-app", "filled.sqlite")


# What a file may hold, and a variable that it may ask for.
BOTH_READ = {
    "no URL": "name: resumectl\n",
    "a null URL": "name: resumectl\nsystem_database_url:\n",
    "an empty URL": 'name: resumectl\nsystem_database_url: ""\n',
    "an unset variable": "name: resumectl\nsystem_database_url: ${UNSET}\n",
    "a set variable": "name: resumectl\nsystem_database_url: ${DBOS_SYSTEM_DATABASE_URL}\n",
    "a URL": "name: resumectl\nsystem_database_url: sqlite:///x.sqlite\n",
    "a quoted URL": "name: resumectl\nsystem_database_url: 'sqlite:///x.sqlite'\n",
    "part of a URL": "name: resumectl\nsystem_database_url: sqlite:///${STEM}.sqlite\n",
    "dashes in the name": "name: resumectl-b_c-d\n",
}


@pytest.mark.parametrize("text", BOTH_READ.values(), ids=list(BOTH_READ))
def test_the_dbos_command_finds_the_same_database_in_the_same_file(
    text: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dbos.cli.cli import _resolve_db_url

    for variable in (*URL_VARIABLES, CONFIG_VARIABLE, "UNSET"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("STEM", "stem")
    if "${DBOS_SYSTEM_DATABASE_URL}" in text:
        monkeypatch.setenv(DBOS_VARIABLE, "sqlite:///from-variable.sqlite")
    write_config(text)
    assert Settings.resolve(environ=os.environ).secret_url == _resolve_db_url(
        system_database_url=None
    )


def test_the_file_of_this_checkout_falls_back_to_the_embedded_database() -> None:
    settings = Settings.resolve(config=CHECKOUT / CONFIG_FILE_NAME, environ=NOTHING)
    assert settings.secret_url == DEFAULT_DATABASE_URL
    assert settings.app_name == DEFAULT_APP_NAME


UNREADABLE = {
    "not YAML": (b"name: [unclosed\n", "is not YAML (line "),
    "a tab": (b"name:\n\t- x\n", "is not YAML (line 2)"),
    "a control character": (b"name: \x00\n", "is not YAML"),
    "two documents": (b"name: aaa\n---\nname: bbb\n", "is not YAML"),
    "an unknown tag": (b"name: !!python/object:os.system {}\n", "is not YAML"),
    "a date that is none": (b"name: resumectl\nsince: 2026-13-01\n", "is not YAML"),
    "too deep": (b"[" * 5000, "is not YAML"),
    "a list": (b"- name\n", "is not a YAML mapping"),
    "a word": (b"resumectl\n", "is not a YAML mapping"),
    "empty": (b"", "is not a YAML mapping"),
    "not UTF-8": ("name: café\n".encode("latin-1"), "it is not UTF-8 text"),
}


@pytest.mark.parametrize(("content", "said"), UNREADABLE.values(), ids=list(UNREADABLE))
def test_a_file_that_cannot_be_read_is_refused(content: bytes, said: str) -> None:
    Path(CONFIG_FILE_NAME).write_bytes(content)
    refusal = refused()
    assert said in refusal.what
    assert CONFIG_FILE_NAME in refusal.what


def test_a_directory_in_the_place_of_the_file_is_refused() -> None:
    Path(CONFIG_FILE_NAME).mkdir()
    assert "Is a directory" in refused().what
    assert "Is a directory" in refused(config=Path.cwd()).what


def test_a_broken_file_is_refused_even_where_a_flag_names_the_database() -> None:
    write_config("- name\n")
    assert "is not a YAML mapping" in refused(db_url="sqlite:///x.sqlite").what


@pytest.mark.parametrize("schema", ["42", "[a]", "{a: b}"])
def test_a_schema_that_is_no_text_is_refused(schema: str) -> None:
    write_config(f"name: resumectl\ndbos_system_schema: {schema}\n")
    assert "dbos_system_schema" in refused().what


def test_no_error_about_the_file_quotes_it() -> None:
    write_config(f'name: resumectl\nsystem_database_url: "postgresql://u:{SECRET}@h/d\n')
    refusal = refused()
    assert "is not YAML" in refusal.what
    assert SECRET not in everything_shown(refusal)


# ---------------------------------------------------------------- the URL


@pytest.mark.parametrize(
    "text",
    [
        "postgres://u:p@h:5433/d",
        "postgresql://u:p@h:5433/d",
        "postgresql+psycopg://u:p@h:5433/d",
        "postgresql+psycopg2://u:p@h:5433/d",
        "postgresql+asyncpg://u:p@h:5433/d",
        "  postgresql://u:p@h:5433/d\n",
    ],
)
def test_any_spelling_of_postgresql_is_the_one_driver(text: str) -> None:
    settings = Settings.resolve(db_url=text, environ=NOTHING)
    assert settings.secret_url == "postgresql+psycopg://u:p@h:5433/d"
    assert not settings.is_sqlite


def test_options_of_a_postgresql_url_are_kept() -> None:
    text = "postgresql://u:p@/d?host=/var/run/postgresql&sslmode=require"
    settings = Settings.resolve(db_url=text, environ=NOTHING)
    assert dict(settings.url.query) == {"host": "/var/run/postgresql", "sslmode": "require"}


@pytest.mark.parametrize("text", ["sqlite:///sub/x.sqlite", "sqlite+pysqlite:///sub/x.sqlite"])
def test_a_relative_path_is_the_working_directory_s(
    text: str, in_an_empty_directory: Path, tmp_path: Path
) -> None:
    settings = Settings.resolve(db_url=text, environ=NOTHING)
    assert settings.secret_url == "sqlite:///sub/x.sqlite"
    assert settings.sqlite_path == in_an_empty_directory / "sub" / "x.sqlite"
    # As the dbos command has it: not the directory of the file that names the path.
    elsewhere = tmp_path / "elsewhere.yaml"
    write_config(f"name: resumectl\nsystem_database_url: {text}\n", elsewhere)
    from_file = Settings.resolve(config=elsewhere, environ=NOTHING)
    assert from_file.sqlite_path == in_an_empty_directory / "sub" / "x.sqlite"


def test_an_absolute_path_stays(tmp_path: Path) -> None:
    path = tmp_path / "x.sqlite"
    assert Settings.resolve(db_url=f"sqlite:///{path}", environ=NOTHING).sqlite_path == path


@pytest.mark.parametrize(
    "text",
    ["sqlite://", "sqlite:///", "sqlite:///:memory:", "sqlite:///file:x?mode=memory&uri=true"],
)
def test_a_database_in_memory_is_refused(text: str) -> None:
    refusal = refused(db_url=text)
    assert "nothing would survive a crash" in refusal.what
    assert DEFAULT_DATABASE_URL in refusal.next_step


@pytest.mark.parametrize("text", ["postgresql://u:p@h", "postgresql://u:p@h:5432/"])
def test_postgresql_without_a_database_is_refused(text: str) -> None:
    refusal = refused(db_url=text)
    assert "names no database" in refusal.what
    assert "/DATABASE" in refusal.next_step


@pytest.mark.parametrize("kind", ["mysql", "mssql+pyodbc", "cockroachdb", "redis", "https"])
def test_a_kind_that_is_not_supported_is_refused(kind: str) -> None:
    refusal = refused(db_url=f"{kind}://u:{SECRET}@h/d")
    assert "not supported" in refusal.what
    assert "sqlite:///FILE" in refusal.next_step
    assert SECRET not in everything_shown(refusal)


# ---------------------------------------------------------------- no password is shown

# Every part of the password that might come loose is a piece of SECRET.
MALFORMED = {
    "a port that is no number": f"postgresql://u:{SECRET}@h:port/d",
    "a space in the port": f"postgresql://u:{SECRET}@h:54 32/d",
    "two ports": f"postgresql://u:{SECRET}@h:5432:5433/d",
    "a bracket left open": f"postgresql://u:{SECRET}@[::1/d",
    "no scheme": f"u:{SECRET}@h/d",
    "an empty scheme": f"://u:{SECRET}@h/d",
    "one slash": f"postgresql:/u:{SECRET}@h/d",
    "four slashes": f"postgresql:////u:{SECRET}@h/d",
    "no colon": f"postgresql//u:{SECRET}@h/d",
    "a space in the scheme": f"post gresql://u:{SECRET}@h/d",
    "quotation marks": f"'postgresql://u:{SECRET}@h/d'",
    "the host forgotten": f"postgresql://u:{SECRET}/d",
    "an unescaped @ in the password": "postgresql://u:s3@cr3t@h/d",
    "an unescaped @ and a colon": "postgresql://u:s3@cr3t:s3cr3t@h/d",
    "an unescaped @ and a slash": "postgresql://u:s3@cr3t/s3cr3t@h/d",
    "a key and a value of libpq": f"host=h user=u password={SECRET}",
}
PIECES = ("s3", "cr3t")


@pytest.mark.parametrize("text", MALFORMED.values(), ids=list(MALFORMED))
@pytest.mark.parametrize("source", ["--db-url", *URL_VARIABLES, CONFIG_FILE_NAME])
def test_a_malformed_url_is_refused_without_its_password(text: str, source: str) -> None:
    sources: dict[str, Any] = {}
    if source == "--db-url":
        sources["db_url"] = text
    elif source == CONFIG_FILE_NAME:
        quoted = text.replace('"', '\\"')
        write_config(f'name: resumectl\nsystem_database_url: "{quoted}"\n')
    else:
        sources["environ"] = {source: text}
    refusal = refused(**sources)
    assert source in refusal.what
    shown = everything_shown(refusal)
    assert not [piece for piece in PIECES if piece in shown]


WELL_FORMED = {
    "plain": f"postgresql://u:{SECRET}@h/d",
    "percent-encoded": "postgresql://u:s3%40cr3t@h/d",
    "as an option": f"postgresql://u@h/d?password={SECRET}",
    "as an option, and plain": f"postgresql://u:cr3t@h/d?password={SECRET}",
    "of the client's key": f"postgresql://u@h/d?sslmode=require&sslpassword={SECRET}",
    "with a space": "postgresql://u:s3 cr3t@h/d",
    "with a slash": "postgresql://u:s3/cr3t@h/d",
    "with a question mark": "postgresql://u:s3?cr3t@h/d",
    "with a line break": "postgresql://u:s3\ncr3t@h/d",
}


@pytest.mark.parametrize("text", WELL_FORMED.values(), ids=list(WELL_FORMED))
def test_settings_never_show_the_password(text: str) -> None:
    settings = Settings.resolve(db_url=text, environ=NOTHING)
    for shown in (str(settings), repr(settings), f"{settings}", settings.shown_url):
        assert not [piece for piece in PIECES if piece in shown]
    assert "cr3t" in settings.secret_url


@pytest.mark.parametrize(
    "text", [MALFORMED["a port that is no number"], MALFORMED["an unescaped @ in the password"]]
)
def test_not_even_the_traceback_of_the_command_shows_it(
    sqlite_workspace: Workspace, text: str
) -> None:
    ran = sqlite_workspace.run("state", "--db-url", text, "--debug")
    assert ran.code == ExitCode.REFUSED
    assert "Traceback" in ran.err  # the control: --debug does show one
    assert "cannot be read as a URL" in ran.err
    assert not [piece for piece in PIECES if piece in ran.out + ran.err]


@pytest.mark.parametrize("text", [WELL_FORMED["plain"], WELL_FORMED["as an option"]])
@pytest.mark.parametrize("arguments", [["state"], ["state", "--debug"], ["doctor", "--json"]])
def test_a_server_that_cannot_be_reached_is_named_without_the_password(
    sqlite_workspace: Workspace, text: str, arguments: list[str]
) -> None:
    # Port 1 of this machine answers at once that nobody listens.
    text = text.replace("@h/", "@127.0.0.1:1/")
    ran = sqlite_workspace.run(*arguments, "--db-url", text)
    assert ran.code == ExitCode.MACHINE_FAILED
    assert "127.0.0.1" in ran.out + ran.err
    assert ("Traceback" in ran.err) == ("--debug" in arguments)
    assert not [piece for piece in PIECES if piece in ran.out + ran.err]
