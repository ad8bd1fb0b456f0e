"""Define an enumeration of texts for Python 3.10, which has no `enum.StrEnum`."""

from enum import Enum


class TextEnum(str, Enum):
    """Enumeration whose members print as their values."""

    __str__ = str.__str__
