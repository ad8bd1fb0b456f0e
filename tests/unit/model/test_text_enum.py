"""Members of a text enumeration are texts, on each Python that a target may use."""

import json
from enum import Enum

from resumectl.model.crash_plan import Edge
from resumectl.model.text_enum import TextEnum


class Colour(TextEnum):
    RED = "red"


def test_member_prints_compares_and_is_encoded_as_its_value() -> None:
    assert f"{Colour.RED} {Colour.RED!s}" == "red red"
    assert hash(Colour.RED) == hash("red")
    assert json.dumps([Colour.RED]) == '["red"]'
    assert Colour("red") is Colour.RED


def test_enumerations_of_the_model_are_text_enumerations() -> None:
    assert isinstance(Edge.BEFORE, TextEnum)
    assert isinstance(Edge.BEFORE, Enum)
