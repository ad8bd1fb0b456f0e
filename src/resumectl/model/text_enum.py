"""An enumeration whose members are texts, also on Python 3.10, which has no `enum.StrEnum`."""

from enum import Enum


class TextEnum(str, Enum):
    """Members print as their values."""

    __str__ = str.__str__
