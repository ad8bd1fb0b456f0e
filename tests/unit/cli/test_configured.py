"""A configured value that no target can have is refused where it stands, and as it is spelled there."""

from pathlib import Path

import pytest

from resumectl.cli.configured import Given, read_one_spec
from resumectl.cli.target_options import ChoiceOptions, TargetOptions, TrialOptions
from resumectl.errors import Refusal

TARGET = '[tool.resumectl.targets.checkout]\ntarget = "package.shop:checkout"\n'


def refused(
    directory: Path, text: str, *, target: str = "checkout", client: str | None = None
) -> tuple[str, str]:
    (directory / "pyproject.toml").write_text(text)
    typed = ["target"] if client is None else ["target", "client"]
    options = TargetOptions(target, client=client)
    given = Given(options, TrialOptions(), ChoiceOptions(), None, typed)
    with pytest.raises(Refusal) as raised:
        read_one_spec(given, directory)
    return raised.value.what, raised.value.next_step


@pytest.mark.parametrize(
    ("value", "what", "next_step"),
    [
        ("max = 0", "max = 0 is not 1 to 1,000,000", "leave it out"),
        ("timeout = -1", "timeout = -1 is not above 0 and at most 3600", "as in  timeout = 10"),
        ('on = "mysql"', 'unknown database on = "mysql"', "sqlite or postgres"),
        ('edge = "x"', "unknown edge 'x'", "before or after"),
        ('client = "x"', "unknown client 'x'", 'client = "retries"  or  client = "gives-up"'),
        (
            'promises = { charge = "always" }',
            "'always', promised of charge, is none of exactly-once, at-least-once, at-most-once",
            'as in  promises = { "charge" = "exactly-once" }',
        ),
        (
            'redirect = ["x"]',
            "redirect: the value is not the URL of a database outside the sandbox",
            'as in  redirect = ["sqlite:////srv/shop.db"]  or  redirect = ["postgresql://localhost/shop"]',
        ),
    ],
)
def test_refusal_names_the_line_and_spells_the_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str, what: str, next_step: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert refused(tmp_path, f"{TARGET}{value}\n") == (f"pyproject.toml:3: {what}", next_step)
    for_all = f"[tool.resumectl]\n{value}\n{TARGET}"
    assert refused(tmp_path, for_all) == (f"pyproject.toml:2: {what}", next_step)
    assert refused(tmp_path, for_all, target="other:f") == (f"pyproject.toml:2: {what}", next_step)


def test_target_is_refused_at_its_own_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    text = f"[tool.resumectl]\ntimeout = 5\n{TARGET.replace('package.shop:checkout', 'shop')}"
    what, next_step = refused(tmp_path, text)
    assert what == "pyproject.toml:4: 'shop' is neither FILE.py:NAME nor package.module:NAME"
    assert next_step == "as in  shop.py:checkout"


def test_refused_flag_is_spelled_as_it_was_typed(tmp_path: Path) -> None:
    text = f"{TARGET}timeout = 5\n"
    assert refused(tmp_path, text, client="x") == (
        "unknown client 'x'",
        "--client retries  or  --client gives-up",
    )
