"""A target is text: what it is called, and what its process finds in its environment."""

import pytest

from resumectl.errors import Refusal
from resumectl.model.target import Target, parse_target, without_proxies

SQLITE = "sqlite:////sandbox/app.sqlite"
POSTGRES = "postgresql://me:secret@localhost/trial"


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("shop.py:checkout", ("shop.py", "checkout")),
        ("a b/shop.py:checkout", ("a b/shop.py", "checkout")),
        ("C:/shop.py:checkout", ("C:/shop.py", "checkout")),
        ("package.module:Class.method", ("package.module", "Class.method")),
    ],
)
def test_target_is_a_file_or_a_module_and_a_name(text: str, parsed: tuple[str, str]) -> None:
    assert parse_target(text) == parsed


@pytest.mark.parametrize(
    "text", ["", ":", "shop", "shop.py", "shop.py:", ":checkout", "shop.py:a-b", "a/b:c", "a..b:c"]
)
def test_other_text_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        parse_target(text, "till.py:sell")
    assert str(refused.value) == f"{text!r} is neither FILE.py:NAME nor package.module:NAME"
    assert refused.value.next_step == "as in  till.py:sell"


def test_target_prints_as_the_user_knows_it() -> None:
    assert str(Target(entry=("/long/path/shop.py", "checkout"))) == "shop.py:checkout"
    assert str(Target(count=7)) == "publisher --count 7 --guarantee exactly-once"


def test_environment_names_the_sandbox_and_its_database() -> None:
    target = Target(environ={"FILES": "{sandbox}/files", "DB": "{database_url}", "MODE": "test"})
    environ = target.environ_in("/sandbox", SQLITE, usual={})
    assert environ == {"FILES": "/sandbox/files", "DB": SQLITE, "MODE": "test"}


@pytest.mark.parametrize(
    ("usual", "given"),
    [
        ("postgresql+psycopg://prod/shop", "postgresql+psycopg://me:secret@localhost/trial"),
        ("postgres://prod/shop", "postgres://me:secret@localhost/trial"),
        ("sqlite:///shop.sqlite", POSTGRES),
        ("", POSTGRES),
    ],
)
def test_database_keeps_the_driver_that_the_user_names(usual: str, given: str) -> None:
    target = Target(environ={"DB": "{database_url}"})
    assert target.environ_in("/sandbox", POSTGRES, {"DB": usual}) == {"DB": given}


def test_proxies_are_left_out_in_either_case() -> None:
    environ = {"HTTPS_PROXY": "x", "http_proxy": "x", "PROXY_MODE": "y", "PATH": "z"}
    assert without_proxies(environ) == {"PROXY_MODE": "y", "PATH": "z"}
