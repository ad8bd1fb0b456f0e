"""What is inside the sandbox of a trial, and what is not: databases and hosts, however they are spelled."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlalchemy as sa

from resumectl.model.target import Access, Target
from resumectl.storage.access_fixes import database_fix
from resumectl.storage.outside_access import (
    AccessRules,
    Location,
    Reach,
    canonical_urls,
    is_same_database,
    locations_of_arguments,
    locations_of_url,
    parse_host,
    sqlite_file,
)

OWN_POSTGRES = "postgresql+psycopg://user:secret@localhost:5432/resumectl_sandbox_1_trial_1"


@pytest.fixture(autouse=True)
def without_libpq_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.startswith("PG")]:
        monkeypatch.delenv(name)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The directory of a trial, where its process is."""
    found = tmp_path / "trial"
    found.mkdir()
    monkeypatch.chdir(found)
    return found


def sandbox(directory: Path, url: str = "", **access: list[str]) -> AccessRules:
    return AccessRules.of_trial(
        Access(**access),  # type: ignore[arg-type]
        str(directory),
        url or f"sqlite:///{directory}/trial.sqlite",
    )


def is_open(of: AccessRules, url: str) -> bool:
    return all(map(of.is_open, locations_of_url(url)))


# --- SQLite


@pytest.mark.parametrize(
    "database",
    [
        ":memory:", "", "file::memory:", "file::memory:?cache=shared", "file:shared?mode=memory&cache=shared",
        "file:/srv/shop.db?mode=ro", "file:/srv/shop.db?immutable=1", b":memory:",
    ],
)  # fmt: skip
def test_what_sqlite_cannot_write_is_no_file(database: str | bytes) -> None:
    assert sqlite_file(database) is None


@pytest.mark.parametrize(
    "database",
    [
        "/srv/shop.db", b"/srv/shop.db", Path("/srv/shop.db"), "file:/srv/shop.db", "file:///srv/shop.db",
        "file://localhost/srv/shop.db", "file:/srv/shop.db?mode=rw", "file:/srv/shop.db?mode=rwc#x",
        "file:/srv/sh%6Fp.db", "/srv/../srv/shop.db", "file:/srv/shop.db?immutable=0", "file:/srv/shop.db?immutable=off",
        "file:/srv/shop.db?mode=ro&mode=rwc",
    ],
)  # fmt: skip
def test_a_file_is_the_same_however_it_is_spelled(database: object) -> None:
    assert sqlite_file(database) == "/srv/shop.db"


def test_a_relative_path_is_inside_and_a_link_is_what_it_leads_to(
    directory: Path, tmp_path: Path
) -> None:
    outside = tmp_path / "shop.db"
    outside.touch()
    (directory / "link.db").symlink_to(outside)
    of = sandbox(directory)
    assert is_open(of, "sqlite:///shop.db")
    assert is_open(of, "sqlite:///data/shop.db")
    assert is_open(of, f"sqlite:///{directory}/shop.db")
    assert is_open(of, "sqlite://")
    assert not is_open(of, "sqlite:///link.db")
    assert not is_open(of, "sqlite:///../shop.db")
    assert not is_open(of, f"sqlite:///{outside}")
    assert not is_open(of, f"sqlite:///{directory}-2/shop.db")


