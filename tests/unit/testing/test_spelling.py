"""What is refused in a test names the options of a test."""

import pytest

from resumectl.cli.option_spelling import respelled
from resumectl.errors import Refusal
from resumectl.testing.spelling import keyword, spelled_for_tests


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("as in  --args '[\"order-1\"]'", 'as in  args=["order-1"]'),
        ("--kwargs '{\"n\": 1}'", 'kwargs={"n": 1}'),
        ("--env NAME={database_url}", 'env={"NAME": "{database_url}"}'),
        ("--promise charge=exactly-once", 'promises={"charge": "exactly-once"}'),
        ("--after-launch main.py:setup", 'after_launch="main.py:setup"'),
        ("--prepare 'alembic upgrade head'", 'prepare="alembic upgrade head"'),
        ("--redirect sqlite:////srv/shop.db", 'redirect=["sqlite:////srv/shop.db"]'),
        ("--redirect $'s3://it\\'s\\u202e é'", 'redirect=["s3://it\'s\\u202e é"]'),
        ("--redirect sqlite:///a --on postgres", 'redirect=["sqlite:///a"]  and  on="postgres"'),
        ("as in  --downtime 3600", "as in  downtime=3600"),
        ("--only matches nothing", "only=\"matches\" nothing"),
        ("more time:  --timeout;  or  --max-sleep 5", "more time:  timeout;  or  max_sleep=5"),
        ("--isolation spawn", "--isolation spawn"),
        ("resumectl points shop.py:a --only '*'  lists them", "resumectl points shop.py:a --only '*'  lists them"),
        ("--on postgres;  or  resumectl sweep --on sqlite", 'on="postgres";  or  resumectl sweep --on sqlite'),
    ],
)  # fmt: skip
def test_options_are_keywords_and_command_lines_stay(text: str, expected: str) -> None:
    assert respelled(text, keyword) == expected


def test_a_refusal_keeps_its_class_and_shows_the_next_step() -> None:
    with pytest.raises(Refusal) as raised, spelled_for_tests():
        raise Refusal("--on mysql is no database", next_step="--on sqlite")
    assert (raised.value.what, raised.value.next_step) == (
        'on="mysql" is no database',
        'on="sqlite"',
    )
    assert str(raised.value) == 'on="mysql" is no database\nnext:  on="sqlite"'
