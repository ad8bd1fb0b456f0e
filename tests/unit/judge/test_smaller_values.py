"""Arguments become smaller one step at a time, and end."""

from typing import Any

import pytest

from resumectl.judge.smaller_values import smaller_arguments


@pytest.mark.parametrize(
    ("args", "smaller"),
    [
        ([], []),
        (["order-1"], [["a"]]),
        (["a", None, True], []),
        ([7, 0], [[0, 0], [1, 0]]),
        ([[1, 2, 3, 4]], [[[1, 2]], [[3, 4]], [[1, 0, 3, 4]], [[1, 1, 3, 4]], [[1, 2, 0, 4]],
                          [[1, 2, 1, 4]], [[1, 2, 3, 0]], [[1, 2, 3, 1]], [[0, 2, 3, 4]]]),
        ([{"id": "order-1", "n": 0}], [[{"id": "a", "n": 0}]]),
    ],
)  # fmt: skip
def test_one_argument_is_smaller_in_each(args: list[Any], smaller: list[Any]) -> None:
    found = list(smaller_arguments(args))
    assert sorted(map(repr, found)) == sorted(map(repr, smaller))


def test_repeated_steps_end() -> None:
    args: list[Any] = [["order-1", {"n": 90, "tags": ["x", "yy", "zz"]}], -5.5]
    for _ in range(100):
        smaller = next(smaller_arguments(args), None)
        if smaller is None:
            break
        args = smaller
    assert next(smaller_arguments(args), None) is None
