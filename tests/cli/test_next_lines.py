"""What a command says to type next works on the same database, and shows no password."""

import re
import shlex

import pytest
from conftest import Workspace

from resumectl.cli.common import Common
from resumectl.errors import ExitCode


def test_a_next_line_repeats_the_options_of_every_command() -> None:
    common = Common(db_url="sqlite:///other one.sqlite", app_version="2")
    assert common.retyped("resumectl resume alpha-1  takes it up") == (
        "resumectl resume --db-url 'sqlite:///other one.sqlite' --app-version 2 alpha-1  takes it up"
    )
    assert common.retyped("give it up:  resumectl cancel sweep:1;  or  resumectl resume") == (
        "give it up:  resumectl cancel --db-url 'sqlite:///other one.sqlite' --app-version 2 "
        "sweep:1;  or  resumectl resume --db-url 'sqlite:///other one.sqlite' --app-version 2"
    )


def test_what_a_next_line_says_itself_is_not_said_again() -> None:
    common = Common(app_version="new")
    assert common.retyped("resumectl resume --app-version old") == (
        "resumectl resume --app-version old"
    )


def test_what_is_no_command_line_stays_as_it_is() -> None:
    common = Common(db_url="sqlite:///x.sqlite")
    for text in ("pip install --upgrade resumectl", "install resumectl again", "as in  --count 5"):
        assert common.retyped(text) == text


def test_where_nothing_was_given_nothing_is_added() -> None:
    assert Common().retyped("resumectl resume") == "resumectl resume"


@pytest.mark.parametrize("secret", ["s3cr3t", "s3cr3t:w/rd"])
def test_a_password_is_not_repeated(secret: str) -> None:
    quoted = secret.replace(":", "%3A").replace("/", "%2F")
    url = f"postgresql://me:{quoted}@localhost/shop"
    shown = Common(db_url=url).retyped("resumectl resume")
    assert secret not in shown
    assert quoted not in shown
    assert "me:***@localhost/shop" in shown


def test_the_next_line_of_another_database_can_be_typed(sqlite_workspace: Workspace) -> None:
    other = "sqlite:///an other.sqlite"
    said = sqlite_workspace.ok("crash-after", "2", "--count", "4", "--db-url", other).err
    (line,) = re.findall(r"^next:  resumectl (.*)$", said, re.MULTILINE)
    resumed = sqlite_workspace.ok(*shlex.split(line), "--json").document
    assert resumed["totals"]["delivered"] == 4
    listed = sqlite_workspace.ok("list-workflows", "--db-url", other, "--limit", "1").err
    (line,) = re.findall(r"^next:  resumectl (.*)$", listed, re.MULTILINE)
    assert len(sqlite_workspace.ok(*shlex.split(line), "--json").document["workflows"]) == 1
    refused = sqlite_workspace.run("steps", "nobody", "--db-url", other)
    assert refused.code == ExitCode.REFUSED
    assert f"next:  resumectl list-workflows --db-url '{other}'" in refused.err