def test_a_sandbox_that_is_reached_by_a_link_is_the_same(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    of = sandbox(tmp_path / "link")
    assert is_open(of, f"sqlite:///{tmp_path}/real/shop.db")
    assert is_open(of, f"sqlite:///{tmp_path}/link/shop.db")


def test_a_home_directory_is_no_shorthand_for_sqlite(directory: Path) -> None:
    # Nor for Python: a program calls `expanduser` for that, and gets an absolute path.
    assert is_open(sandbox(directory), "sqlite:///~/shop.db")


def test_an_allowed_file_is_open_and_no_other(directory: Path) -> None:
    of = sandbox(directory, databases=["sqlite:////srv/shop.db"])
    assert is_open(of, "sqlite+aiosqlite:////srv/shop.db")
    assert not is_open(of, "sqlite:////srv/shop.db2")


def test_two_redirected_files_of_one_name_do_not_meet(directory: Path) -> None:
    urls = ["sqlite:////srv/a/shop.db", "sqlite:////srv/b/shop.db"]
    of = sandbox(directory, redirects=urls)
    found = {of.replacement(location) for url in urls for location in locations_of_url(url)}
    assert len(found) == 2
    assert all(str(each).startswith(f"{directory}/") for each in found)
    assert of.replacement(Location("sqlite", "", "", "/srv/c/shop.db")) is None


def test_a_relative_path_that_leaves_the_sandbox_leads_from_where_the_user_is(
    directory: Path, tmp_path: Path
) -> None:
    of, typed_in = sandbox(directory), tmp_path / "elsewhere" / "app"

    def typed(path: str) -> str:
        (seen,) = locations_of_url(f"sqlite:///{path}")
        return of.as_typed(seen, typed_in).database

    assert typed("../real/shop.db") == f"{tmp_path}/elsewhere/real/shop.db"
    # SQLAlchemy makes it absolute.
    assert typed(f"{directory}/../real/shop.db") == f"{tmp_path}/elsewhere/real/shop.db"
    assert typed("data/shop.db") == f"{directory}/data/shop.db"
    assert typed("/srv/shop.db") == "/srv/shop.db"
    own = Location("postgresql", "localhost", "5432", str(tmp_path))
    assert of.as_typed(own, typed_in) == own


def test_a_database_in_wal_mode_cannot_be_read_without_files_beside_it(tmp_path: Path) -> None:
    for mode, is_file in (("wal", True), ("delete", False)):
        file = tmp_path / f"{mode}.db"
        with closing(sqlite3.connect(file)) as connection:
            connection.execute(f"PRAGMA journal_mode = {mode}")
            connection.execute("CREATE TABLE orders (id)")
        assert sqlite_file(f"file:{file}?mode=ro") == (str(file) if is_file else None)
        assert sqlite_file(f"file:{file}?mode=ro&immutable=1") is None


# --- PostgreSQL


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (OWN_POSTGRES, True),
        ("postgresql://127.0.0.1/resumectl_sandbox_1_trial_1", True),
        ("postgresql+asyncpg://other@[::1]:5432/resumectl_sandbox_1_trial_1", True),
        ("postgresql://?host=localhost&dbname=resumectl_sandbox_1_trial_1", True),
        ("postgresql://localhost:5433/resumectl_sandbox_1_trial_1", False),
        ("postgresql://localhost/resumectl_sandbox_1_trial_2", False),
        ("postgresql://localhost/shop", False),
        ("postgresql://db.example.com/resumectl_sandbox_1_trial_1", False),
        ("postgresql:///resumectl_sandbox_1_trial_1?host=/run/postgresql", False),
        # One of its hosts is enough to be outside.
        ("postgresql:///resumectl_sandbox_1_trial_1?host=localhost,db.example.com", False),
    ],
)
def test_a_server_has_one_database_that_is_inside(
    directory: Path, url: str, expected: bool
) -> None:
    assert is_open(sandbox(directory, OWN_POSTGRES), url) is expected


def test_what_a_url_leaves_out_is_what_libpq_makes_of_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PGHOST", "db.example.com")
    monkeypatch.setenv("PGPORT", "6000")
    monkeypatch.setenv("PGDATABASE", "shop")
    assert locations_of_url("postgresql://") == [
        Location("postgresql", "db.example.com", "6000", "shop")
    ]
    services = tmp_path / "services"
    services.write_text("[live]\nhost=live.example.com\nport=7000\ndbname=live\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    expected = [Location("postgresql", "live.example.com", "7000", "live")]
    assert locations_of_arguments("postgresql", ["service=live"], {}) == expected
    assert "PGSERVICE" not in os.environ
    monkeypatch.setenv("PGSERVICE", "live")
    assert locations_of_arguments("postgresql", [""], {}) == expected
    monkeypatch.delenv("PGSERVICE")
    monkeypatch.delenv("PGDATABASE")
    assert locations_of_arguments("postgresql", ["host=a user=b"], {"port": 1}) == [
        Location("postgresql", "a", "1", "b")
    ]


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        ({"host": "A.example.com", "database": "shop"}, ("a.example.com", "5432", "shop")),
        ({"dsn": "host=a dbname=shop port=1"}, ("a", "1", "shop")),
        ({"hostaddr": "192.0.2.1", "host": "a", "dbname": "b"}, ("192.0.2.1", "5432", "b")),
    ],
)
def test_each_driver_names_a_database_in_its_own_way(
    named: dict[str, str], expected: tuple[str, str, str]
) -> None:
    assert locations_of_arguments("postgresql", [], named) == [Location("postgresql", *expected)]


def test_other_databases_are_outside_unless_they_are_allowed(directory: Path) -> None:
    of = sandbox(directory, databases=["mysql+pymysql://db.example.com:3306/shop"])
    (there,) = locations_of_arguments(
        "mysql", [], {"host": "db.example.com", "port": 3306, "database": "shop", "user": "u"}
    )
    assert of.is_open(there)
    assert not of.is_open(there._replace(database="other"))
    # Without a host it is a server as well: the driver's default.
    (by_default,) = locations_of_arguments("mysql", [], {"database": "shop"})
    assert not of.is_open(by_default)


