"""Read a page of HTML: its elements, texts and links. Fail if an element is not closed."""

from collections.abc import Iterator
from html.parser import HTMLParser

_VOID_ELEMENTS = {"meta", "link", "br", "input"}


class Page(HTMLParser):
    """The elements and texts of a page.

    Args:
        html: The page.

    Attributes:
        elements: Name and attributes of each element.
        texts: The texts between them.
    """

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in _VOID_ELEMENTS:
            self._open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self._open, tag
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, attribute: str) -> Iterator[str]:
        """Yield the values of an attribute."""
        return (value for _, attrs in self.elements if (value := attrs.get(attribute)) is not None)

    @property
    def text(self) -> str:
        """All texts, in their order."""
        return "".join(self.texts)

    def links(self, label: str) -> list[str]:
        """Return the targets of the links with this label."""
        found = (attrs for tag, attrs in self.elements if tag == "a")
        return [
            str(each["href"]) for each in found if (each.get("aria-label") or "").startswith(label)
        ]
