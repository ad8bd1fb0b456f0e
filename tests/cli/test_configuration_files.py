"""envrc-template, docker-compose.yml and dbos-config.yaml name one and the same database.

The template is run by a shell, and what it exports is held against Settings, against what
docker compose would start, and against what libpq (so pgcli) connects to.
"""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import CHECKOUT, POSTGRES_VARIABLE

from resumectl.settings import CONFIG_VARIABLE, URL_VARIABLES, Settings

TEMPLATE = CHECKOUT / "envrc-template"
COMPOSE = CHECKOUT / "docker-compose.yml"

_PRINT_ENVIRONMENT = "import json, os; print(json.dumps(dict(os.environ)))"
# ${NAME:-default}, as docker compose fills it in; $$ stands for one $.
_INTERPOLATION = re.compile(r"\$\$|\$\{(?P<name>\w+):-(?P<default>[^}]*)\}")


def sourced(text: str, directory: Path = CHECKOUT) -> dict[str, str]:
    """What a shell exports that was told `. FILE` in a directory, with nothing else set."""
    bare = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    script = f'{text}\nexec "$0" -c "$1"\n'
    ran = subprocess.run(
        ["sh", "-eu", "-c", script, sys.executable, _PRINT_ENVIRONMENT],
        cwd=directory,
        env=bare,
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stderr == ""
    exported: dict[str, str] = json.loads(ran.stdout)
    by_the_shell_itself = {"PWD", "OLDPWD", "SHLVL", "_"}
    return {k: v for k, v in exported.items() if k not in by_the_shell_itself | bare.keys()}


def template(**changes: str) -> str:
    """The template, with other values than its own for some variables."""
    text = TEMPLATE.read_text(encoding="utf-8")
    for name, value in changes.items():
        text, count = re.subn(rf"^export {name}=.*$", f"export {name}={value}", text, flags=re.M)
        assert count == 1, name
    return text


def server_of_compose(environ: Mapping[str, str]) -> dict[str, Any]:
    """The one service of docker-compose.yml, filled in from an environment."""

    def fill(match: re.Match[str]) -> str:
        # A value that is set but empty counts as unset: that is what :- means.
        return environ.get(match["name"]) or match["default"] if match["name"] else "$"

    text = _INTERPOLATION.sub(fill, COMPOSE.read_text(encoding="utf-8"))
    (service,) = yaml.safe_load(text)["services"].values()
    assert isinstance(service, dict)
    return service


def started_by_compose(environ: Mapping[str, str]) -> tuple[str, str, str, str, int]:
    """User, password, database, host and port of the server that compose starts."""
    service = server_of_compose(environ)
    inside = service["environment"]
    (published,) = service["ports"]
    host, port, _inside = published.split(":")
    return (
        inside["POSTGRES_USER"],
        inside["POSTGRES_PASSWORD"],
        inside["POSTGRES_DB"],
        host,
        int(port),
    )


def reached_by_settings(environ: Mapping[str, str]) -> tuple[str, str, str, str, int]:
    """User, password, database, host and port that resumectl connects to."""
    url = Settings.resolve(environ=environ).url
    assert url.username
    assert url.password
    assert url.database
    assert url.host
    assert url.port
    return url.username, url.password, url.database, url.host, url.port


def reached_by_libpq(environ: Mapping[str, str]) -> tuple[str, str, str, str, int]:
    """User, password, database, host and port that libpq connects to, told nothing."""
    program = (
        "import json; from psycopg import pq\n"
        "print(json.dumps({o.keyword.decode(): (o.val or b'').decode()"
        " for o in pq.Conninfo.get_defaults()}))"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=True
    )
    found = json.loads(ran.stdout)
    return found["user"], found["password"], found["dbname"], found["host"], int(found["port"])


CHANGES: list[dict[str, str]] = [
    {},
    {"POSTGRES_USER": "somebody"},
    {"POSTGRES_PASSWORD": "elsewise"},
    {"POSTGRES_DB": "other"},
    {"POSTGRES_PORT": "5433"},
    {
        "POSTGRES_USER": "somebody",
        "POSTGRES_PASSWORD": "elsewise",
        "POSTGRES_DB": "other",
        "POSTGRES_PORT": "5433",
    },
]


@pytest.mark.parametrize("changes", CHANGES, ids=lambda changes: "-".join(changes) or "as it is")
def test_what_compose_starts_is_what_resumectl_and_pgcli_reach(changes: dict[str, str]) -> None:
    exported = sourced(template(**changes))
    started = started_by_compose(exported)
    assert reached_by_settings(exported) == started
    assert reached_by_libpq(exported) == started
    for name, value in changes.items():
        assert value in map(str, started), name


def test_both_variables_of_the_url_name_the_same_database() -> None:
    exported = sourced(template())
    first, second = (exported[variable] for variable in URL_VARIABLES)
    assert first == second
    assert Settings.resolve(environ=exported).url_source == URL_VARIABLES[0]


def test_without_any_variable_compose_starts_what_the_template_names() -> None:
    assert started_by_compose({}) == started_by_compose(sourced(template()))


def test_every_variable_that_is_read_is_exported() -> None:
    by_compose = {m["name"] for m in _INTERPOLATION.finditer(COMPOSE.read_text()) if m["name"]}
    assert by_compose == {"POSTGRES_USER", "POSTGRES_PASSWORD", "POSTGRES_DB", "POSTGRES_PORT"}
    by_libpq = {"PGHOST", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE"}
    by_us = {*URL_VARIABLES, CONFIG_VARIABLE, "ALEMBIC_CONFIG"}
    assert set(sourced(template())) == by_compose | by_libpq | by_us


def test_every_variable_has_a_comment_of_its_own() -> None:
    lines = TEMPLATE.read_text(encoding="utf-8").splitlines()
    exports = [i for i, line in enumerate(lines) if re.match(r"(# )?export \w+=", line)]
    assert len(exports) == len(sourced(template())) + 2  # and those that are commented out
    for i in exports:
        assert re.match(r"# (?!export)\w", lines[i - 1]), lines[i]


def test_the_files_that_it_names_are_there_whatever_the_directory(tmp_path: Path) -> None:
    exported = sourced(template())
    for variable, file in (
        (CONFIG_VARIABLE, "dbos-config.yaml"),
        ("ALEMBIC_CONFIG", "migrations/alembic.ini"),
    ):
        assert Path(exported[variable]) == CHECKOUT / file
        assert (CHECKOUT / file).is_file()
    spaced = tmp_path / "a directory"
    spaced.mkdir()
    assert sourced(template(), spaced)[CONFIG_VARIABLE] == str(spaced / "dbos-config.yaml")


def test_the_server_of_the_tests_is_commented_out_and_can_be_uncommented() -> None:
    assert POSTGRES_VARIABLE not in sourced(template())
    text = template().replace(f"# export {POSTGRES_VARIABLE}", f"export {POSTGRES_VARIABLE}")
    exported = sourced(text)
    settings = Settings.resolve(db_url=exported[POSTGRES_VARIABLE], environ={})
    assert settings.url == Settings.resolve(environ=exported).url


def test_the_dbos_command_reads_the_exported_url() -> None:
    exported = sourced(template())
    text = Path(exported[CONFIG_VARIABLE]).read_text(encoding="utf-8")
    assert text.count("${") == 1, "a variable in a comment would be filled in as well"
    # The dbos command reads no variable of its own: only what the file makes of them.
    filled = yaml.safe_load(text.replace("${DBOS_SYSTEM_DATABASE_URL}", exported[URL_VARIABLES[0]]))
    assert filled["system_database_url"] == exported[URL_VARIABLES[0]]


def test_compose_keeps_the_data_in_a_named_volume() -> None:
    service = server_of_compose({})
    (mounted,) = service["volumes"]
    volume, target = mounted.split(":")
    assert volume in yaml.safe_load(COMPOSE.read_text(encoding="utf-8"))["volumes"]
    image, major = service["image"].split(":")
    assert image == "postgres"
    # Where the official image keeps its data as of version 18.
    assert int(major) >= 18
    assert target == "/var/lib/postgresql"


def test_compose_knows_when_the_server_is_ready() -> None:
    service = server_of_compose({})
    kind, test = service["healthcheck"]["test"]
    assert kind == "CMD-SHELL"
    # The shell in the container fills in the container's own variables.
    echoed = subprocess.run(
        ["sh", "-euc", f"pg_isready() {{ printf '%s\\n' \"$@\"; }}; {test}"],
        env={"PATH": os.environ["PATH"], "POSTGRES_USER": "a user", "POSTGRES_DB": "a database"},
        capture_output=True,
        text=True,
        check=True,
    )
    arguments = echoed.stdout.splitlines()
    assert "--username=a user" in arguments
    assert "--dbname=a database" in arguments
    # While the image creates the database, its server listens on the socket only.
    assert "--host=127.0.0.1" in arguments


def test_compose_s_server_is_not_open_to_the_network() -> None:
    assert started_by_compose({})[3] == "127.0.0.1"