def test_a_connection_string_is_read_and_its_password_is_not_told(directory: Path) -> None:
    told = "DRIVER={ODBC Driver 18};Server=tcp:db.example.com,1433;Database=shop;UID=u;PWD=secret"
    (there,) = locations_of_arguments("mssql", [told], {})
    assert str(there) == "mssql://db.example.com:1433/shop"
    assert not sandbox(directory).is_open(there)
    assert sandbox(directory, databases=[str(there)]).is_open(there)
    (unknown,) = locations_of_arguments("mssql", ["DSN=live;PWD=secret"], {})
    assert str(unknown) == "mssql:///live"
    assert not sandbox(directory).is_open(unknown)


def test_a_file_of_another_kind_is_judged_by_its_path(directory: Path) -> None:
    of = sandbox(directory)
    assert all(map(of.is_open, locations_of_arguments("duckdb", [], {"database": "shop.duckdb"})))
    assert locations_of_arguments("duckdb", [], {"database": ":memory:"}) == []
    (outside,) = locations_of_arguments("duckdb", [], {"database": "/srv/shop.duckdb"})
    assert not of.is_open(outside)


# --- what is typed


@pytest.mark.parametrize(
    "url",
    [
        "sqlite:////srv/shop.db",
        "postgresql://db.example.com:6000/shop",
        "postgresql:///shop?host=/run/postgresql",
        "postgresql:///shop?host=/run/postgresql&port=6000",
        "postgresql://[2001:db8::1]:5432/shop",
        "mysql://db.example.com:3306/shop",
    ],
)
def test_a_canonical_url_leads_to_the_same_database(url: str) -> None:
    assert canonical_urls(url) == [url]


def test_a_canonical_url_has_no_password() -> None:
    assert canonical_urls("postgresql+asyncpg://u:secret@db/shop") == ["postgresql://db:5432/shop"]


@pytest.mark.parametrize("text", ["shop.db", "sqlite://", "postgresql://h:p:1/x", "", "x"])
def test_what_is_no_url_of_a_database_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (who asked says it in their own words)
        canonical_urls(text)


def test_a_variable_that_names_the_database_is_told(directory: Path) -> None:
    file = Location("sqlite", "", "", "/srv/shop.db")
    own = f"sqlite:///{directory}/trial.sqlite"
    assert is_same_database("sqlite+aiosqlite:////srv/shop.db", file)
    assert is_same_database("/srv/shop.db", file)
    assert not is_same_database("https://example.com/x", file)
    assert not is_same_database("postgresql://[", file)
    said = database_fix(file, own, {"OTHER": "1", "SHOP_DB": "sqlite:////srv/shop.db"}, directory)
    assert "--env 'SHOP_DB={database_url}'" in said
    assert "--redirect sqlite:////srv/shop.db" in said
    assert "--allow-database sqlite:////srv/shop.db" in said
    assert "--env" not in database_fix(file, own, {}, directory)


def test_a_command_is_advised_that_is_there(directory: Path) -> None:
    file = Location("sqlite", "", "", "/srv/shop.db")
    said = database_fix(file, OWN_POSTGRES, {}, directory)
    assert "for an empty database in the sandbox:" in said
    assert "--redirect sqlite:////srv/shop.db --prepare true;" in said
    (directory / "alembic.ini").touch()
    said = database_fix(file, OWN_POSTGRES, {}, directory)
    assert "for a database in the sandbox:" in said
    assert "--redirect sqlite:////srv/shop.db --prepare 'alembic upgrade head';" in said


def test_the_advice_fits_the_database_of_the_trials(directory: Path) -> None:
    (directory / "alembic.ini").touch()
    live = Location("postgresql", "db.example.com", "5432", "shop")
    environ = {"DATABASE_URL": "postgresql://u:secret@db.example.com/shop"}
    said = database_fix(live, f"sqlite:///{directory}/trial.sqlite", environ, directory)
    assert "--env 'DATABASE_URL={database_url}' --on postgres" in said
    assert "--prepare 'alembic upgrade head' --on postgres" in said
    assert "secret" not in said
    assert "--on" not in database_fix(live, OWN_POSTGRES, environ, directory)
    file = Location("sqlite", "", "", "/srv/shop.db")
    said = database_fix(file, OWN_POSTGRES, {"SHOP": "sqlite:////srv/shop.db"}, directory)
    assert "--env 'SHOP=sqlite:///{sandbox}/shop.db'" in said
    said = database_fix(file, OWN_POSTGRES, {"SHOP": "/srv/shop.db"}, directory)
    assert "--env 'SHOP={sandbox}/shop.db'" in said


