"""Define the promises: how often an effect, a step or a row may happen. Standard library only."""

from resumectl.errors import Refusal
from resumectl.model.text_enum import TextEnum
from resumectl.text import shell_word


class Promise(TextEnum):
    """Promise of how often something happens, whichever process is killed."""

    EXACTLY_ONCE = "exactly-once"
    AT_LEAST_ONCE = "at-least-once"
    AT_MOST_ONCE = "at-most-once"

    @classmethod
    def named(cls, text: str, *, of: str, option: str = "") -> "Promise":
        """Return a promise by its name, also as Python spells it: `exactly_once`.

        Args:
            text: Name of the promise.
            of: Name of the effect or step, for the error.
            option: Option of the command line that makes the promise; empty for a Scenario.

        Raises:
            Refusal: There is no such promise.
        """
        try:
            return cls(text.replace("_", "-"))
        except (ValueError, AttributeError):
            example = cls.EXACTLY_ONCE.value
            raise Refusal(
                f"{text!r}, promised of {of}, is none of {', '.join(cls)}",
                next_step=f"as in  {option} {shell_word(f'{of}={example}')}"
                if option
                else f"as in  promises={{{of!r}: {example!r}}}",
            ) from None
