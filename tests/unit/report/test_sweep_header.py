"""The header of a sweep says what its target ran under, and what runs after the crash."""

import pytest

from resumectl.model.sweep_spec import SweepSpec
from resumectl.model.target import Target
from resumectl.report.sweep_header import program_after_crash


@pytest.mark.parametrize(
    ("later", "expected"),
    [
        (("/srv/shop_v1.py", "checkout"), ""),
        (("/srv/shop_v2.py", "checkout"), "shop_v2.py:checkout"),
        (("/srv/next/shop_v1.py", "checkout"), "/srv/next/shop_v1.py:checkout"),
        (None, ""),
    ],
)
def test_program_after_the_crash_is_named_if_it_is_another(
    later: tuple[str, str] | None, expected: str
) -> None:
    first = Target(entry=("/srv/shop_v1.py", "checkout"))
    assert program_after_crash(SweepSpec(first, Target(entry=later), {})) == expected
