"""What a person without JavaScript would send: the members of a form on a page."""

from html.parser import HTMLParser
from typing import Any

from django.http import HttpResponse


class _Inputs(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.members: dict[str, list[str]] = {}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if tag == "input" and found.get("type") == "hidden" and found.get("name"):
            self.members.setdefault(str(found["name"]), []).append(found.get("value") or "")


def hidden_members(page: HttpResponse | Any) -> dict[str, list[str]]:
    """Of all forms on it."""
    reader = _Inputs()
    reader.feed(page.content.decode())
    return reader.members


class _Text(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.pieces: list[str] = []

    def handle_data(self, data: str) -> None:
        self.pieces.append(data)


def text_of(page: HttpResponse | Any) -> str:
    """What stands on it, without markup, with single blanks."""
    reader = _Text()
    reader.feed(page.content.decode())
    return " ".join(" ".join(reader.pieces).split())
