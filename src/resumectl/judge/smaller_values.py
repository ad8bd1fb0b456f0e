"""Make smaller arguments, with which a finding may be seen as well and understood sooner."""

from collections.abc import Iterator, Sequence

from resumectl.model.codec import Plain


def smaller_arguments(args: Sequence[Plain]) -> Iterator[list[Plain]]:
    """Yield arguments of which one is smaller, the boldest step first.

    Args:
        args: Arguments, as plain data.
    """
    for index, value in enumerate(args):
        for smaller in _smaller(value):
            yield [*args[:index], smaller, *args[index + 1 :]]


def _smaller(value: Plain) -> Iterator[Plain]:
    if isinstance(value, bool) or value is None:
        return
    if isinstance(value, str):
        if value not in ("", "a"):
            yield "a"
    elif isinstance(value, int | float):
        yield from (number for number in (0, 1) if abs(number) < abs(value))
    elif isinstance(value, list):
        yield from _smaller_list(value)
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from ({**value, key: smaller} for smaller in _smaller(inner))


def _smaller_list(value: list[Plain]) -> Iterator[Plain]:
    if len(value) > 1:
        yield value[: len(value) // 2]
        yield value[len(value) // 2 :]
    for index, inner in enumerate(value):
        yield from ([*value[:index], each, *value[index + 1 :]] for each in _smaller(inner))