@pytest.mark.parametrize(
    ("usual", "scheme"),
    [
        ("", "postgresql+psycopg"),
        ("postgresql://db/shop", "postgresql"),
        ("postgres://db/shop", "postgres"),
        ("postgresql+asyncpg://db/shop", "postgresql+asyncpg"),
        ("sqlite:////srv/shop.db", "postgresql+psycopg"),
        ("/srv/shop.db", "postgresql+psycopg"),
    ],
)
def test_a_variable_names_the_sandbox_with_the_driver_that_it_usually_has(
    usual: str, scheme: str
) -> None:
    subject = Target(environ={"SHOP": "{database_url}", "LOG": "{sandbox}/log"})
    assert subject.environ_in("/place", OWN_POSTGRES, {"SHOP": usual} if usual else {}) == {
        "SHOP": OWN_POSTGRES.replace("postgresql+psycopg", scheme),
        "LOG": "/place/log",
    }


# --- hosts


@pytest.mark.parametrize(
    "host",
    [
        "localhost", "LOCALHOST.", "127.0.0.1", "127.9.9.9", "::1", "[::1]", "::ffff:127.0.0.1", "0.0.0.0",
        "", "api.localhost",
    ],
)  # fmt: skip
def test_this_machine_is_reached_by_many_names(directory: Path, host: str) -> None:
    assert sandbox(directory).reach(host, 80) is Reach.LOOPBACK


@pytest.mark.parametrize(
    "host",
    [
        "203.0.113.7", "10.0.0.1", "192.168.1.1", "169.254.169.254", "2001:db8::1", "fe80::1%eth0",
        "::ffff:203.0.113.7", "example.com", "localhost.example.com", "db", "255.255.255.255",
    ],
)  # fmt: skip
def test_every_other_machine_is_outside(directory: Path, host: str) -> None:
    assert sandbox(directory).reach(host, 80) is Reach.OUTSIDE
    assert sandbox(directory).reach(host, None) is Reach.OUTSIDE


def test_a_host_is_allowed_at_each_port_or_at_one(directory: Path) -> None:
    of = sandbox(directory, hosts=["API.example.com:443", "203.0.113.7", "[2001:db8::1]:25"])
    assert of.reach("api.example.com", 443) is Reach.ALLOWED
    assert of.reach("api.example.com", None) is Reach.ALLOWED  # it is looked up
    assert of.reach("api.example.com", 80) is Reach.OUTSIDE
    assert of.reach("203.0.113.7", 1) is Reach.ALLOWED
    assert of.reach("2001:db8::1", 25) is Reach.ALLOWED
    assert of.reach("example.com", 443) is Reach.OUTSIDE


def test_the_server_of_the_trials_is_inside_and_that_of_an_allowed_database_is_allowed(
    directory: Path,
) -> None:
    of = sandbox(
        directory,
        "postgresql://pg.example.com:6000/trial",
        databases=["postgresql://live.example.com/shop"],
    )
    assert of.reach("pg.example.com", 6000) is Reach.INSIDE
    assert of.reach("pg.example.com", 22) is Reach.OUTSIDE
    assert of.reach("live.example.com", 5432) is Reach.ALLOWED
    assert of.reach("live.example.com", 443) is Reach.OUTSIDE


def test_a_unix_socket_is_on_this_machine_or_in_the_sandbox(directory: Path) -> None:
    of = sandbox(directory, "postgresql:///trial?host=/run/own")
    assert of.socket_reach("/run/own/.s.PGSQL.5432") is Reach.INSIDE
    assert of.socket_reach(f"{directory}/worker.sock") is Reach.INSIDE
    assert of.socket_reach("/run/other.sock") is Reach.LOOPBACK
    assert of.socket_reach("@abstract") is Reach.LOOPBACK


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example.com", ("example.com", None)),
        ("example.com:443", ("example.com", 443)),
        ("203.0.113.7:1", ("203.0.113.7", 1)),
        ("2001:db8::1", ("2001:db8::1", None)),
        ("[2001:db8::1]", ("2001:db8::1", None)),
        ("[2001:db8::1]:25", ("2001:db8::1", 25)),
    ],
)
def test_a_host_is_typed_as_in_a_url(text: str, expected: tuple[str, int | None]) -> None:
    assert parse_host(text) == expected


@pytest.mark.parametrize(
    "text", ["", ":80", "example.com:", "example.com:http", "a:0", "a:65536", "https://a", "a b", "a/b", "u@a"]
)  # fmt: skip
def test_what_is_no_host_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (who asked says it in their own words)
        parse_host(text)


def test_urls_of_sqlalchemy_and_of_libpq_agree() -> None:
    url = sa.make_url("postgresql+psycopg://u@db:6000/shop")
    assert locations_of_url(url) == locations_of_arguments(
        "postgresql", [], {"host": "db", "port": 6000, "dbname": "shop", "user": "u"}
    )
